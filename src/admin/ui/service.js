// One service: its track, how far it is from an abort, the steps, the curves, upstreams and history.

import { html, nothing } from "./vendor/lit-html.js";
import { live, path } from "./live.js";
import { actions, upstreamActions } from "./buttons.js";
import { Charts, limitOf } from "./charts.js";
import { rows } from "./events.js";
import { loader } from "./loader.js";
import { needs, versions } from "./overview.js";
import { track } from "./track.js";
import { count, events, limit, metric, milliseconds, moment, percent, plural, seconds, share } from "./words.js";

const HISTORY_ROWS = 30;
/** Bars of evidence that are shown. */
const BARS = 8;

export function servicePage(name, redraw) {
  const loading = loader(name, { address: path(name), rows: HISTORY_ROWS }, redraw);
  const { page, load } = loading;
  const charts = new Charts(name);
  return {
    title: name,
    news: load,
    left() {
      loading.left();
      charts.end();
    },
    drawn() {
      if (page.view) charts.show(page.view, live.frame, page.history);
    },
    view: () => loading.view(name, html`<a href="/">All services</a>`, () => body(name, page, load)),
  };
}

function body(name, { view, history, fault }, load) {
  const frame = live.frame?.services[name];
  const running = view.rollout && !view.rollout.outcome ? view.rollout : null;
  return html`
    <div class="heading"><h1>${name}</h1>
      <span>${versions(view)}</span>
      ${running ? html`<span class="chip ${running.verdict.state}">${running.phase}</span>` : nothing}
      ${view.maintenance ? html`<span class="chip hold">maintenance</span>` : nothing}
      ${running?.set ? html`<span>with ${others(view.name, running.set)} in the set ${running.set.name}</span>` : nothing}
    </div>
    ${fault ? html`<p class="fault">${fault}</p>` : nothing}
    ${needs((live.frame?.needs ?? []).filter((need) => need.service === name))}
    ${actions(view, live.who, load)}
    <section aria-label="Traffic">${track(view, frame)}</section>
    ${running ? timeline(running) : last(view.rollout)}
    ${distance(view, running)}
    <section aria-labelledby="curves"><h2 id="curves">15 minutes</h2>
      <div class="charts">${["rate", "failures", "p95"].map((kind) => html`<div><h3>${CHARTS[kind]} ${limitIn(view, kind)}</h3><div class="chart" id="chart-${kind}" role="img" aria-label="${CHARTS[kind]} over 15 minutes"></div></div>`)}</div>
      <p class="key">${Object.keys(view.pools).map((pool) => html`<span class="pool-${keyOf(view, pool)}">${pool}</span>`)}<span class="limit">limit</span><span class="mark">events</span></p>
    </section>
    ${upstreams(view, load)}
    <section aria-labelledby="history"><h2 id="history">History</h2>${rows(history, false)}</section>`;
}

const others = (name, set) =>
  set.services.filter((other) => other !== name).map((other, at) => html`${at > 0 ? ", " : ""}<a href="/s/${encodeURIComponent(other)}">${other}</a>`);

/** The limit of a curve in words, since the curves may be far below it. */
function limitIn(view, kind) {
  const value = limitOf(view, kind);
  if (value === null) return nothing;
  return html`<span class="limit-words">limit ${kind === "failures" ? percent(value) : milliseconds(value)}</span>`;
}

const CHARTS = { rate: "Requests a second", failures: "Failures, %", p95: "p95, ms" };

const keyOf = (view, pool) => (pool === view.stable ? "stable" : pool === view.candidate ? "candidate" : "other");

/** The page that stays of a rollout. */
const course = (rollout) => html`<a href="/s/${encodeURIComponent(rollout.service)}/r/${encodeURIComponent(rollout.id)}">Course, and the requests that failed</a>`;

function last(rollout) {
  if (!rollout) return nothing;
  const what = rollout.version ?? rollout.to;
  return html`<section aria-labelledby="last"><h2 id="last">Last rollout</h2>
    <p><span class="chip ${rollout.outcome === "aborted" ? "fail" : "pass"}">${rollout.outcome}</span> ${what} to ${rollout.to}${rollout.ended_at ? `, ${moment(rollout.ended_at)}` : ""}${rollout.reason ? `: ${rollout.reason}` : ""}</p>
    <p>${course(rollout)}</p></section>`;
}

