/** Numbers with their names and units. */

import { fill, h } from "../../dom.js";
import { number, t } from "../../language/index.js";
import { whyLink } from "../../parts/why-link.js";
import { predictCall } from "./call.js";

const text = ({ value, unit }) => `${number(value, 4)}${unit ? ` ${unit}` : ""}`;

export const regression = {
  call: (context) => predictCall(context, []),

  show({ prediction, panel, model, picture }) {
    fill(panel, h("h2", {}, t("regression.title")),
      h("dl.numbers", {}, prediction.values.map((one, index) => h("div", {},
        h("dt", {}, one.name ?? String(index), " ", whyLink({ model, picture }, index, one.name ?? String(index))),
        h("dd", {}, number(one.value, 4), one.unit ? h("span.unit", {}, ` ${one.unit}`) : null)))));
    return { lines: prediction.values.map((one, index) => `${one.name ?? index}: ${text(one)}`) };
  },
};
