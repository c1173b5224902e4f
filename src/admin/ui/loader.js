// What a page about one service shows: asked for with every frame, and its history whenever that has a new row.

import { html } from "./vendor/lit-html.js";
import { call, live, path } from "./live.js";

/**
 * Asks for `address`, and for so many `rows` of the service's history, of which those that pass `keep` stay. What
 * `isFinal` says of the view is that only a new row makes another.
 */
export function loader(service, { address, rows, keep = () => true, isFinal = () => false }, redraw) {
  const page = { view: null, history: [], newest: -1, fault: "" };
  let [isBusy, isLeft] = [false, false];

  async function load() {
    const newest = live.frame?.newest ?? 0;
    if (isBusy || (newest === page.newest && page.view && isFinal(page.view))) return;
    isBusy = true;
    try {
      page.view = await call("GET", address);
      if (newest !== page.newest) {
        const answer = await call("GET", `${path(service, "history")}?limit=${rows}`);
        [page.history, page.newest] = [answer.history.filter(keep), newest];
      }
      page.fault = "";
    } catch (problem) {
      page.fault = problem.message;
    }
    isBusy = false;
    if (!isLeft) redraw();
  }
  load();
  return {
    page,
    load,
    left() {
      isLeft = true;
    },
    /** The page's `body`, or below `heading` why there is none; `back` is a link to where there is more. */
    view(heading, back, body) {
      if (page.view) return body(page);
      if (page.fault) return html`<h1>${heading}</h1><p class="fault" role="alert">${page.fault}</p><p>${back}</p>`;
      return html`<h1>${heading}</h1><p class="quiet">Loading …</p>`;
    },
  };
}
