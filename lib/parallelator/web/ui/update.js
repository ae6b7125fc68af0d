// SPDX-License-Identifier: GPL-3.0-only

// An update: a bundle sent in pieces, then the switch to it, then what came of that.

import { ask, change, refusalText } from "./client.js";
import { textOf } from "./events.js";
import { $, amps, app, get, say, set } from "./lib.js";

const PIECE = 1024; // a small controller may have no larger piece of memory free
const TRIES = 20;
const PAUSE_MS = 1000;
const RESULT_MS = 150000; // a trial takes a minute at most, and two starts

let working = false;
let offered = null; // version that was uploaded whole and waits for the switch
let told = () => ""; // what the line says, in any language

export async function show() {
  if (!working) offered = (await progress())?.offered;
  draw();
}

export function draw() {
  $("update").hidden = !app.model.writable;
  for (const id of ["bundle", "upload", "switch"]) $(id).disabled = working;
  $("switch").hidden = !offered;
  set($("switch"), say("switchTo", { v: offered }));
  set($("update-text"), told());
}

function tell(text) {
  told = text;
  draw();
}

const pause = () => new Promise((done) => { setTimeout(done, PAUSE_MS); });

// How far an upload has come, null when nobody answers; `offered` only when it is whole.
async function progress() {
  try {
    const { phase, offered: version, received } = await get("/api/update");
    return { received, offered: phase === "ready" ? version : null };
  } catch {
    return null;
  }
}

async function busily(job) {
  if (working) return;
  working = true;
  draw();
  try {
    await job();
  } finally {
    working = false;
    $("update-bar").hidden = true;
    draw();
  }
}

// A change; { answer }, { refusal }, or nothing when the login was given up.
async function attempt(path, options) {
  let refusal = null;
  const answer = await change(path, {
    ...options,
    refused: (found) => {
      refusal = found;
      return true;
    },
  });
  return { answer, refusal };
}

async function upload() {
  const file = $("bundle").files[0];
  if (!file) {
    tell(() => say("updateChoose"));
    $("bundle").focus();
    return;
  }
  if (await send(file)) await activate();
}

// True when all of it has come and is verified.
async function send(file) {
  const { name, size } = file;
  let at = 0;
  let confirmed = 0;
  let tries = 0;
  offered = null;
  $("update-bar").hidden = false;
  tell(() => say("updateSending", { v: name }));
  while (at < size || !size) {
    $("update-bar").value = at / (size || 1);
    const { answer, refusal } = await attempt(
      `/api/update?offset=${at}&size=${size}&confirmed=${confirmed}`,
      { method: "PUT", body: file.slice(at, at + PIECE) },
    );
    if (answer) {
      at = answer.received;
      tries = 0;
      continue;
    }
    if (!refusal) {
      tell(() => "");
      return false;
    }
    const { code } = refusal;
    if (code === "update_load" && !confirmed) {
      if (!await ask(say("askUpload", { v: refusal.v }), say("updateSend"))) {
        tell(() => "");
        return false;
      }
      confirmed = 1;
      continue;
    }
    // After an answer was lost, the rig may have more of the bundle than is known here.
    const passing = code === "busy" || code === "offline" || (code === "update_offset" && tries);
    if (!passing || tries === TRIES) {
      tell(() => refusalText(refusal));
      return false;
    }
    tries += 1;
    await pause();
    at = (await progress())?.received ?? at;
  }
  return true;
}

async function activate() {
  offered = (await progress())?.offered;
  tell(() => (offered ? say("updateReady", { v: offered }) : say("unreadable")));
  if (!offered) return;
  const { boot, bus } = app.model;
  const load = bus.current_ma ? ` ${say("updateLoad", { v: amps(bus.current_ma) })}` : "";
  if (!await ask(say("askSwitch", { v: offered }) + load, say("switchNow"))) return;
  const { answer, refusal } = await attempt("/api/update", { body: { confirmed: true } });
  if (!answer) {
    tell(() => (refusal ? refusalText(refusal) : say("updateReady", { v: offered })));
    return;
  }
  offered = null;
  tell(() => say("updateTrial", { v: answer.offered }));
  const event = await result(boot);
  tell(() => (event ? textOf(event) : say("unreadable")));
}

// The event with which a start after number `boot` tells how the trial went.
async function result(boot) {
  const end = Date.now() + RESULT_MS;
  while (Date.now() < end) {
    await pause();
    try {
      if (app.model.boot <= boot) continue;
      const { events } = await get("/api/events");
      const found = events.find(({ code }) => code.startsWith("update"));
      if (found) return found;
    } catch {
      // it restarts
    }
  }
  return null;
}

$("upload").onclick = () => busily(upload);
$("switch").onclick = () => busily(activate);