/** A duration of the configuration, `1h30m`, in seconds. */
function inSeconds(text) {
  const units = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };
  return [...text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)].reduce((sum, [, number, unit]) => sum + number * units[unit], 0);
}

/** The steps, wider the longer they hold; the one under way fills as its time passes. */
function timeline(rollout) {
  const isRolling = rollout.instances?.length > 0;
  const isBaking = rollout.phase === "baking";
  const isStill = rollout.phase === "paused" && rollout.step === 0 && rollout.weight === 0;
  const before = isStill || ["preparing", "testing"].includes(rollout.phase);
  const isHeld = rollout.verdict.state === "hold" || rollout.phase === "paused" || rollout.waits_for;
  const longest = Math.max(1, ...rollout.steps.map((step) => inSeconds(step.hold)));
  const step = (of, index) => {
    const isNow = !isBaking && !before && index === rollout.step;
    const state = isNow ? "now" : isBaking || (!before && index < rollout.step) ? "done" : "next";
    const wide = 1 + Math.round((inSeconds(of.hold) / longest) * 3);
    const name = of.mirror ? `mirror ${percent(of.mirror)}` : percent(of.weight);
    return html`<li class="step ${state} wide-${wide} ${isNow && isHeld ? "held" : ""}" aria-current=${isNow ? "step" : nothing}>
      <span class="name">${of.gate ? html`<span class="gate" title="waits for an approval">◆</span>` : nothing}${name}</span>
      <span class="small">${inSeconds(of.hold) > 0 ? of.hold : "at once"}</span>${isNow ? fill(rollout.hold) : nothing}</li>`;
  };
  const bake = html`<li class="step ${isBaking ? "now" : "next"} wide-2 ${isBaking && isHeld ? "held" : ""}" aria-current=${isBaking ? "step" : nothing}><span class="name">bake</span>
    <span class="small">${isBaking && rollout.hold ? seconds(rollout.hold.needed_s) : "then stable"}</span>${isBaking ? fill(rollout.hold) : nothing}</li>`;
  return html`<section aria-labelledby="steps"><h2 id="steps">${rollout.version ?? rollout.to}: ${rollout.phase}</h2>
    <p class="sentence">${sentence(rollout)} ${course(rollout)}</p>
    ${isRolling ? instances(rollout.instances) : html`<ol class="timeline">
      <li class="step ${before ? "now" : "done"} wide-1 ${before && isHeld ? "held" : ""}"><span class="name">${before ? (rollout.waits_for ?? rollout.phase) : "healthy"}</span><span class="small">${rollout.strategy}</span></li>
      ${rollout.steps.map(step)}${bake}</ol>`}
  </section>`;
}

const fill = (hold) =>
  hold && hold.needed_s > 0 ? html`<progress max=${hold.needed_s} value=${Math.min(hold.passed_s, hold.needed_s)} aria-label="time passed"></progress>` : nothing;

const instances = (all) => html`<ul class="instances">${all.map((of) => html`<li class=${of.stage}>${of.upstream} <span class="small">${of.stage}</span></li>`)}</ul>`;

/** What it does now, or why nothing moves. */
function sentence(rollout) {
  const reasons = rollout.verdict.reasons.map((reason) => reason.text);
  if (rollout.waits_for === "approval") return "Waits for an approval: resume goes on, abort goes back.";
  if (rollout.waits_for) return `Waits for the hook ${rollout.waits_for}.`;
  if (rollout.phase === "paused") return `Paused${rollout.reason ? `: ${rollout.reason}` : ""}.`;
  if (rollout.verdict.state !== "pass" && reasons.length > 0) return `${rollout.verdict.state === "hold" ? "Held" : "Failed"}: ${reasons.join("; ")}`;
  const { hold } = rollout;
  if (!hold) return rollout.reason ?? "";
  const attempts = hold.min_attempts > hold.attempts ? `, and ${plural(hold.min_attempts - hold.attempts, "more attempt")}` : "";
  return `${seconds(hold.needed_s - hold.passed_s)} to go${attempts}.`;
}

