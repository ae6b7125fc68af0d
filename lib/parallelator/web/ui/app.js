// SPDX-License-Identifier: GPL-3.0-only

// The page: its views, chosen by the address after the `#`, with the data of one stream.

import { ask, change, login, logout } from "./client.js";
import * as events from "./events.js";
import * as lib from "./lib.js";
import * as logs from "./logs.js";
import * as night from "./night.js";
import * as past from "./past.js";
import * as rig from "./rig.js";
import * as settings from "./settings.js";
import { follow } from "./stream.js";
import * as system from "./system.js";

const { $, app, duration, say, set } = lib;

const RETRY_MS = 2000;
const VIEWS = ["rig", "charts", "events", "logs", "settings", "system"];

// A view has any of: show() when it is opened, draw() when data are new, translate() when the
// language is.
const views = { rig, events, logs, settings, system };
let current = "rig";
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
  document.title = `${say(current)} – ${model.name}`;
  set($("name"), model.name);
  set($("about"), say("about", { v: model.version, n: model.boot, t: duration(model.uptime_ms) }));
  set($("account"), say(model.logged_in ? "logout" : "login"));
  $("account").hidden = !model.writable;
  const count = rig.drawNotices();
  set($("trouble-count"), count ? String(count) : "");
  past.collect();
  views[current]?.draw?.();
}

async function open() {
  const [name, n] = location.hash.slice(1).split("-");
  current = VIEWS.includes(name) ? name : "rig";
  for (const view of VIEWS) {
    $(`view-${view}`).hidden = view !== current;
    const tab = document.querySelector(`#tabs [href="#${view}"]`);
    if (view === current) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (name === "battery") $(`battery-${n}`).scrollIntoView();
  else scrollTo(0, 0);
  if (!app.words || !app.model) return;
  opened = true;
  lib.part.lost.clear();
  if (current === "charts" && !views.charts) {
    // A separate file that imports none of ours: else the first paint would wait for it as well.
    const charts = await lib.part("charts", import("./charts.js"));
    views.charts = charts?.create({ ...lib, ...night, ...past, ask, change });
  }
  lib.part(current, views[current]?.show?.(Number(n)));
  draw();
}

rig.create();
$("language").onclick = () => {
  const code = say("otherCode");
  localStorage.setItem("language", code);
  loadWords(code);
};
$("account").onclick = () => (app.model.logged_in ? logout() : login());
$("again").onclick = open;
addEventListener("hashchange", open);
follow(draw);
loadWords(localStorage.getItem("language"));
