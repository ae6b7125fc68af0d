// SPDX-License-Identifier: GPL-3.0-only

// What every view says of the rig's setting up: that it is to be done, what is saved but waits for
// a restart; and the restart.

import { ask, change } from "./client.js";
import { $, app, say, set, toast } from "./lib.js";

export function draw() {
  const { pending, writable } = app.model;
  $("pending").hidden = !pending;
  set($("pending-text"), say(pending === 1 ? "pendingOne" : "pending", { v: pending }));
  $("pending-restart").hidden = !writable;
  $("to-setup").hidden = writable;
}

export async function restart() {
  if (!await ask(say("askRestart"), say("restartNow"))) return;
  if (await change("/api/system/restart")) toast(say("restarting"));
}

$("pending-restart").onclick = restart;
