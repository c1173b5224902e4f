// One rollout, running or ended: its course as a picture, why it ended, the requests that decided, its history.

import { html, nothing } from "./vendor/lit-html.js";
import { path } from "./live.js";
import { rows } from "./events.js";
import { loader } from "./loader.js";
import { clock, moment, percent, seconds } from "./words.js";

const HISTORY_ROWS = 200;

export function rolloutPage(service, id, redraw) {
  const loading = loader(
    service,
    {
      address: path(service, "rollouts", id),
      rows: HISTORY_ROWS,
      keep: (row) => row.rollout === id,
      isFinal: (view) => Boolean(view.outcome),
    },
    redraw,
  );
  return {
    title: `${service} · rollout`,
    news: loading.load,
    left: loading.left,
    view: () => loading.view("Rollout", html`<a href="/s/${encodeURIComponent(service)}">${service}</a>`, body),
  };
}

function body({ view, history, newest }) {
  const ended = view.outcome;
  const to = view.version ? `${view.version} on ${view.to}` : view.to;
  // The picture is another one with each row of the history.
  const course = `${path(view.service, "rollouts", view.id, "course.svg")}?seen=${newest}`;
  return html`
    <div class="heading"><h1><a href="/s/${encodeURIComponent(view.service)}">${view.service}</a>: ${to}</h1>
      <span class="chip ${ended === "aborted" ? "fail" : ended ? "pass" : view.verdict.state}">${ended ?? view.phase}</span></div>
    <section aria-labelledby="course"><h2 id="course">Course</h2>
      ${view.reason ? html`<p class="sentence">${view.reason}</p>` : nothing}
      <div class="scroll" tabindex="0" role="region" aria-label="The course as a picture"><img class="course" src=${course} alt=${words(view)}></div>
      <dl class="facts">${facts(view).map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl></section>
    ${reasons(view)}
    ${failures(view.failures ?? [], view)}
    <section aria-labelledby="history"><h2 id="history">History</h2>${rows(history, false)}</section>`;
}

const words = (view) =>
  `${view.strategy} from ${view.from} to ${view.to}, ${view.steps.length} steps, ${view.outcome ?? view.phase}${view.reason ? `: ${view.reason}` : ""}`;

function facts(view) {
  const took = view.ended_at ? (Date.parse(view.ended_at) - Date.parse(view.started_at)) / 1000 : null;
  return [
    ["Strategy", view.dry_run ? `${view.strategy}, dry run` : view.strategy],
    ["From", view.from],
    ["Steps", view.steps.map((step) => (step.mirror ? `mirror ${percent(step.mirror)}` : percent(step.weight))).join(" · ") || "–"],
    ["Started", moment(view.started_at)],
    ["Ended", view.ended_at ? `${moment(view.ended_at)}, after ${seconds(took)}` : "not yet"],
    ["Id", view.id],
  ];
}

function reasons(view) {
  const texts = view.verdict.reasons.map((reason) => reason.text).filter((text) => text !== view.reason);
  if (texts.length === 0) return nothing;
  return html`<section aria-labelledby="verdict"><h2 id="verdict">Verdict: ${view.verdict.state}</h2><ul>${texts.map((text) => html`<li>${text}</li>`)}</ul></section>`;
}

/** What the log and the upstream know these requests by. */
function failures(all, view) {
  if (all.length === 0) return view.outcome ? nothing : html`<section><h2>Requests that failed</h2><p class="quiet">None so far.</p></section>`;
  const row = (of) => html`<tr><td data-label="Time"><time datetime=${of.at} title=${moment(of.at)}>${clock(of.at)}</time></td>
    <th scope="row">${of.request}</th>
    <td data-label="Outcome" class="bad">${of.status ?? ""} ${of.outcome === "status" ? "" : of.outcome}</td>
    <td data-label="Upstream">${of.upstream ?? "none"}</td>
    <td data-label="Request id"><code>${of.request_id}</code></td></tr>`;
  return html`<section aria-labelledby="failures"><h2 id="failures">${view.outcome === "aborted" ? "Requests that decided" : "Requests that failed"}</h2>
    <table class="failures"><thead><tr>${["Time", "Request", "Outcome", "Upstream", "Request id"].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${all.toReversed().map(row)}</tbody></table></section>`;
}
