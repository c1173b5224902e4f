// The dashboard's start: who is there, which page, and drawing it when something is new.

import { html, nothing, render } from "./vendor/lit-html.js";
import { call, follow, live, reopen, signOut, watch } from "./live.js";
import { drawn, forget, onChange, said } from "./ask.js";
import { signIn } from "./signin.js";
import { overview } from "./overview.js";
import { servicePage } from "./service.js";
import { eventsPage } from "./events.js";
import { instancePage } from "./instance.js";
import { rolloutPage } from "./rollout.js";

const root = document.getElementById("app");
let page = null;
let scheduled = false;

function pageOf(pathname) {
  const [, first, second, third, fourth] = pathname.split("/");
  if (first === "s" && second && third === "r" && fourth) return rolloutPage(decodeURIComponent(second), decodeURIComponent(fourth), redraw);
  if (first === "s" && second) return servicePage(decodeURIComponent(second), redraw);
  if (first === "events") return eventsPage(redraw);
  if (first === "instance") return instancePage(redraw);
  return overview(redraw, go);
}

/** Draws at most once a frame of the screen, however much is new. */
function redraw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw() {
  if (!live.who) return render(signIn(enter, redraw), root);
  if (!page) {
    page = pageOf(location.pathname);
    document.title = page.title ? `${page.title} · Pointsman` : "Pointsman";
  }
  render(shell(page.view()), root);
  page.drawn?.();
  drawn();
}

function shell(content) {
  const is = (path) => (location.pathname === path ? "page" : nothing);
  const state = live.connected ? "live" : "connecting";
  const { who } = live;
  return html`<a class="skip" href="#main">Skip to the content</a>
    <header class="top">
      <a class="brand" href="/">Pointsman</a>
      <nav aria-label="Pages"><a href="/" aria-current=${is("/")}>Services</a><a href="/events" aria-current=${is("/events")}>Events</a><a href="/instance" aria-current=${is("/instance")}>Instance</a></nav>
      <span class="state ${state}">${state === "live" ? "live" : "connecting …"}</span>
      <span class="who">${who.name} <span class="quiet">(${who.role})</span></span>
      ${who.session ? html`<button type="button" @click=${leave}>Sign out</button>` : nothing}
    </header>
    ${said()}
    <main id="main" tabindex="-1">${content}</main>`;
}

function go(path) {
  if (path !== location.pathname) history.pushState(null, "", path);
  leavePage();
  draw();
  document.getElementById("main")?.focus();
  scrollTo(0, 0);
}

function leavePage() {
  page?.left?.();
  page = null;
  forget();
}

async function leave() {
  await signOut().catch(() => nothing);
  leavePage();
  draw();
}

function enter() {
  live.ended = false;
  reopen();
  redraw();
}

addEventListener("popstate", () => {
  leavePage();
  redraw();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, textarea") || event.metaKey || event.ctrlKey) return;
  const search = document.getElementById("search");
  event.preventDefault();
  if (search) return search.focus();
  if (live.who) {
    go("/");
    requestAnimationFrame(() => document.getElementById("search")?.focus());
  }
});

follow(() => {
  if (!live.who) leavePage();
  page?.news?.();
  redraw();
});
onChange(redraw);

root.textContent = "";
try {
  live.who = await call("GET", "/v1/session");
} catch {
  // The page to sign in says the rest.
}
watch();
draw();
