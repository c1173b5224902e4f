// The track: requests come in, points lead them to the pools, a line each as thick as its weight, to its upstreams.
// What was shielded comes back in an arc; a mirrored line is dotted. The narrow drawing is for the phone.

import { html, nothing, svg } from "./vendor/lit-html.js";
import { colour } from "./overview.js";
import { count, milliseconds, percent, share } from "./words.js";

const THICKEST = 16;
const WIDE = { width: 920, row: 92, entry: 120, pool: 420, end: 890 };
const NARROW = { width: 340, row: 96, entry: 34, pool: 120, end: 326 };

export function track(view, frame) {
  return html`<figure class="track">${drawing(view, frame, WIDE, "wide")}${drawing(view, frame, NARROW, "narrow")}
    <figcaption class="unseen">${words(view)}</figcaption></figure>`;
}

const words = (view) =>
  Object.entries(view.pools)
    .map(([name, pool]) => `${name} takes ${percent(pool.effective_weight)}, ${pool.upstreams.filter((up) => up.state === "ready").length} of ${pool.upstreams.length} upstreams ready`)
    .join("; ");

function drawing(view, frame, size, name) {
  const pools = Object.entries(view.pools).sort(([one], [other]) => rank(view, one) - rank(view, other));
  const height = pools.length * size.row;
  const middle = size.row / 2;
  const rate = pools.reduce((sum, [pool]) => sum + (frame?.pools[pool]?.rate ?? 0), 0);
  const entry = size === WIDE
    ? svg`<text x="0" y=${middle - 16} class="big">${count(rate)}/s</text><text x="0" y=${middle + 28} class="note">requests</text>`
    : svg`<text x="0" y=${middle - 14} class="big">${count(rate)}/s</text>`;
  const at = (pool) => middle + pools.findIndex(([other]) => other === pool) * size.row;
  return html`<svg class=${name} viewBox="0 0 ${size.width} ${height}" aria-hidden="true">
    ${svg`<line x1="8" y1=${middle} x2=${size.entry} y2=${middle} class="entry" stroke-width=${THICKEST}></line>`}
    ${pools.map(([pool, of], index) => line(view, pool, of, size, middle, middle + index * size.row, frame))}
    ${shielded(view, at, size)}
    ${svg`<circle cx=${size.entry} cy=${middle} r="7" class="points"></circle>`}
    ${entry}
  </svg>`;
}

const rank = (view, pool) => (pool === view.stable ? 0 : pool === view.candidate ? 1 : 2);

function line(view, name, pool, size, from, y, frame) {
  const weight = pool.effective_weight;
  const thick = weight > 0 ? Math.max(2, (weight / 100) * THICKEST) : 1.5;
  const kind = colour(view, name);
  const bend = (size.entry + size.pool) / 2;
  const isMirror = view.rollout?.mirror && !view.rollout.outcome && view.rollout.to === name && weight === 0;
  const classes = `rail ${kind} ${weight > 0 ? "" : isMirror ? "mirror" : "idle"}`;
  const shape = `M${size.entry} ${from} C${bend} ${from} ${bend} ${y} ${size.pool} ${y} H${size.end}`;
  const now = frame?.pools[name];
  const version = pool.version ? ` · ${pool.version}` : "";
  const figures = weight > 0 || now?.rate ? `${count(now?.rate ?? 0)}/s · ${share(pool.window.error_rate)} failed · p95 ${milliseconds(now?.p95)}` : pool.quarantine ? "quarantined" : "no traffic";
  const left = size === WIDE ? size.pool : size.pool - 20;
  return svg`<path d=${shape} class=${classes} stroke-width=${thick}></path>
    <text x=${left} y=${y - 15} class="label ${kind}">${name}${version} <tspan class="weight">${percent(weight)}</tspan></text>
    <text x=${left} y=${y + 27} class="note">${figures}</text>
    ${ends(pool.upstreams, size, y)}`;
}

/** The upstreams as dots; more than a few as a number. */
function ends(upstreams, size, y) {
  const most = size === WIDE ? 12 : 5;
  const shown = upstreams.slice(0, most);
  const dots = shown.map((up, at) => svg`<circle cx=${size.end - (shown.length - 1 - at) * 17} cy=${y} r="6.5" class="up ${up.state}"><title>${up.address} ${up.state}</title></circle>`);
  const more = upstreams.length > most ? svg`<text x=${size.end + 7} y=${y + 27} class="note" text-anchor="end">+${upstreams.length - most}</text>` : nothing;
  return [...dots, more];
}

/** An arc from the candidate back to stable: failures that no user saw. */
function shielded(view, at, size) {
  const pool = view.candidate && view.pools[view.candidate];
  if (!pool || pool.window.shielded === 0) return nothing;
  const [from, to] = [at(view.candidate), at(view.stable)];
  const x = size === WIDE ? 740 : 262;
  return svg`<path d="M${x} ${from} C${x + 60} ${from} ${x + 60} ${to} ${x} ${to}" class="shield"></path>
    ${size === WIDE ? svg`<text x=${x + 56} y=${(from + to) / 2 + 5} class="note">${count(pool.window.shielded)} shielded</text>` : nothing}`;
}
