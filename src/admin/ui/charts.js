// The curves of a service: rate, failures and p95 of each pool, with limits and marks, under one cursor.

/* global uPlot */

import { call, path } from "./live.js";

const HEIGHT = 150;
/** Seconds that are kept: 15 minutes. */
const POINTS = 900;
/** The share of its limit from which a curve is shown with it. */
const NEAR = 0.25;
/** Seconds between two times on the axis. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
/** Rows of the history that are marked. */
const MARKED = { started: "quiet", step: "quiet", promoted: "stable", aborted: "bad", flip: "candidate", rollback: "bad", returned: "bad", "taken-back": "bad" };
const VALUES = {
  rate: (at) => at.rate,
  failures: (at) => (at.rate > 0 ? (at.errors / at.rate) * 100 : null),
  p95: (at) => at.p95 ?? null,
};

export class Charts {
  constructor(service) {
    this.service = service;
    this.times = [];
    this.pools = new Map();
    this.plots = new Map();
    this.marks = [];
    this.ended = false;
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.onScheme = () => {
      this.forget();
      if (this.seen) this.draw();
    };
    this.scheme.addEventListener("change", this.onScheme);
    this.observer = new ResizeObserver(() => this.resize());
  }

  end() {
    this.ended = true;
    this.scheme.removeEventListener("change", this.onScheme);
    this.forget();
  }

  forget() {
    this.observer.disconnect();
    this.plots.forEach((plot) => plot.destroy());
    this.plots.clear();
  }

  /** Brings the curves up to a frame. Where seconds are missing, the whole past is asked for again. */
  show(view, frame, history) {
    const now = frame?.services[this.service];
    if (this.ended || this.busy || !now) return;
    this.seen = { view, history };
    const last = this.times.at(-1);
    const isGap = last === undefined || frame.at - last > 2;
    if (isGap || Object.keys(now.pools).some((pool) => !this.pools.has(pool))) return this.load(frame);
    if (frame.at > last) {
      this.times.push(frame.at);
      for (const [pool, points] of this.pools) points.push(now.pools[pool] ?? { rate: 0, errors: 0 });
      if (this.times.length > POINTS) [this.times, ...this.pools.values()].forEach((list) => list.shift());
    } else if (looksOf(view, this.pools) === this.looks && this.isDrawn()) {
      return;
    }
    this.draw();
  }

  isDrawn() {
    return this.plots.size > 0 && [...this.plots.values()].every((plot) => plot.root.isConnected);
  }

  async load(frame) {
    this.busy = true;
    try {
      const { from, seconds, pools } = await call("GET", path(this.service, "figures"));
      this.times = Array.from({ length: seconds }, (_, at) => from + at);
      const point = (of, at) => ({ rate: of.requests[at], errors: of.failures[at], p95: of.p95_ms[at] });
      this.pools = new Map(Object.entries(pools).map(([pool, of]) => [pool, this.times.map((_, at) => point(of, at))]));
      if (this.times.length > 0) this.times[this.times.length - 1] = Math.max(this.times.at(-1), frame.at);
    } catch {
      // The next frame asks again.
    }
    this.busy = false;
    if (!this.ended) this.draw();
  }

  draw() {
    const { view, history } = this.seen;
    this.marks = history.filter((row) => row.action in MARKED).map((row) => ({ at: Date.parse(row.at) / 1000, colour: MARKED[row.action] }));
    const pools = [...this.pools.keys()];
    const looks = looksOf(view, this.pools);
    if (looks !== this.looks) this.forget();
    this.looks = looks;
    for (const kind of Object.keys(VALUES)) {
      const place = document.getElementById(`chart-${kind}`);
      if (!place) continue;
      const data = [this.times, ...pools.map((pool) => this.pools.get(pool).map(VALUES[kind])), this.times.map(() => limitOf(view, kind))];
      const plot = this.plots.get(kind);
      if (plot?.root.isConnected) plot.setData(data);
      else this.plots.set(kind, this.plot(place, view, pools, kind, data));
    }
  }

  plot(place, view, pools, kind, data) {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const role = (pool) => (pool === view.stable ? "stable" : pool === view.candidate ? "candidate" : "other");
    const line = (pool) => ({ label: pool, stroke: colour(role(pool)), width: 1.5, spanGaps: true, points: { show: false } });
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const top = (plot) => [0, highest(plot.data, kind === "failures" ? 1 : 5) * 1.1];
    const options = {
      width: place.clientWidth || 300,
      height: HEIGHT,
      padding: [10, 28, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: this.service }, points: { size: 6 }, drag: { x: false, y: false } },
      scales: { y: { range: top } },
      axes: [{ ...axis, space: 80, size: 26, incrs: STEPS, values: (_, times) => times.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })) }, { ...axis, size: 44, space: 32 }],
      series: [{}, ...pools.map(line), { label: "limit", stroke: colour("bad"), width: 1, dash: [4, 4], points: { show: false } }],
      hooks: { draw: [(plot) => this.mark(plot, colour)] },
    };
    const plot = new uPlot(options, data, place);
    this.observer.observe(place);
    return plot;
  }

  /** A line for each mark in sight. */
  mark(plot, colour) {
    const { ctx, bbox } = plot;
    for (const { at, colour: name } of this.marks) {
      if (at < plot.scales.x.min || at > plot.scales.x.max) continue;
      const x = plot.valToPos(at, "x", true);
      ctx.fillStyle = colour(name);
      ctx.globalAlpha = 0.6;
      ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
      ctx.globalAlpha = 1;
    }
  }

  resize() {
    this.plots.forEach((plot, kind) => {
      const width = document.getElementById(`chart-${kind}`)?.clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: HEIGHT });
    });
  }
}

/** What the axis has room for: the curves, and their limit where they are near it. */
function highest([, ...lines], least) {
  const limit = lines.pop().at(-1) ?? 0;
  const most = lines.flat().reduce((most, value) => Math.max(most, value ?? 0), least);
  return most >= limit * NEAR ? Math.max(most, limit) : most;
}

/** What the colours of the lines depend on. */
const looksOf = (view, pools) => JSON.stringify([[...pools.keys()], view.stable, view.candidate]);

/** The limit of a curve, as the evidence names it; none is null. */
export function limitOf(view, kind) {
  const evidence = view.rollout?.evidence ?? view.watch?.evidence ?? [];
  if (kind === "failures") return scaled(evidence.find((of) => of.metric === "error_rate" && !of.group), 100);
  if (kind === "p95") return scaled(evidence.find((of) => of.metric === "latency_p95" && !of.group), 1000);
  return null;
}

const scaled = (of, by) => (of ? of.limit * by : null);
