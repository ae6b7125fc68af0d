// SPDX-License-Identifier: GPL-3.0-only

// The rig at a glance: totals, alarms, a card for each battery with its keys.

import { STATES } from "catalog";

import { ask, change, rename } from "./client.js";
import { $, amps, app, build, fill, icon, make, number, say, sentence, set, volts } from "./lib.js";
import { drawCurves } from "./past.js";
import { flowOf, refresh } from "./stream.js";
import * as table from "./table.js";

const HOT_C = 50;
const TIRED_PCT = 80; // of the label's capacity
const tiles = [];
const cards = [];

export function create() {
  for (let n = 1; n <= 16; n++) {
    const tile = build("tile", $("tiles"));
    tile.root.href = `#battery-${n}`;
    tiles.push(tile);
    const card = build("card", $("cards"));
    card.root.id = `battery-${n}`;
    card.fields.spark.href = `#charts-${n}`;
    card.fields.rename.onclick = () => label(n);
    for (const key of card.keys) key.onclick = () => press(n, key.dataset.action);
    cards.push(card);
  }
  $("bus-reset").onclick = () => change("/api/bus/reset");
  for (let n = 1; n <= 4; n++) {
    $("boards").append(make("button", { hidden: true, onclick: () => cutOff(n) }));
  }
}

export function translate() {
  [...$("boards").children].forEach((key, b) => set(key, say("cutOff", { n: b + 1 })));
  cards.forEach((card, i) => {
    const battery = say("battery", { n: i + 1 });
    card.fields.spark.ariaLabel = say("pair", { b: battery, s: say("charts") });
    card.fields.rename.ariaLabel = say("rename", { n: i + 1 });
    for (const key of card.keys) {
      const action = key.dataset.action;
      const name = say(action === "on" ? "onHint" : action);
      key.textContent = say(action);
      key.setAttribute("aria-label", say("pair", { b: say("battery", { n: i + 1 }), s: name }));
    }
  });
}

export function draw() {
  const { model } = app;
  const flow = flowOf(model.bus.current_ma);
  set($("voltage"), volts(model.bus.voltage_mv));
  set($("current"), amps(model.bus.current_ma));
  icon($("flow-icon"), flow);
  set($("flow"), say(flow));
  set($("power"), `${number(model.bus.power_w, 0)} W`);
  const present = model.batteries.filter((battery) => battery.state !== "absent").length;
  set($("connected"), say("connected", { v: model.bus.connected, n: present }));
  set($("charge"), charge(model));
  set($("left"), left(model.energy, flow));
  gauge($("gauge"), model.energy || {});
  $("read-only").hidden = model.writable;
  set($("read-only"), app.words.refused.no_password);
  model.batteries.forEach(drawBattery);
  drawCurves();
  table.draw();
}

// "63 % ± 4, about 3 h 10 at this load, until 23:40"
function left(energy, flow) {
  if (!energy) return say("capacityUnset");
  if (energy.soc_pct === null) return say("socUnknown");
  return [soc(energy), leftTime(energy, flow)].join(", ");
}

function leftTime({ left_wh, left_s, left_least_s, left_most_s, full_least_s, full_most_s }, flow) {
  if (flow === "charging" && full_most_s !== null) {
    return say("fullIn", { v: hours(full_least_s), n: hours(full_most_s) });
  }
  if (flow !== "discharging" || left_s === null) {
    return say("energyLeft", { v: number(left_wh, 1, 1000) });
  }
  if (left_most_s === null || left_most_s > 1.5 * left_least_s) {
    return say("leastLeft", { v: hours(left_least_s) });
  }
  const end = new Date(Date.now() + left_s * 1000);
  const at = end.toLocaleTimeString(app.language, {
    hour: "2-digit", minute: "2-digit", hour12: false,
  });
  return say("timeLeft", { v: hours(left_s), t: at });
}

