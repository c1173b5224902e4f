// The history over all services, as it is written, and the rows that a service's page shows too.

import { html, nothing } from "./vendor/lit-html.js";
import { call, live } from "./live.js";
import { clock, moment } from "./words.js";

const PAGE_ROWS = 100;
const BAD = ["aborted", "rollback", "returned", "taken-back", "degraded", "refuge"];
const GOOD = ["promoted", "verified", "recovered", "approved"];

export function rows(history, isOfAll) {
  if (history.length === 0) return html`<p class="quiet">Nothing has happened yet.</p>`;
  const row = (of) => html`<li class=${BAD.includes(of.action) ? "bad" : GOOD.includes(of.action) ? "good" : ""}>
    <time datetime=${of.at} title=${moment(of.at)}>${clock(of.at)}</time>
    <span class="action">${of.action}</span>
    ${isOfAll && of.service ? html`<a href="/s/${encodeURIComponent(of.service)}">${of.service}</a>` : nothing}
    <span class="text">${of.text}</span>
    <span class="quiet">${of.actor}</span></li>`;
  return html`<ol class="history">${history.map(row)}</ol>`;
}

export function eventsPage(redraw) {
  const page = { history: null, newest: -1, next: null, fault: "", busy: false };

  async function ask(address, keep) {
    page.busy = true;
    try {
      const answer = await call("GET", address);
      page.history = [...keep, ...answer.history];
      page.next = answer.next ?? null;
      page.fault = "";
    } catch (problem) {
      page.fault = problem.message;
    }
    page.busy = false;
    redraw();
  }

  function load() {
    const newest = live.frame?.newest ?? 0;
    if (page.busy || newest === page.newest) return;
    page.newest = newest;
    ask(`/v1/history?limit=${PAGE_ROWS}`, []);
  }
  load();
  return {
    title: "Events",
    news: load,
    view() {
      return html`<h1>Events</h1>
        ${page.fault ? html`<p class="fault" role="alert">${page.fault}</p>` : nothing}
        ${page.history ? rows(page.history, true) : html`<p class="quiet">Loading …</p>`}
        ${page.next ? html`<button type="button" ?disabled=${page.busy} @click=${() => ask(page.next, page.history)}>Older</button>` : nothing}`;
    },
  };
}
