/** Which method says most, and whether they say the same: what the server answers about methods beside each other. */

import { h } from "../../dom.js";
import { number, t, tOr } from "../../language/index.js";

const named = (method) => tOr(`method.${method}`, method);

/**
 * @param {{ranking: {places: {method: string, place: number|null, gain: number|null, noise: number|null}[]},
 *   agreement: {methods: string[], correlations: (number|null)[][], threshold: number, disagreements: {one: string, other: string, correlation: number}[]},
 *   skipped: string[]}} answer
 */
export function ranking({ ranking: found, agreement, skipped }) {
  return h("section.ranking", {}, h("h2", {}, t("ranking.title")),
    h(`p.verdict.${found.places.some(({ place }) => place === 1) ? "both" : "neither"}`, {}, first(found.places)),
    h("table", {},
      h("thead", {}, h("tr", {}, ["place", "method", "gain", "noise"].map((name) => h("th", { scope: "col", title: t(`ranking.about.${name}`) }, t(`ranking.${name}`))))),
      h("tbody", {}, found.places.map(row))),
    h(`p.verdict.agreement.${agreement.disagreements.length === 0 ? "both" : "neither"}`, {}, together(agreement)),
    skipped.length === 0 ? null : h("p.note", {}, t("ranking.skipped", { methods: skipped.map(named).join(", ") })));
}

const row = ({ method, place, gain, noise }) => h("tr", {},
  h("td", {}, place === null ? "–" : number(place)), h("th", { scope: "row" }, named(method)),
  h("td", {}, gain === null ? "–" : number(gain)), h("td", {}, noise === null ? "–" : number(noise)));

function first(places) {
  const leaders = places.filter(({ place }) => place === 1).map(({ method }) => named(method));
  if (leaders.length === 0) return t("ranking.none");
  return t(leaders.length === 1 ? "ranking.one" : "ranking.several", { methods: leaders.join(", ") });
}

function together({ disagreements, threshold }) {
  if (disagreements.length === 0) return t("ranking.agree", { threshold: number(threshold) });
  const [least] = [...disagreements].sort((a, b) => a.correlation - b.correlation);
  return t("ranking.disagree", { one: named(least.one), other: named(least.other), correlation: number(least.correlation, 2), threshold: number(threshold) });
}
