/** The link from an answer to its explanation. */

import { h } from "../dom.js";
import { t } from "../language/index.js";
import { href } from "../state/address.js";

/**
 * @param {{model: any, picture: any}} context
 * @param {string|number} target as the server wants it
 * @param {string} name of the target, for those who hear the link alone
 */
export function whyLink({ model, picture }, target, name) {
  const to = href("explain", { model: model.name, picture: picture.id, target });
  return h("a.why", { href: to, "aria-label": t("explain.of", { name }) }, t("class.explain"));
}
