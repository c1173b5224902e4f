// How values are shown: numbers, shares, times and names of phases.

export const percent = (value, digits = 2) => `${Number(value.toFixed(digits))} %`;

export const share = (value) => (value === 0 ? "0 %" : value < 0.0001 ? "< 0.01 %" : percent(value * 100));

export const count = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1000) return `${Number((value / 1000).toFixed(2))} s`;
  return `${value >= 10 ? Math.round(value) : Number(value.toFixed(1))} ms`;
}

/** Seconds as `3 min 20 s`. */
export function seconds(value) {
  const whole = Math.max(0, Math.round(value));
  if (whole < 60) return `${whole} s`;
  const parts = whole < 3600 ? [[60, "min"], [1, "s"]] : [[3600, "h"], [60, "min"]];
  const [[large, one], [small, other]] = parts;
  const rest = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${one}${rest > 0 ? ` ${rest} ${other}` : ""}`;
}

/** A time of the API as the clock on the wall. */
export const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

export const moment = (at) => new Date(at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** A limit in the unit of its metric. */
export function limit(metric, value) {
  if (metric.includes("over_past")) return share(value);
  if (metric.includes("relative") || metric.includes("over_stable")) return `${Number(value.toFixed(2))} ×`;
  if (metric.startsWith("latency") || metric.startsWith("duration")) return milliseconds(value * 1000);
  return share(value);
}

const METRICS = {
  error_rate: "failures",
  abandoned: "left by clients",
  differences: "answers that differ",
};

export function metric(of) {
  const [, own, whose, quantile, relative] = of.metric.match(/^(.*?)(?:_over_(stable|past)(?:_(p\d+))?|(_relative))?$/);
  const name = METRICS[own] ?? own.replaceAll("_", " ");
  const yardstick = { stable: "stable's", past: "stable's past" }[whose];
  const beside = whose ? ` beside ${[yardstick, quantile].filter(Boolean).join(" ")}` : relative ? " beside stable" : "";
  return of.group ? `${name}${beside} · ${of.group}` : `${name}${beside}`;
}

/** What counts as an event of a kind of evidence. */
export const events = (kind) =>
  ({ errors: "failed", abandoned: "were left", latency: "were slow", duration: "took too long", empty: "were empty" })[kind] ??
  (kind === "differences" ? "differ" : `were ${kind}`);
