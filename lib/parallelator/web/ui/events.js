// SPDX-License-Identifier: GPL-3.0-only

// The events that the rig still keeps; asked for again while this view is open.

import { CODES, REASON_UNITS } from "catalog";

import { riskText } from "./alarms.js";
import * as lib from "./lib.js";
import { riskOf } from "./stream.js";

const { $, aboutText, app, dateOf, duration, fill, get, make, number, part, say, set, toast } = lib;

const POLL_MS = 2000;
const KEPT = 500;
const RECORDED_MS = 7000; // after a trip its record is complete
let events = [];
let next = 0;
let boot = null;
let timer = null;
let trips = []; // of which there is a record
let missed = 0;
let chosen = null; // id of the one that is shown
let chart = null; // of trip.js

export function show() {
  if (!$("event-battery").options.length) fillChoices();
  $("records").ontoggle = () => loadTrips();
  clearTimeout(timer);
  load();
  loadTrips();
}

export function translate() {
  if ($("event-battery").options.length) fillChoices();
  listTrips();
  chart?.translate();
}

function fillChoices() {
  const kinds = ["all", "trouble", "hand"].map((kind) => new Option(say(kind), kind));
  const batteries = app.model.batteries.map(({ n }) => new Option(say("battery", { n }), n));
  for (const [id, options] of [
    ["event-kind", kinds], ["event-battery", [new Option(say("everyBattery"), ""), ...batteries]],
  ]) {
    const chosen = $(id).value;
    $(id).replaceChildren(...options);
    if (chosen) $(id).value = chosen;
    $(id).onchange = list;
  }
  list();
}

async function load() {
  await part("events", loadEvents());
  if (!$("view-events").hidden) timer = setTimeout(load, POLL_MS);
}

async function loadEvents() {
  if (boot !== app.model.boot) {
    boot = app.model.boot;
    events = [];
    next = 0;
  }
  const answer = await get(`/api/events?after=${next}`);
  if (answer.events.length) {
    // A repeated event comes again: the number of its first occurrence is that of the last one
    // minus the repeats.
    const [{ number: last, count }] = answer.events;
    const before = events.filter((event) => event.number <= last - count);
    events = before.concat(answer.events).slice(-KEPT);
    list();
    setTimeout(loadTrips, RECORDED_MS);
  }
  next = answer.next;
}

function list() {
  const kind = $("event-kind").value;
  const n = $("event-battery").value;
  const wanted = events.filter((event) => (
    (kind === "all" || kindOf(event) === kind) && (!n || event.n === Number(n))
  ));
  $("event-list").replaceChildren(...wanted.reverse().map((event) => (
    make("li", { className: `event-${kindOf(event)}` },
      make("time", {}, whenOf(event)), " ", textOf(event))
  )));
  $("no-events").hidden = wanted.length > 0;
}

// ---- records of trips --------------------------------------------------------------------

async function loadTrips() {
  if (!$("records").open) return;
  const found = await part("records", get("/api/blackbox"));
  if (found) ({ records: trips, missed } = found);
  listTrips();
}

function listTrips() {
  if (!app.words) return;
  $("record-list").replaceChildren(...trips.map((trip) => {
    const key = make("button", { type: "button", ariaPressed: String(trip.id === chosen) },
      titleOf(trip));
    key.onclick = () => open(trip);
    return key;
  }));
  $("no-records").hidden = trips.length > 0;
  $("missed-trips").hidden = !missed;
  set($("missed-trips"), say("missedTrips", { v: missed }));
  const shown = trips.find(({ id }) => id === chosen);
  if (shown) set($("record-title"), titleOf(shown));
}

function titleOf({ n, reason, value, boot: started, time, uptime_ms }) {
  const parts = [app.words.reason[reason]];
  if (value) parts.push(valueOf({ code: "trip", reason, value }));
  const earlier = !time && started !== app.model.boot ? ` (${say("start", { v: started })})` : "";
  return say("pair", { b: say("battery", { n }), s: parts.join(", ") })
    + ` · ${whenOf({ time, uptime_ms })}${earlier}`;
}

async function open(trip) {
  try {
    const record = await get(`/api/blackbox/${trip.id}`);
    chart ??= (await import("./charts.js")).createTrip(lib);
    chosen = trip.id;
    $("record").hidden = false;
    chart.show(record);
    listTrips();
    $("record-title").focus();
  } catch {
    toast(say("recordLost"));
  }
}

// ---- words -------------------------------------------------------------------------------

function kindOf({ code }) {
  const { severity, byHand } = CODES[code];
  if (byHand) return "hand";
  return severity === "danger" || severity === "trouble" ? "trouble" : "calm";
}

function whenOf({ time, uptime_ms }) {
  if (time) return dateOf(time);
  const seconds = Math.floor(uptime_ms / 1000) % 60;
  return `+ ${duration(uptime_ms)} ${seconds} s`;
}

// In another language than the rig's own, as wording.py makes its sentences.
export function textOf(event) {
  const { codes, language, model, words } = app;
  const { code, detail, n } = event;
  if (language === model.language || !codes) return event.text;
  const text = fill(words.event[code], {
    n, r: words.reason[event.reason], s: words.state[event.state],
    v: detail ? aboutText(code, detail, n) : valueOf(event),
  });
  return event.count > 1 ? fill(words.console.repeated, { v: text, n: event.count }) : text;
}

// As Words._value in wording.py.
function valueOf({ code, reason, time, value }) {
  if (code.startsWith("cascade")) return riskText(riskOf(value));
  const { unit: own } = CODES[code];
  const unit = own === "reason" ? REASON_UNITS[reason] : own;
  if (unit === "action") return app.words.action[app.codes.actions[value]];
  if (unit === "day") return logName(value);
  if (unit === "mV") return `${number(value, 2, 1000)} V`;
  if (unit === "mA") return `${value < 0 ? "-" : ""}${number(value, 1, 1000)} A`;
  if (unit === "time") return value ? `${earlier(time, value)} -> ${time}` : time;
  if (unit === "version") return app.model.version;
  if (unit === "C") return `${value} °C`;
  return unit ? `${value} ${unit}` : value;
}

// As Clock.step in clock.py.
function earlier(time, seconds) {
  return `${new Date(Date.parse(time) - seconds * 1000).toISOString().slice(0, 19)}Z`;
}

// As log_name in wording.py.
function logName(value) {
  const further = Math.floor(value / 1e8);
  const text = String(value % 1e8);
  const more = further ? `-${further + 1}` : "";
  if (text.length < 7) return `boot-${text.padStart(4, "0")}${more}`;
  return `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}${more}`;
}
