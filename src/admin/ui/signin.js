// Signing in: a token is given once, and a session's cookie stands for it, which no script can read.

import { html, nothing } from "./vendor/lit-html.js";
import { call, live } from "./live.js";

let fault = "";

export function signIn(done, redraw) {
  const send = async (event) => {
    event.preventDefault();
    const field = event.target.elements.token;
    try {
      live.who = await call("POST", "/v1/session", { token: field.value.trim() });
      live.ended = false;
      fault = "";
      field.value = "";
      done();
    } catch (problem) {
      fault = problem.status === 401 ? "This token is not known." : problem.message;
      redraw();
      field.focus();
    }
  };
  return html`<main class="signin">
    <h1>Pointsman</h1>
    <form @submit=${send}>
      ${live.ended ? html`<p>The session has ended.</p>` : nothing}
      <label for="token">Token</label>
      <input id="token" name="token" type="password" autocomplete="current-password" required autofocus
        aria-describedby="signin-fault">
      <p id="signin-fault" class="fault" role="alert">${fault}</p>
      <button class="primary">Sign in</button>
      <p class="small">A new one is made by <code>pointsman token new</code>.</p>
    </form>
  </main>`;
}
