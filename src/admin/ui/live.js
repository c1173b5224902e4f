// What the pages are fed by: calls of the API, and the stream of frames, which is closed while nobody looks.

/** A problem that the API has answered with. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Calls the API; the answer's JSON, or null. Throws a Problem. */
export async function call(method, path, body, headers = {}) {
  const init = { method, headers: { accept: "application/json", "x-pointsman": "dashboard", ...headers } };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Problem(0, "Pointsman does not answer");
  }
  const text = await answer.text();
  let json = null;
  try {
    json = text ? JSON.parse(text) : null;
  } catch {
    // An answer that is no JSON, of a proxy in between perhaps, says no more than its status.
  }
  if (!answer.ok) throw new Problem(answer.status, json?.detail ?? `status ${answer.status}`);
  return json;
}

export const path = (...parts) => `/v1/services/${parts.map(encodeURIComponent).join("/")}`;

/** The points kept for the sparklines of the list. */
const SPARK_POINTS = 60;

/** The state that all pages share. */
export const live = { who: null, frame: null, connected: false, ended: false, sparks: new Map() };

const listeners = new Set();
let source = null;

/** Has `listener` called with each frame, and when the connection changes; the answer ends that. */
export function follow(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const tell = () => listeners.forEach((listener) => listener());

function take(event) {
  live.frame = JSON.parse(event.data);
  live.connected = true;
  for (const [name, service] of Object.entries(live.frame.services)) {
    const rate = Object.values(service.pools).reduce((sum, pool) => sum + pool.rate, 0);
    const spark = live.sparks.get(name) ?? [];
    spark.push(rate);
    live.sparks.set(name, spark.slice(-SPARK_POINTS));
  }
  for (const name of live.sparks.keys()) if (!(name in live.frame.services)) live.sparks.delete(name);
  tell();
}

function open() {
  if (source || document.hidden || !live.who) return;
  source = new EventSource("/v1/events?figures=true");
  source.addEventListener("figures", take);
  source.onerror = lost;
}

async function lost() {
  live.connected = false;
  const closed = source?.readyState === EventSource.CLOSED;
  tell();
  // Where the session has ended, no return will succeed: the API says so.
  const who = await call("GET", "/v1/session").catch(() => live.who);
  if (!who) {
    close();
    live.who = null;
    live.ended = true;
    return tell();
  }
  if (closed && source) {
    close();
    setTimeout(open, 2000);
  }
}

function close() {
  source?.close();
  source = null;
}

/** Watches, from a sign-in on, whenever the page can be seen. */
export function watch() {
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

export const reopen = open;

export async function signOut() {
  close();
  await call("DELETE", "/v1/session");
  live.who = null;
  live.frame = null;
  tell();
}
