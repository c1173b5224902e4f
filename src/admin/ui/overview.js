// The list of services, trouble first, and on top what waits for somebody.

import { html, nothing, svg } from "./vendor/lit-html.js";
import { live } from "./live.js";
import { count, milliseconds, percent, plural, seconds, share } from "./words.js";

const TROUBLE = ["dark", "gate", "hold", "paused", "refuge", "down"];
/** A share of failures that puts a service before others. */
const FAILING = 0.01;

export function overview(redraw, go) {
  let filter = "";
  const type = (event) => {
    filter = event.target.value.trim().toLowerCase();
    redraw();
  };
  const keys = (event) => {
    if (event.key === "Escape") {
      event.target.value = filter = "";
      event.target.blur();
      redraw();
    }
    if (event.key === "Enter") {
      const first = document.querySelector(".services a.name");
      if (first) go(first.getAttribute("href"));
    }
  };
  return {
    title: "",
    view() {
      const frame = live.frame;
      if (!frame) return html`<p class="quiet">Waiting for the first figures …</p>`;
      const rows = sorted(frame).filter(([name]) => name.toLowerCase().includes(filter));
      return html`<h1 class="unseen">Services</h1>
        ${needs(frame.needs)}
        <search class="bar">
          <label class="unseen" for="search">Search services</label>
          <input id="search" type="search" placeholder="Search ( / )" autocomplete="off" @input=${type} @keydown=${keys}>
          <span class="quiet">${rows.length} of ${plural(Object.keys(frame.services).length, "service")}</span>
          ${frame.fleet ? html`<a class="quiet" href="/instance">fleet: ${frame.fleet}</a>` : nothing}
        </search>
        <table class="services">
          <thead><tr>${["Service", "Traffic", "Version", "Phase", "Rate", "Errors", "p95", "Upstreams"].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
          <tbody>${rows.map(([name, service]) => row(name, service))}</tbody>
        </table>
        ${rows.length === 0 ? html`<p class="quiet">No service is named so.</p>` : nothing}`;
    },
  };
}

/** What waits for somebody; a service's own, where one is named. */
export function needs(all) {
  if (all.length === 0) return nothing;
  const line = (need) => html`<li class=${need.kind}><span class="kind">${need.kind}</span>
    ${need.service ? html`<a href="/s/${encodeURIComponent(need.service)}">${need.service}</a>` : nothing}
    <span class="text">${need.text}</span></li>`;
  return html`<section class="needs" aria-labelledby="needs"><h2 id="needs">Needs you</h2><ul>${all.map(line)}</ul></section>`;
}

function sorted(frame) {
  const worst = new Map();
  for (const need of frame.needs) {
    const rank = TROUBLE.indexOf(need.kind);
    if (rank >= 0) worst.set(need.service, Math.min(rank, worst.get(need.service) ?? TROUBLE.length));
  }
  const rank = ([name, service]) =>
    worst.get(name) ?? (service.verdict === "fail" ? 6 : failing(service) >= FAILING ? 7 : service.phase ? 8 : 9);
  return Object.entries(frame.services).sort((one, other) => rank(one) - rank(other) || one[0].localeCompare(other[0], undefined, { numeric: true }));
}

const poolsOf = (service) => Object.entries(service.pools);

const failing = (service) => Math.max(0, ...poolsOf(service).map(([, pool]) => (pool.weight > 0 ? pool.error_rate : 0)));

export const colour = (service, pool) =>
  pool === service.candidate ? "candidate" : pool === service.stable ? "stable" : "other";

function row(name, service) {
  const pools = poolsOf(service);
  const rate = pools.reduce((sum, [, pool]) => sum + pool.rate, 0);
  const p95 = Math.max(...pools.map(([, pool]) => pool.p95 ?? -1));
  const up = pools.reduce(([ready, all], [, pool]) => [ready + pool.up[0], all + pool.up[1]], [0, 0]);
  const errors = failing(service);
  return html`<tr class=${service.verdict ?? ""}>
    <th scope="row"><a class="name" href="/s/${encodeURIComponent(name)}">${name}</a>
      ${service.maintenance ? html`<span class="chip hold">maintenance</span>` : nothing}
      ${service.set ? html`<span class="chip" title="goes on and back with the services of this set">set ${service.set}</span>` : nothing}</th>
    <td data-label="Traffic">${weights(service)}</td>
    <td data-label="Version">${versions(service)}</td>
    <td data-label="Phase">${phase(service)}</td>
    <td data-label="Rate" class="number">${spark(live.sparks.get(name) ?? [])}<span>${count(rate)}/s</span></td>
    <td data-label="Errors" class=${errors >= FAILING ? "number bad" : "number"}>${rate > 0 ? share(errors) : "–"}</td>
    <td data-label="p95" class="number">${milliseconds(p95 < 0 ? null : p95)}</td>
    <td data-label="Upstreams" class=${up[0] < up[1] ? "number warn" : "number"}>${up[0]}/${up[1]}</td>
  </tr>`;
}

/** The weights of the pools as a bar, and in words. */
function weights(service) {
  let at = 0;
  const parts = poolsOf(service).sort(([one], [other]) => (other === service.stable) - (one === service.stable));
  const bars = parts.map(([name, pool]) => {
    const bar = svg`<rect class=${colour(service, name)} x=${at} y="0" width=${pool.weight} height="8"></rect>`;
    at += pool.weight;
    return bar;
  });
  const words = parts.filter(([, pool]) => pool.weight > 0).map(([name, pool]) => `${name} ${percent(pool.weight)}`);
  return html`<svg class="weights" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">${bars}</svg>
    <span class="small">${words.join(" · ") || "nobody"}</span>`;
}

export function versions(service) {
  const version = (pool) => service.pools[pool]?.version ?? pool;
  if (!service.candidate) return html`<span class="stable-text">${version(service.stable)}</span>`;
  return html`<span class="stable-text">${version(service.stable)}</span> → <span class="candidate-text">${version(service.candidate)}</span>`;
}

function phase(service) {
  if (!service.phase) return html`<span class="quiet">${service.last ? `last ${service.last}` : "–"}</span>`;
  const [step, all] = service.step ?? [0, 0];
  const steps = service.phase === "shifting" ? ` ${step}/${all}` : "";
  const { hold } = service;
  const left = hold && hold.needed_s > 0 ? html`<span class="small">${seconds(hold.needed_s - hold.passed_s)} left</span>` : nothing;
  return html`<span class="chip ${service.verdict ?? ""}">${service.phase}${steps}</span> ${left}`;
}

function spark(rates) {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, at) => `${60 - rates.length + at},${(15 - (rate / most) * 14).toFixed(1)}`);
  return html`<svg class="spark" viewBox="0 0 60 16" aria-hidden="true">${svg`<polyline points=${points.join(" ")}></polyline>`}</svg>`;
}
