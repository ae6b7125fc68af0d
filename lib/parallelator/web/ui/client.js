// SPDX-License-Identifier: GPL-3.0-only

// Requests that change something: asked for, sent, explained when refused; and the login.

import { $, app, fill, say, set, showEnd, timeOf, toast } from "./lib.js";
import { refresh } from "./stream.js";

const WAIT_MS = 20000;
const TOLD_MS = 400; // what takes longer is said to be under way

// Returns { answer } or, refused, { refusal: { code, faults, and for the words n and v, which may
// be the seconds to wait } }. The bytes of a Blob are sent as they are.
async function send(method, path, body) {
  const told = setTimeout(() => set($("toast"), say("sending")), TOLD_MS);
  try {
    const data = body && !(body instanceof Blob) ? JSON.stringify(body) : body;
    const signal = AbortSignal.timeout(WAIT_MS);
    const response = await fetch(path, { method, body: data, signal });
    const answer = await response.json();
    if (response.ok) return { answer };
    return { refusal: { v: response.headers.get("Retry-After"), ...answer.error } };
  } catch {
    return { refusal: { code: "offline" } };
  } finally {
    clearTimeout(told);
    if ($("toast").textContent === say("sending")) set($("toast"), "");
  }
}

// Sends a change, after a login if need be; true or an object when it is done. A refusal goes to
// `refused` if it is given and returns true, else it is shown as a toast.
export async function change(path, { n, method = "POST", body, refused } = {}) {
  const { answer, refusal } = await send(method, path, body);
  if (!refusal) return answer;
  if (refusal.code === "login") {
    return (await login()) && change(path, { n, method, body, refused });
  }
  if (!refused || !refused(refusal)) toast(refusalText(refusal, n));
  return null;
}

let entering = null;

// One login at a time: what is tapped while the rig checks the password waits for the answer.
export function login() {
  entering ||= enter().finally(() => { entering = null; });
  return entering;
}

async function enter() {
  set($("gate-error"), "");
  while (await choice($("gate")) === "yes") {
    const { refusal } = await send("POST", "/api/login", { password: $("password").value });
    $("password").value = "";
    if (!refusal) {
      if (!app.model.time) await send("POST", "/api/time", now());
      await refresh();
      return true;
    }
    set($("gate-error"), refusalText(refusal));
  }
  return false;
}

// The time of this device, as POST /api/time takes it.
export const now = () => ({ unix_s: Math.round(Date.now() / 1000) });

export async function logout() {
  await send("POST", "/api/logout");
  await refresh();
}

// Asks before something that may do harm; true when it shall be done.
export async function ask(text, yes) {
  set($("ask-text"), text);
  set($("ask-yes"), yes);
  return await choice($("ask")) === "yes";
}

// A text that a person may change: what was chosen ("yes", "exchanged" or "no"), and the text.
export async function rename(text, value) {
  set($("rename-title"), text);
  $("rename-text").value = value;
  return [await choice($("rename")), $("rename-text").value.trim()];
}

// The close event comes with the next frame, when the dialog may be open again.
function choice(dialog) {
  dialog.returnValue = "no";
  const cancel = dialog.querySelector("[type=button]");
  if (cancel) cancel.onclick = () => dialog.close("no");
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => dialog.open || done(dialog.returnValue);
  });
}

export function refusalText({ code, n: number, v }, n = number) {
  const { refused, update } = app.words;
  const until = code === "show" && app.model.show ? timeOf(showEnd(app.model.show)) : v;
  return fill(refused[code] || update[code] || refused.other, { n, v: until });
}
