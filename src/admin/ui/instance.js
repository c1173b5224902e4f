// The process itself: listeners and certificates, limits with their use, the configuration and its last reload, policies.

import { html, nothing } from "./vendor/lit-html.js";
import { call, live } from "./live.js";
import { needs } from "./overview.js";
import { count, moment, percent, seconds } from "./words.js";

export function instancePage(redraw) {
  const page = { view: null, fault: "", busy: false };

  async function load() {
    if (page.busy) return;
    page.busy = true;
    try {
      page.view = await call("GET", "/v1/instance");
      page.fault = "";
    } catch (problem) {
      page.fault = problem.message;
    }
    page.busy = false;
    redraw();
  }
  load();
  return {
    title: "Instance",
    news: load,
    view() {
      if (page.fault && !page.view) return html`<h1>Instance</h1><p class="fault" role="alert">${page.fault}</p>`;
      if (!page.view) return html`<h1>Instance</h1><p class="quiet">Loading …</p>`;
      return body(page.view);
    },
  };
}

function body(view) {
  const own = (live.frame?.needs ?? []).filter((need) => !need.service);
  return html`<div class="heading"><h1>Instance</h1><span>${view.version}</span></div>
    ${needs(own)}
    <section aria-labelledby="process"><h2 id="process">Process</h2>
      <dl class="facts">${[
        ["Process id", view.pid],
        ["Started", `${moment(view.started_at)}, ${seconds((Date.now() - Date.parse(view.started_at)) / 1000)} ago`],
      ].map(fact)}</dl></section>
    <section aria-labelledby="limits"><h2 id="limits">Limits</h2>
      <ul class="bars">${use("connections of clients", view.limits.connections, count)}${use("memory of bodies", view.limits.memory_bytes, mebibytes)}</ul></section>
    ${listeners([...view.listeners, view.admin], view.admin)}
    ${view.docker ? docker(view.docker) : nothing}
    ${view.fleet ? fleet(view.fleet) : nothing}
    ${configuration(view.configuration)}
    <section aria-labelledby="policies"><h2 id="policies">Policies</h2>
      <dl class="facts">${Object.entries(view.policies).map(([name, of]) => fact([name, `by ${of.mode}, for ${of.services.join(", ") || "nobody"}`]))}</dl></section>`;
}

const fact = ([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`;

const mebibytes = (bytes) => `${count(bytes / 1048576)} MiB`;

function use(name, { used, limit }, shown) {
  const share = limit > 0 ? Math.min(1, used / limit) : 0;
  const level = share >= 0.9 ? "fail" : share >= 0.7 ? "hold" : "pass";
  return html`<li><span class="name">${name}</span>
    <progress class=${level} max="1" value=${share} aria-label="${name}: ${percent(share * 100, 0)} used"></progress>
    <span class="small">${shown(used)} of ${shown(limit)}</span></li>`;
}

function listeners(all, admin) {
  const row = (of) => html`<tr><th scope="row">${of.scheme}://${of.address}</th>
    <td data-label="For">${of === admin ? "the admin API" : "clients"}</td>
    <td data-label="Clients" class="number">${of.connections ?? "–"}</td>
    <td data-label="Certificates">${(of.certificates ?? []).length === 0 ? "none" : of.certificates.map((one) => html`<div>${one.names.join(", ") || one.file}
      <span class=${one.complaint ? "bad" : "small"}>${one.complaint ?? `until ${moment(one.expires_at)}`}</span></div>`)}</td></tr>`;
  return html`<section aria-labelledby="listeners"><h2 id="listeners">Listeners</h2>
    <table class="failures"><thead><tr>${["Address", "For", "Clients", "Certificates"].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${all.map(row)}</tbody></table></section>`;
}

function docker(of) {
  return html`<section aria-labelledby="docker"><h2 id="docker">Docker</h2>
    <dl class="facts">${[["Asked at", of.socket], ["Containers that are upstreams", of.upstreams]].map(fact)}</dl>
    ${of.down ? html`<p class="bad">Not followed, so that all containers stay as they are: ${of.down}</p>` : nothing}
    ${of.refused.length > 0 ? html`<ul>${of.refused.map((one) => html`<li><code>${one.container}</code> ${one.detail}</li>`)}</ul>` : nothing}</section>`;
}

/** Digits of a configuration's digest: enough to tell two apart. */
const DIGITS = 8;

function fleet(of) {
  const state = (member) => (!member.alive ? html`<span class="bad">gone${member.last_seen ? ` since ${moment(member.last_seen)}` : ""}</span>` : member.ready ? "ready" : html`<span class="warn">joining</span>`);
  const row = (member) => html`<tr><th scope="row">${member.name}${member.leader ? html` <span class="chip">leads</span>` : nothing}${member.name === of.name ? html` <span class="small">this one</span>` : nothing}</th>
    <td data-label="State">${state(member)}</td>
    <td data-label="Version">${member.version ?? "–"}</td>
    <td data-label="Configuration">${member.config ? html`<code>${member.config.slice(0, DIGITS)}</code>` : "–"}</td></tr>`;
  return html`<section aria-labelledby="fleet"><h2 id="fleet">Fleet</h2>
    <table class="failures"><thead><tr>${["Member", "State", "Version", "Configuration"].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${of.members.map(row)}</tbody></table></section>`;
}

function configuration(view) {
  const last = view.last_reload;
  return html`<section aria-labelledby="configuration"><h2 id="configuration">Configuration</h2>
    <dl class="facts">${[["File", view.file ?? "none"], ["In effect since", moment(view.loaded_at)]].map(fact)}</dl>
    ${last ? html`<p>Last reload, by ${last.by}, ${moment(last.at)}: ${last.ok ? `done${last.changed.length > 0 ? `, changed ${last.changed.join(", ")}` : ", nothing had changed"}` : html`<span class="bad">refused: ${last.detail}</span>`}</p>` : nothing}
    ${(last?.errors ?? []).length > 0 ? html`<ul>${last.errors.map((error) => html`<li><code>${error.path}</code> ${error.detail}</li>`)}</ul>` : nothing}
    ${view.needs_restart.length > 0 ? html`<p>At the next start: ${view.needs_restart.join(", ")}</p>` : nothing}</section>`;
}
