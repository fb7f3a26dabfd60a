/** The call that most tasks make. */

/**
 * A prediction of one picture.
 *
 * @param {{model: any, picture: any, params: Object<string, string>}} context
 * @param {string[]} names the parameters of the address that the server is told
 * @param {Object<string, string|boolean>} [more]
 * @returns {import("../../server/calls.js").Call}
 */
export function predictCall({ model, picture, params }, names, more = {}) {
  const given = names.filter((name) => params[name] !== undefined).map((name) => [name, params[name]]);
  return {
    model: model.name,
    operation: "predict",
    query: { ...more, ...Object.fromEntries(given) },
    pictures: [{ field: "image", picture }],
  };
}