/** How far the candidate, or what is watched, is from an abort. */
function distance(view, running) {
  const evidence = running?.evidence ?? view.watch?.evidence ?? [];
  if (!running && !view.watch) return nothing;
  const what = running ? running.to : view.watch.pool;
  const near = (of) => (of.needed > 0 ? Math.min(1, Math.max(0, of.ln / of.needed)) : 0);
  const all = [...evidence].sort((one, other) => near(other) - near(one));
  // A comparison that shows nothing is no news; a limit is, for it says how far away it is.
  const shown = all.filter((of) => near(of) > 0 || !isCompared(of)).slice(0, BARS);
  const rest = all.length - shown.length;
  return html`<section aria-labelledby="distance"><h2 id="distance">How far ${what} is from an abort</h2>
    ${shown.length === 0 && rest === 0 ? html`<p class="quiet">No evidence yet.</p>` : nothing}
    <ul class="bars">${shown.map((of) => bar(of, near(of), (running ?? view.watch).verdict.state))}</ul>
    ${rest > 0 ? html`<p class="small">${plural(rest, "comparison")} with stable or between groups ${rest === 1 ? "shows" : "show"} nothing, or less.</p>` : nothing}
  </section>`;
}

// One beside stable's past has a share for its limit, as a limit has.
const isCompared = (of) => of.metric.includes("relative") || of.metric.includes("over_stable");

function bar(of, near, verdict) {
  // A comparison that is broken and does not abort holds.
  const holds = isCompared(of) && verdict !== "fail";
  const level = near >= 0.75 && !holds ? "fail" : near >= 0.4 ? "hold" : "pass";
  const abort = of.events_to_abort ? `; ${count(of.events_to_abort)} more in a row abort` : "";
  const found = isCompared(of)
    ? `${limit(of.metric, of.observed)} as often as with stable (${count(of.events)} of ${count(of.attempts)})${holds && near >= 1 ? "; holds" : ""}`
    : of.attempts === 0
      ? `none lately; limit ${limit(of.kind, of.limit)}`
      : `${count(of.events)} of ${count(of.attempts)} ${events(of.kind)}${of.kind === "errors" ? ` (${share(of.observed)})` : ""}; limit ${limit(of.kind, of.limit)}`;
  return html`<li><span class="name">${metric(of)}</span>
    <progress class=${level} max="1" value=${near} aria-label="${metric(of)}: ${percent(near * 100, 0)} of the evidence needed"></progress>
    <span class="small">${found}${abort}</span></li>`;
}

/** Seconds since a time of the API, by the server's clock. */
const ago = (at) => Math.max(0, (live.frame ? live.frame.at : Date.now() / 1000) - Date.parse(at) / 1000);

function upstreams(view, load) {
  const of = ([pool, { upstreams: all }]) => all.map((up) => html`<tr>
    <th scope="row">${up.address}${up.resolved ? html` <span class="quiet">${up.resolved}</span>` : nothing}</th>
    <td data-label="Pool"><span class="pool-${keyOf(view, pool)}">${pool}</span></td>
    <td data-label="State"><span class="chip ${up.state}">${up.state}</span> ${up.since ? html`<span class="small" title="since ${moment(up.since)}">for ${seconds(ago(up.since))}</span>` : nothing}
      ${up.detail ? html`<div class="small">${up.detail}</div>` : nothing}</td>
    <td data-label="Last check">${up.checked ? html`<time datetime=${up.checked} title=${moment(up.checked)}>${seconds(ago(up.checked))} ago</time>` : html`<span class="quiet">none</span>`}</td>
    <td data-label="In flight" class="number">${count(up.in_flight)}</td>
    <td>${upstreamActions(view, pool, up, live.who, load)}</td></tr>`);
  return html`<section aria-labelledby="upstreams"><h2 id="upstreams">Upstreams</h2>
    <table class="upstreams"><thead><tr>${["Upstream", "Pool", "State", "Last check", "In flight", html`<span class="unseen">Actions</span>`].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${Object.entries(view.pools).map(of)}</tbody></table></section>`;
}
