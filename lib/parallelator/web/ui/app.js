// SPDX-License-Identifier: GPL-3.0-only

// The page: its views, chosen by the address after the `#`, with the data of one stream.

import * as alarms from "./alarms.js";
import { ask, change, login, logout } from "./client.js";
import * as events from "./events.js";
import * as lib from "./lib.js";
import * as logs from "./logs.js";
import * as night from "./night.js";
import * as past from "./past.js";
import * as pending from "./pending.js";
import * as rig from "./rig.js";
import * as selftest from "./selftest.js";
import { follow, refresh } from "./stream.js";
import * as system from "./system.js";
import * as table from "./table.js";
import * as told from "./told.js";
import { PAGE } from "./words.js";

const { $, app, duration, say, set } = lib;

const RETRY_MS = 2000;
const VIEWS = ["rig", "charts", "events", "logs", "settings", "system"];

// A view has any of: show() when it is opened, draw() when data are new, translate() when the
// language is.
const views = { rig, table, selftest, told, events, logs, system };
let opened = false;

async function loadWords(code) {
  translate(code || app.language);
  const path = `/messages.json${code ? `?language=${code}` : ""}`;
  const words = await lib.part("rig", lib.get(path));
  if (!words) {
    setTimeout(loadWords, RETRY_MS, code);
    return;
  }
  app.words = words;
  translate(app.words.language);
  for (const view of Object.values(views)) view.translate?.();
  draw();
}

// The words of the page itself.
function translate(language) {
  app.language = language;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) {
    set(element, say(element.dataset.t));
  }
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", say(element.dataset.tLabel));
  }
  set($("language"), say("other"));
  $("language").lang = say("otherCode");
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
  past.collect();
  views[app.view]?.draw?.();
  selftest.draw();
  told.draw();
  document.body.classList.remove("loading");
}

async function open() {
  const [name, n] = location.hash.slice(1).split("-");
  app.view = VIEWS.includes(name) ? name : "rig";
  for (const view of VIEWS) {
    $(`view-${view}`).hidden = view !== app.view;
    const tab = document.querySelector(`#tabs [href="#${view}"]`);
    if (view === app.view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.body.dataset.view = app.view;
  if (name === "battery") table.choose("cards");
  if (name === "battery") $(`battery-${n}`)?.scrollIntoView();
  else scrollTo(0, 0);
  if (!app.words || !app.model) return;
  opened = true;
  lib.part.lost.clear();
  $("lost").hidden = true;
  // Separate files that import none of ours: else the first paint would wait for them as well.
  if (app.view === "charts" && !views.charts) {
    const charts = await lib.part("charts", import("./charts.js"));
    views.charts = charts?.create({ ...lib, ...night, ...past, ask, change });
  }
  if (app.view === "settings" && !views.settings) {
    const settings = await lib.part("settings", import("./settings.js"));
    views.settings = settings?.create({ ...lib, ask, change, refresh });
  }
  views[app.view]?.show?.(n);
  draw();
}

rig.create();
alarms.create();
selftest.create();
table.create();
told.create();
$("language").onclick = () => {
  const code = say("otherCode");
  localStorage.setItem("language", code);
  loadWords(code);
};
$("account").onclick = () => (app.model.logged_in ? logout() : login());
$("again").onclick = open;
addEventListener("hashchange", open);
follow(draw);
// Of the languages that the browser asks for the first that there is, else the rig's.
const wanted = navigator.languages.map((tag) => tag.slice(0, 2)).find((code) => PAGE[code]);
loadWords(localStorage.getItem("language") || wanted);
