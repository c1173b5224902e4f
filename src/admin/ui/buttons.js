// What somebody may do to a service: each button says what will happen before it does, or why it is off.
// The role `read` has none.

import { html, nothing } from "./vendor/lit-html.js";
import { path } from "./live.js";
import { button } from "./ask.js";
import { percent } from "./words.js";

export function actions(view, who, after) {
  if (who.role === "read") return nothing;
  const running = view.rollout && !view.rollout.outcome ? view.rollout : null;
  return html`<section class="actions" aria-label="Actions">
    ${running ? ofRollout(view, running, after) : flips(view, after)}
    ${rollback(view, running, after)}
    ${maintenance(view, after)}
  </section>`;
}

const named = (view, pool) => (view.pools[pool]?.version ? `${view.pools[pool].version} on ${pool}` : pool);

/** What was seen is what is changed: a call is refused where the service has changed since. */
const seen = (view) => ({ "if-match": `"${view.revision}"` });

function ofRollout(view, rollout, after) {
  const what = rollout.version ?? rollout.to;
  const all = rollout.set ? ` So it is for every service of the set ${rollout.set.name ?? ""}.` : "";
  const act = (action, off, asks, rest = {}) => button({
    key: action, label: action[0].toUpperCase() + action.slice(1), off, asks: asks + all, method: "POST",
    path: path(view.name, "rollouts", rollout.id, action), headers: seen(view), done: `${what}: ${action} is done.`, after, ...rest,
  });
  // A pause or an abort of this rollout is meant whatever has changed meanwhile.
  const anyway = { headers: undefined };
  const still = rollout.phase === "paused" || rollout.waits_for === "approval";
  return [
    act("promote", "", `${named(view, rollout.to)} takes all traffic and becomes stable; the steps that are left are skipped.`),
    act("pause", rollout.phase === "paused" ? "It is paused already" : "", `${what} keeps ${percent(rollout.weight)} until it is resumed. A broken limit still aborts it.`, anyway),
    act("resume", still ? "" : "It is neither paused nor at a gate", rollout.waits_for === "approval" ? `This is the approval: ${what} goes on.` : `${what} goes on where it was.`),
    act("abort", "", `All traffic goes back to ${named(view, rollout.from)}, and ${what} is quarantined.`, { danger: true, ...anyway }),
  ];
}

function flips(view, after) {
  const others = Object.keys(view.pools).filter((pool) => pool !== view.stable);
  return others.map((pool) => {
    const { upstreams, quarantine } = view.pools[pool];
    const down = upstreams.every((up) => up.state !== "ready");
    return button({
      key: `flip-${pool}`, label: `Flip to ${pool}`,
      off: quarantine ? `Not to ${pool}: ${quarantine}` : down ? `No upstream of ${pool} is ready` : "",
      asks: `All traffic goes to ${named(view, pool)} at once; ${named(view, view.stable)} stays as the way back.`,
      verb: `Flip to ${pool}`, method: "POST", path: path(view.name, "flip"), body: { to: pool }, headers: seen(view),
      done: `${pool} has all traffic.`, after,
    });
  });
}

function rollback(view, running, after) {
  if (running) return nothing;
  const off = view.previous ? "" : (view.no_way_back ?? "No pool was stable before");
  return button({
    key: "rollback", label: "Roll back", off, danger: true, method: "POST", path: path(view.name, "rollback"), headers: seen(view),
    asks: `All traffic goes back to ${named(view, view.previous)} at once.`, done: "Rolled back.", after,
  });
}

function maintenance(view, after) {
  const on = !view.maintenance;
  return button({
    key: "maintenance", label: on ? "Maintenance" : "End maintenance", danger: on, method: "PUT", path: "/v1/maintenance",
    body: { status: on ? "maintenance" : "operational", service: view.name, ...(on ? { duration: "30m" } : {}) },
    asks: on ? `Clients of ${view.name} get 503 with the page of the maintenance for 30 minutes, or until it is ended.` : `${view.name} serves again.`,
    verb: on ? "Begin maintenance" : "End it", done: on ? "Maintenance has begun." : "Maintenance has ended.", after,
  });
}

export function upstreamActions(view, pool, up, who, after) {
  if (who.role === "read") return nothing;
  const drains = up.state !== "draining";
  const others = view.pools[pool].upstreams.filter((other) => other.address !== up.address && other.state === "ready");
  const off = drains && up.state === "ready" && others.length === 0 && view.pools[pool].weight > 0 ? "It is the last ready upstream of the pool" : "";
  const action = drains ? "drain" : "ready";
  return button({
    key: `${action}-${pool}-${up.address}`, label: drains ? "Drain" : "Ready", off, method: "POST",
    path: path(view.name, "pools", pool, "upstreams", up.address, action), headers: seen(view),
    asks: drains ? `${up.address} gets no new requests; those in flight are finished.` : `${up.address} takes requests again.`,
    done: drains ? `${up.address} drains.` : `${up.address} is back.`, after,
  });
}
