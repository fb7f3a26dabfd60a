/** What can go wrong with a request, as the server said it. */

/** An answer that is an error: RFC 9457's problem, or what is left of one. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, detail?: string, title?: string, request_id?: string}} said
   * @param {string|null} requestId of the header, where the body has none
   */
  constructor(status, said, requestId) {
    super(said.detail ?? said.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = said.code ?? `http_${status}`;
    this.requestId = said.request_id ?? requestId ?? null;
  }
}

/** No answer came: the server is gone, or the network is. */
export class Unreachable extends Error {}

/** @param {Response} response one that is not `ok` */
export async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  return new Problem(response.status, said ?? {}, response.headers.get("x-request-id"));
}

/** @param {unknown} error whether the user, or a newer request, ended it */
export const isAborted = (error) => error instanceof DOMException && error.name === "AbortError";
