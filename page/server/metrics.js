/** Reads OpenMetrics text, and reckons what happened between two readings. */

/**
 * @typedef {{labels: Object<string, string>, value: number}} Sample
 * @typedef {Map<string, Sample[]>} Reading samples by name
 */

/** @param {string} text @returns {Reading} of the server's own metrics; the names of other servers are left out */
export function parsed(text) {
  const reading = new Map();
  for (const line of text.split("\n")) {
    if (!line.startsWith("lucarne_")) continue;
    const open = line.indexOf("{");
    const close = line.lastIndexOf("}");
    const name = line.slice(0, open < 0 ? line.indexOf(" ") : open);
    const value = Number(line.slice(open < 0 ? name.length + 1 : close + 2).split(" ")[0]);
    if (!reading.has(name)) reading.set(name, []);
    reading.get(name).push({ labels: open < 0 ? {} : labels(line.slice(open + 1, close)), value });
  }
  return reading;
}

function labels(text) {
  const found = text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
  return Object.fromEntries([...found].map(([, name, value]) => [name, value.replace(/\\(.)/g, "$1")]));
}

const matches = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);

/**
 * The sum of a metric over the labels that are wanted.
 *
 * @param {Reading|null} reading
 * @param {string} name
 * @param {Object<string, string>} [wanted]
 */
export function sum(reading, name, wanted = {}) {
  const some = reading?.get(name)?.filter((one) => matches(one.labels, wanted)) ?? [];
  return some.reduce((total, { value }) => total + value, 0);
}

/** What a counter grew by between two readings. A server that was started anew counts from zero. */
export function grown(before, now, name, wanted) {
  return Math.max(0, sum(now, name, wanted) - sum(before, name, wanted));
}

/**
 * A quantile of a histogram between two readings, or since the start where nothing came between; null where nothing
 * ever did.
 *
 * @param {Reading|null} before
 * @param {Reading} now
 * @param {string} name without `_bucket`
 * @param {Object<string, string>} wanted
 * @param {number} part 0.5 for the median
 */
export function quantile(before, now, name, wanted, part) {
  const recent = buckets(before, now, name, wanted);
  const all = recent.at(-1)?.count > 0 ? recent : buckets(null, now, name, wanted);
  const total = all.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const index = all.findIndex(({ count }) => count >= part * total);
  const low = index === 0 ? { end: 0, count: 0 } : all[index - 1];
  const high = all[index];
  if (!Number.isFinite(high.end)) return low.end;
  const within = high.count === low.count ? 1 : (part * total - low.count) / (high.count - low.count);
  return low.end + (high.end - low.end) * within;
}

function buckets(before, now, name, wanted) {
  const by = new Map();
  for (const { labels: own, value } of now.get(`${name}_bucket`) ?? []) {
    if (!matches(own, wanted)) continue;
    by.set(own.le, (by.get(own.le) ?? 0) + value - (before === null ? 0 : sum(before, `${name}_bucket`, { ...wanted, le: own.le })));
  }
  const ends = [...by].map(([end, count]) => ({ end: end === "+Inf" ? Infinity : Number(end), count }));
  return ends.sort((a, b) => a.end - b.end);
}
