// A question asked in place: what will happen, in words, and the button that does it.

import { html, nothing } from "./vendor/lit-html.js";
import { call } from "./live.js";

/** How long the answer to an action is shown. */
const STAYS_MS = 15000;

/** The question that is open, if one is: { key, label, asks, verb, method, path, body, headers, done, after }. */
let open = null;
let busy = false;
let answer = { text: "", bad: false };
let fading;
let redraw = () => {};
/** What gets the focus once it is drawn. */
let focus = null;

export const onChange = (callback) => {
  redraw = callback;
};

/** What became of the last action, for everybody to hear. */
export const said = () => html`<p class=${answer.bad ? "said fault" : "said"} role="status" aria-live="polite">${answer.text}</p>`;

export function say(text, bad = false) {
  answer = { text, bad };
  clearTimeout(fading);
  fading = setTimeout(() => say(""), STAYS_MS);
  redraw();
}

export function forget() {
  open = null;
  answer = { text: "", bad: false };
}

function close() {
  const label = open?.label;
  open = null;
  // The button is another one now, if it is still there.
  focus = () => [...document.querySelectorAll("main button")].find((one) => one.textContent.trim() === label) ?? document.getElementById("main");
  redraw();
}

/** To be called once everything is drawn. */
export function drawn() {
  const target = focus?.();
  focus = null;
  target?.focus();
}

async function confirm() {
  const question = open;
  busy = true;
  redraw();
  try {
    const result = await call(question.method, question.path, question.body, question.headers);
    say(result?.detail ?? question.done);
  } catch (problem) {
    const text = problem.status === 412 ? "It has changed meanwhile; look again, and ask again." : problem.message;
    say(`Not done: ${text}`, true);
  }
  busy = false;
  close();
  question.after?.();
}

/**
 * A button that asks first. `off` is the reason why it cannot be used now; `asks` is what will happen.
 * The key tells questions apart; the question stands where the button is.
 */
export function button({ key, label, off, danger, ...question }) {
  if (open?.key === key) return asked(label, danger);
  const start = () => {
    if (off) return say(off, true);
    open = { key, label, ...question };
    focus = () => document.querySelector("[data-confirm]");
    redraw();
  };
  return html`<button type="button" class=${danger ? "danger" : ""} aria-disabled=${off ? "true" : "false"}
    title=${off || nothing} @click=${start}>${label}</button>`;
}

function asked(label, danger) {
  const keys = (event) => event.key === "Escape" && close();
  return html`<div class="asked" role="group" aria-label=${`${label}?`} @keydown=${keys}>
    <p>${open.asks}</p>
    <button type="button" data-confirm class=${danger ? "danger solid" : "primary"} ?disabled=${busy} @click=${confirm}>${open.verb ?? label}</button>
    <button type="button" ?disabled=${busy} @click=${close}>Leave it</button>
  </div>`;
}
