// What happened, as far as the rig remembers it; asked for again while it is looked at.

import { $, app, duration, fill, make, number, say } from "./lib.js";

const POLL_MS = 2000;
const KEPT = 500;
const HAND = ["wish", "reset_done", "bus_reset", "settings_saved", "limits_saved", "time_set",
  "restart", "log_deleted"];
const CALM = ["boot", "state", "joined", "group_start", "sensor_found", "topology_good", "wifi_up",
  "bus_recovered", "expander_back", "config_renamed", "config_found", "sd_ready"];
const VOLTS = ["low_soon", "no_contact"];
const VOLT_TRIPS = ["undervoltage", "overvoltage", "imbalance"];

let events = [];
let next = 0;
let boot = null;
let timer = null;

export function show() {
  if (!$("event-battery").options.length) fillChoices();
  clearTimeout(timer);
  load();
}

export function translate() {
  if ($("event-battery").options.length) fillChoices();
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
  try {
    if (boot !== app.model.boot) {
      boot = app.model.boot;
      events = [];
      next = 0;
    }
    const answer = await (await fetch(`/api/events?after=${next}`)).json();
    if (answer.events.length) {
      events = events.concat(answer.events).slice(-KEPT);
      list();
    }
    next = answer.next;
  } catch {
    // the banner tells
  }
  if (!$("view-events").hidden) timer = setTimeout(load, POLL_MS);
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
  $("missed").hidden = !events.length || events[0].number === 0;
}

function kindOf({ code }) {
  if (HAND.includes(code)) return "hand";
  return CALM.includes(code) ? "calm" : "trouble";
}

function whenOf({ time, uptime_ms }) {
  if (time) {
    const style = { timeStyle: "medium", dateStyle: "short" };
    return new Date(time).toLocaleString(app.language, style);
  }
  const seconds = Math.floor(uptime_ms / 1000) % 60;
  return `+ ${duration(uptime_ms)} ${seconds} s`;
}

// In another language than the rig's own, as wording.py makes its sentences.
function textOf(event) {
  const { codes, language, model, words } = app;
  const template = words.event[event.code];
  const known = language === model.language || !codes || !template;
  if (known || ["config_fault", "config_renamed", "task_died", "topology"].includes(event.code)) {
    return event.text;
  }
  return fill(template, {
    n: event.n, r: words.reason[event.reason], s: words.state[event.state], v: valueOf(event),
  });
}

function valueOf({ code, reason, time, value }) {
  if (code === "wish") return app.words.action[app.codes.actions[value]];
  if (code === "time_set") return time;
  if (code === "log_deleted") return logName(value);
  if (code === "deadline_missed") return `${value} ms`;
  if (code === "temperature" || (code === "trip" && reason === "overtemperature")) {
    return `${value} °C`;
  }
  if (VOLTS.includes(code) || (code === "trip" && VOLT_TRIPS.includes(reason))) {
    return `${number(value, 2, 1000)} V`;
  }
  if (code === "trip" || code === "stuck_closed") {
    return `${value < 0 ? "-" : ""}${number(value, 1, 1000)} A`;
  }
  return value;
}

// As log_name in wording.py.
function logName(value) {
  const text = String(value);
  if (value < 1000000) return `boot-${text.padStart(4, "0")}`;
  return `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}`;
}