const soc = ({ soc_pct, soc_error_pct }) => `${soc_pct}\u00a0% ± ${soc_error_pct}`;

// "3 h 10", to five minutes from half an hour on.
function hours(s) {
  const step = s < 1800 ? 1 : 5;
  const minutes = Math.round(s / 60 / step) * step;
  const rest = String(minutes % 60).padStart(2, "0");
  return minutes < 60 ? `${minutes}\u00a0min` : `${Math.floor(minutes / 60)}\u00a0h\u00a0${rest}`;
}

// A bar: what is sure to be there, and what may be.
function gauge(element, { soc_pct, soc_error_pct }) {
  element.hidden = !Number.isInteger(soc_pct);
  element.style.setProperty("--sure", `${soc_pct - soc_error_pct}%`);
  element.style.setProperty("--may", `${soc_pct + soc_error_pct}%`);
}

function charge({ discharge_mah, charge_mah }) {
  return say("charge", { v: number(discharge_mah, 1, 1000), n: number(charge_mah, 1, 1000) });
}

function drawBattery(battery, i) {
  const { model, words } = app;
  const { state } = battery;
  const look = `${state}${["trouble", "danger"].includes(STATES[state]) ? " trouble" : ""}`;
  const n = String(battery.n);
  const tile = tiles[i];
  tile.root.className = look;
  icon(tile.icons[0], state);
  set(tile.fields.n, n);
  set(tile.fields.voltage, number(battery.voltage_mv, 1, 1000));
  set(tile.fields.state, words.state[state]);

  const { root, fields, icons, keys } = cards[i];
  root.className = look;
  icon(icons[0], state);
  icon(icons[1], battery.flow || "idle");
  set(fields.n, n);
  set(fields.label, battery.label && battery.label !== n ? battery.label : "");
  set(fields.state, words.state[state]);
  set(fields.voltage, volts(battery.voltage_mv));
  set(fields.rank, rank(battery.n));
  const celsius = battery.temperature_c;
  set(fields.hot, celsius !== null && celsius >= HOT_C ? `${number(celsius, 0)} °C` : "");
  set(fields.current, amps(battery.current_ma));
  set(fields.flow, battery.flow ? say(battery.flow) : "");
  set(fields.reason, battery.reason ? `${sentence(words.reason[battery.reason])}.` : "");
  set(fields.eta, battery.eta_ms ? wait(battery) : "");
  set(fields.clears, battery.clears && !battery.eta_ms ? words.clears[battery.clears] : "");
  set(fields.soc, battery.soc_pct === null ? "" : soc(battery));
  gauge(fields.gauge, battery);
  set(fields.count, counts(battery).join(" · "));
  fields.rename.hidden = !model.writable;
  for (const key of keys) {
    const { action } = key.dataset;
    const locked = state === "locked";
    key.hidden = !model.writable
      || (action === "reset" ? !locked && !battery.trips : locked && action !== "off");
    key.disabled = state === "absent" && action === "on";
    if (action === "auto" || action === "off") key.ariaPressed = String(battery.wish === action);
  }
}

function wait({ state, eta_ms: ms }) {
  return state === "waiting" ? say("fits", { v: Math.ceil(ms / 60000) })
    : say("eta", { v: Math.ceil(ms / 1000) });
}

function counts(battery) {
  const parts = [charge(battery)];
  if (battery.on_s) parts.push(say("hours", { v: number(battery.on_s, 1, 3600) }));
  if (battery.r_mohm) parts.push(`${number(battery.r_mohm, 0)} mΩ`);
  const { health_pct: health } = battery;
  if (health !== null && health < TIRED_PCT) parts.push(say("health", { v: health }));
  if (battery.trips) {
    parts.push(say(battery.trips === 1 ? "trip" : "trips", { v: battery.trips }));
  }
  return parts;
}

