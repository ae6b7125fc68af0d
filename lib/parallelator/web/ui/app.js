// SPDX-License-Identifier: GPL-3.0-only

// The page: its views, chosen by the address after the `#`, with the data of one stream.

import * as alarms from "./alarms.js";
import { ask, change, login, logout } from "./client.js";
import * as events from "./events.js";
import * as lib from "./lib.js";
import * as logs from "./logs.js";
import * as pending from "./pending.js";
import * as rig from "./rig.js";
import { follow, refresh } from "./stream.js";
import * as system from "./system.js";

const { $, app, duration, say, set } = lib;

const RETRY_MS = 2000;
const VIEWS = ["rig", "charts", "events", "logs", "settings", "system"];

// A view has any of: show() when it is opened, draw() when data are new, translate() when the
// language is.
const views = { rig, events, logs, system };
let opened = false;

async function loadWords(code) {
  try {
    app.words = await (await fetch(`/messages.json${code ? `?language=${code}` : ""}`)).json();
  } catch {
    setTimeout(loadWords, RETRY_MS, code);
    return;
  }
  app.language = app.words.language;
  document.documentElement.lang = app.language;
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = say(element.dataset.t);
  }
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", say(element.dataset.tLabel));
  }
  $("language").textContent = say("other");
  $("language").lang = say("otherCode");
  $("stale").textContent = say("stale");
  for (const view of Object.values(views)) view.translate?.();
  draw();
}

function draw() {
  const { model, words } = app;
  if (!words || !model) return;
  if (!opened) open();
  set($("name"), model.name);
  set($("about"), say("about", { v: model.version, n: model.boot, t: duration(model.uptime_ms) }));
  set($("account"), say(model.logged_in ? "logout" : "login"));
  $("account").hidden = !model.writable;
  pending.draw();
  const count = alarms.draw();
  set($("trouble-count"), count ? String(count) : "");
  views.charts?.collect();
  views[app.view]?.draw?.();
}

async function open() {
  const name = location.hash.slice(1);
  const battery = name.startsWith("battery-");
  app.view = VIEWS.includes(name) ? name : "rig";
  for (const view of VIEWS) {
    $(`view-${view}`).hidden = view !== app.view;
    const tab = document.querySelector(`#tabs [href="#${view}"]`);
    if (view === app.view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.body.dataset.view = app.view;
  if (battery) $(name).scrollIntoView();
  else scrollTo(0, 0);
  if (!app.words || !app.model) return;
  opened = true;
  // Separate files that import none of ours: else the first paint would wait for them as well.
  if (app.view === "charts" && !views.charts) {
    const charts = await import("./charts.js");
    views.charts = charts.create({ ...lib, ask, change });
  }
  if (app.view === "settings" && !views.settings) {
    const settings = await import("./settings.js");
    views.settings = settings.create({ ...lib, ask, change, refresh });
  }
  views[app.view].show?.();
  draw();
}

rig.create();
alarms.create();
$("language").onclick = () => {
  const code = say("otherCode");
  localStorage.setItem("language", code);
  loadWords(code);
};
$("account").onclick = () => (app.model.logged_in ? logout() : login());
addEventListener("hashchange", open);
follow(draw);
loadWords(localStorage.getItem("language"));
