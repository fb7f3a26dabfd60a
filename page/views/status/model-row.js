/** One model of the table. */

import { h } from "../../dom.js";
import { number, t, tOr } from "../../language/index.js";
import { grown, quantile, sum } from "../../server/metrics.js";
import { href } from "../../state/address.js";

const BYTES = { f32: 4, f16: 2, bf16: 2 };

/**
 * @param {import("../../server/models.js").Model} model
 * @param {object} how
 * @param {{before: any, now: any}} how.reading
 * @param {(name: string, wanted: Object<string, string>) => number|null} how.rate
 * @param {string|null} how.stage what is done with it while it is loaded or unloaded
 * @param {(method: "PUT"|"DELETE") => void} how.act
 */
export function modelRow(model, { reading, rate, stage, act }) {
  const isReady = model.state === "ready";
  const cell = (key, ...content) => h("td", { "data-label": t(`status.${key}`) }, content);
  return h("tr", {},
    h("th", { scope: "row" }, isReady ? h("a", { href: href("try", { model: model.name }) }, model.name) : model.name,
      h("span.note", {}, isReady ? tOr(`task.${model.task}`, model.task) : (model.error ?? ""))),
    cell("state", h(`span.chip.${model.state}`, {}, tOr(`state.${model.state}`, model.state)), model.version ? h("span.note", {}, t("status.version", { version: model.version })) : null),
    cell("device", model.device ?? "–", isReady ? h("span.note", {}, weights(model)) : null),
    cell("work", work(model.name, rate, reading)),
    cell("queue", queue(model.name, reading)),
    cell("batch", batch(model.name, reading)),
    cell("latency", latency(model.name, reading)),
    h("td", {}, button(model, isReady, stage, act)));
}

function weights({ parameters, precision }) {
  const megabytes = (parameters * (BYTES[precision] ?? 4)) / 1e6;
  return t("status.weights", { size: number(megabytes, 2) });
}

const of = (model, queue) => ({ model, queue });

function work(name, rate, { now }) {
  const each = rate("lucarne_images_computed_total", { model: name });
  return [each === null ? "–" : t("status.rate", { value: number(each, 2) }), h("span.note", {}, t("status.total", { count: number(sum(now, "lucarne_images_computed_total", { model: name }), 6) }))];
}

function queue(name, { now }) {
  const rejected = sum(now, "lucarne_images_rejected_total", { model: name });
  const depth = (kind) => number(sum(now, "lucarne_queue_depth", of(name, kind)), 6);
  return [`${depth("predict")} / ${depth("explain")}`, rejected > 0 ? h("span.note", {}, t("status.rejected", { count: rejected })) : null];
}

function batch(name, { before, now }) {
  const mean = (from) => {
    const count = grown(from, now, "lucarne_batch_size_count", of(name, "predict"));
    return count === 0 ? null : grown(from, now, "lucarne_batch_size_sum", of(name, "predict")) / count;
  };
  const value = mean(before) ?? mean(null);
  return value === null ? "–" : number(value, 2);
}

function latency(name, { before, now }) {
  if (now === null) return "–";
  const at = (part) => quantile(before, now, "lucarne_compute_duration_seconds", of(name, "predict"), part);
  const [median, high] = [at(0.5), at(0.95)];
  if (median === null) return "–";
  return [`${number(median * 1000, 2)} ms`, h("span.note", {}, t("status.p95", { value: `${number(high * 1000, 2)} ms` }))];
}

function button({ name, state }, isReady, stage, act) {
  if (state === "loading" || stage !== null) return h("span.note", { role: "status" }, t(`status.stage.${stage ?? "working"}`));
  const label = isReady ? t("status.unload") : t("status.load");
  return h("button.quiet", { type: "button", id: `act-${name}`, "aria-label": `${label} ${name}`, on: { click: () => act(isReady ? "DELETE" : "PUT") } }, label);
}