// What is wrong, for every view; returns how many things.
export function drawNotices() {
  const { model } = app;
  const opened = model.batteries.filter(is("tripped", "locked"));
  const ofRig = model.alarms.filter(({ n }) => !n);
  const ofBatteries = model.alarms.filter(({ n }) => n);
  const notices = [
    ...ofRig.map((alarm) => ["uncontrolled", alarmText(alarm)]),
    ...alike(ofBatteries, ({ code }) => code)
      .map(([alarm, ...others]) => ["uncontrolled", alarmText(alarm, others)]),
    ...alike(opened, ({ state, reason }) => `${state} ${reason}`)
      .map(([battery, ...others]) => [battery.state, openedText(battery, others)]),
  ];
  const count = opened.length + model.alarms.length;
  if (count === 0) notices.push(["calm", say("calm")]);
  $("bus-reset").hidden = !model.writable
    || !model.alarms.some((alarm) => alarm.code === "bus_overload");
  [...$("boards").children].forEach((key, b) => {
    const lost = model.batteries.slice(4 * b, 4 * b + 4).some(is("uncontrolled"));
    key.hidden = !model.writable || !lost;
  });
  $("armed").hidden = model.bus.connected > 0 || !model.batteries.some(is("waiting", "tripped"));
  const drawn = JSON.stringify(notices);
  if ($("notices").dataset.drawn === drawn) return count;
  $("notices").dataset.drawn = drawn;
  $("notices").replaceChildren(...notices.map(([look, text]) => {
    const item = document.createElement("li");
    const svg = $("card").content.querySelector(".state .icon").cloneNode(true);
    icon(svg.firstElementChild, look === "calm" ? "on" : look);
    item.className = look;
    item.append(svg, text);
    return item;
  }));
  return count;
}

// Lists of the items that have the same key.
function alike(items, keyOf) {
  const found = new Map();
  for (const item of items) {
    const key = keyOf(item);
    found.set(key, [...found.get(key) || [], item]);
  }
  return [...found.values()];
}

function alarmText(alarm, others = []) {
  const { language, model, words } = app;
  const translated = others.length || language !== model.language;
  const text = (translated && words.alarm[alarm.code]) || alarm.text;
  return fill(text, { n: numbers([alarm, ...others]) });
}

function openedText(battery, others) {
  const { words } = app;
  const reason = words.reason[battery.reason];
  if (!others.length) {
    return say("pair", { b: `${say("battery", battery)} ${words.state[battery.state]}`, s: reason });
  }
  const several = say("several", { v: numbers([battery, ...others]) });
  return say("pair", { b: sentence(reason), s: several });
}

// "1, 3–5": of batteries or alarms in the order of their numbers.
function numbers(items) {
  const runs = [];
  for (const { n } of items) {
    const run = runs[runs.length - 1];
    if (run && run[1] === n - 1) run[1] = n;
    else runs.push([n, n]);
  }
  return runs.map(([first, last]) => (first === last ? first : `${first}–${last}`)).join(", ");
}

const is = (...states) => ({ state }) => states.includes(state);

function rank(n) {
  const { max, min } = app.model;
  if (!max || max.n === min.n) return "";
  return n === max.n ? say("highest") : n === min.n ? say("lowest") : "";
}

async function cutOff(n) {
  const question = say("askCutOff", { v: `${4 * n - 3}–${4 * n}` });
  if (await ask(question, say("cutOffYes"))) change(`/api/boards/${n}/disconnected`, { n });
}

async function label(n) {
  const text = await rename(say("rename", { n }), app.model.batteries[n - 1].label);
  if (text === null) return;
  const body = { [`batteries.${n}.label`]: text };
  if (await change("/api/settings", { method: "PATCH", body })) refresh();
}

async function press(n, action) {
  const battery = app.model.batteries[n - 1];
  if (action === "off" && battery.flow !== "idle" && battery.current_ma !== null) {
    if (!await ask(say("askOff", { n, v: amps(battery.current_ma) }), say("offNow"))) return;
  }
  change(`/api/batteries/${n}/${action}`, { n });
}
