// SPDX-License-Identifier: GPL-3.0-only

// The rig at a glance: totals, a card for each battery with its keys, keys for all of them.

import { ALARMS, STATES } from "catalog";

import { alarmText } from "./alarms.js";
import { ask, change, rename } from "./client.js";
import {
  $, amps, app, build, icon, is, make, number, numbers, say, sentence, set, showEnd, timeOf, toast,
  volts, wait,
} from "./lib.js";
import { drawCurves } from "./past.js";
import { flowOf, refresh } from "./stream.js";
import * as table from "./table.js";

const HOT_C = 50;
const SOON_S = 300;
const LEAST_MAH = 50; // less is shown as 0.0
const TIRED_PCT = 80; // of the label's capacity
const HOLD_MS = 1000;
const BUSY_MS = 300;
const MANY = 5; // of as many alike a wide page says only once what is wrong and what ends it
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
  hold($("all-off"), allOff, "askAllOff", "allOffNow");
  hold($("show-stop"), () => showMode("DELETE"), "askShowStop", "showStopNow");
  $("show-start").onclick = startShow;
  $("all-auto").onclick = allAuto;
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
  $("all").hidden = !model.writable;
  $("all-auto").disabled = !model.batteries.some(({ wish }) => wish === "off");
  const present = model.batteries.filter(({ reason }) => reason !== "not_found").length;
  set($("connected"), say("connected", { v: model.bus.connected, n: present }));
  set($("promise"), model.promise_a ? say("promise", { v: model.promise_a }) : "");
  set($("counted"), charge(model));
  set($("left"), left(model.energy, flow));
  gauge($("gauge"), model.energy || {});
  const ending = endsAlone(model) && model.energy?.first;
  $("then").hidden = !ending;
  set($("then"), ending ? say("then", { n: ending }) : "");
  const line = show(model);
  $("show-line").hidden = !line;
  set($("show-line"), line);
  $("show-start").hidden = !model.writable;
  $("show-stop").hidden = !model.writable || !line;
  $("read-only").hidden = model.writable;
  set($("read-only"), app.words.refused.no_password);
  const kinds = model.batteries.map(({ n, reason, clears }) => (
    String([reason, clears, model.alarms.filter((alarm) => alarm.n === n).map(({ code }) => code)])
  ));
  model.batteries.forEach((battery, i) => {
    drawBattery(battery, i, kinds.filter((kind) => kind === kinds[i]).length);
  });
  drawCurves();
  table.draw();
}

// "63 % ± 4, about 3 h 10 at this load, until 23:40"
function left(energy, flow) {
  if (!energy) return say("capacityUnset");
  if (energy.soc_pct === null) return say("socUnknown");
  return [soc(energy), time(energy, flow)].join(", ");
}

function time(energy, flow) {
  const { soc_pct, left_wh, left_s, left_least_s, left_most_s, full_least_s, full_most_s } = energy;
  if (flow === "charging" && full_most_s !== null) {
    if (soc_pct === 100) return say("full");
    return say(full_least_s < SOON_S ? "fullWithin" : "fullIn", {
      v: hours(full_least_s), n: hours(full_most_s),
    });
  }
  if (flow !== "discharging" || left_s === null) {
    return say("energyLeft", { v: number(left_wh, 1, 1000) });
  }
  if (left_most_s === null || left_most_s > 1.5 * left_least_s) {
    if (left_least_s >= SOON_S) return say("leastLeft", { v: hours(left_least_s) });
    return left_most_s === null ? say("endsSoon") : say("mostLeft", { v: hours(left_most_s) });
  }
  return say("timeLeft", { v: hours(left_s), t: timeOf(Date.now() + left_s * 1000) });
}

// When the first battery has ended, the loss of one more overloads others, and now it does not.
const endsAlone = ({ n_minus_1_then, cascade }) => (
  n_minus_1_then === false && !cascade.some(({ n }) => n)
);

// "Enough until 23:00, 40 min in hand"
function show({ show: told }) {
  if (!told) return "";
  const end = showEnd(told);
  const values = { t: timeOf(end), v: hours(Math.abs(told.margin_s)) };
  if (told.margin_s === null) return say("showUntil", values);
  values.n = timeOf(end + told.margin_s * 1000);
  return say(told.margin_s < 0 ? "showShort" : "showEnough", values);
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
  const key = charge_mah < LEAST_MAH ? "chargeOut" : "charge";
  return say(key, { v: number(discharge_mah, 1, 1000), n: number(charge_mah, 1, 1000) });
}

function drawBattery(battery, i, alike) {
  const { model, words } = app;
  const { state } = battery;
  const look = `${state}${["trouble", "danger"].includes(STATES[state]) ? " trouble" : ""}`;
  const n = String(battery.n);
  const tile = tiles[i];
  tile.root.hidden = cards[i].root.hidden = state === "absent" && model.unused.includes(battery.n);
  const alarms = model.alarms.filter((alarm) => alarm.n === battery.n);
  const warned = alarms.some(({ code }) => ALARMS[code].rank >= 4);
  tile.root.className = warned ? `${look} warned` : look;
  icon(tile.icons[0], state);
  set(tile.fields.n, n);
  set(tile.fields.voltage, number(battery.voltage_mv, 1, 1000));
  set(tile.fields.state, words.state[state]);

  const { root, fields, icons, keys } = cards[i];
  root.className = look;
  root.toggleAttribute("data-alike", alike >= MANY && Boolean(battery.clears));
  icon(icons[0], state);
  icon(icons[1], battery.flow || "idle");
  set(fields.n, n);
  set(fields.label, `${battery.label === n ? "" : battery.label} ${battery.id}`.trim());
  set(fields.state, words.state[state]);
  set(fields.voltage, volts(battery.voltage_mv));
  set(fields.rank, rank(battery.n));
  const celsius = battery.temperature_c;
  set(fields.hot, celsius !== null && celsius >= HOT_C ? `${number(celsius, 0)} °C` : "");
  set(fields.current, amps(battery.current_ma));
  set(fields.flow, battery.flow ? say(battery.flow) : "");
  set(fields.alarm, alarms.map((alarm) => alarmText(alarm)).join(" "));
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
    key.hidden = !model.writable || (
      action === "reset" ? !locked && !battery.trips : locked && action !== "off");
    key.disabled = state === "absent" && action === "on";
    if (action === "auto" || action === "off") key.ariaPressed = String(battery.wish === action);
  }
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
  const { batteries, energy } = app.model;
  const battery = batteries[n - 1];
  $("exchanged").hidden = !energy || battery.id !== "" || battery.flow !== "idle";
  const [choice, text] = await rename(say("rename", { n }), battery.label);
  if (choice === "exchanged") exchanged(n);
  if (choice !== "yes") return;
  const body = { [`batteries.${n}.label`]: text };
  if (await change("/api/settings", { method: "PATCH", body })) refresh();
}

async function exchanged(n) {
  if (!await ask(say("askExchanged", { n }), say("exchanged"))) return;
  change(`/api/batteries/${n}/exchanged`, { n });
}

async function press(n, action) {
  const { model } = app;
  const { flow, state, current_ma, wish } = model.batteries[n - 1];
  if (action !== "off") return change(`/api/batteries/${n}/${action}`, { n });
  const opens = state === "on" ? whatOpens(n) : "";
  if (opens || (flow !== "idle" && current_ma !== null)) {
    const question = [say("askOff", { n, v: amps(current_ma) }), opens].join(" ");
    if (!await ask(question, say("offNow"))) return null;
  }
  const done = await change(`/api/batteries/${n}/off`, { n });
  if (done && wish === "auto" && !opens) {
    const text = say("pair", { b: say("battery", { n }), s: app.words.state.off });
    toast(text, () => change(`/api/batteries/${n}/auto`, { n }));
  }
  return done;
}

// What would open when battery n was switched off, in words: each of the others takes as much of
// its current.
function whatOpens(n) {
  const { batteries, max_charge_ma, max_discharge_ma } = app.model;
  const own = batteries[n - 1].current_ma || 0;
  const others = batteries.filter(is("on", "uncontrolled")).filter((one) => one.n !== n);
  if (!others.length) return say("opensAll");
  const shares = others.map(({ current_ma }) => current_ma + own / others.length);
  const most = Math.max(...shares);
  const least = Math.min(...shares);
  const limit = most > -least ? max_discharge_ma : max_charge_ma;
  const share = Math.max(most, -least);
  if (share <= limit) return "";
  const key = others.length > 1 ? "opensMany" : "opensOne";
  return say(key, { n: others.length, v: amps(share), k: amps(limit) });
}

// *Off* is asked for again while the rig is busy.
async function allOff() {
  let busy = true;
  while (busy) {
    busy = false;
    const refused = ({ code }) => { busy = code === "busy"; return busy; };
    if (await change("/api/batteries/all/off", { refused })) toast(say("allIsOff"));
    if (busy) await new Promise((done) => setTimeout(done, BUSY_MS));
  }
}

async function showMode(method, body) {
  if (await change("/api/show", { method, body })) refresh();
}

// By the clock of this device: that of the rig may not be set, or be that of another zone.
function startShow() {
  const now = new Date();
  const past = now.getHours() * 60 + now.getMinutes() + now.getSeconds() / 60;
  const minutes = $("show-end").valueAsNumber / 60000 - past;
  showMode("POST", { end: (minutes + 1440) % 1440 });
}

async function allAuto() {
  const off = app.model.batteries.filter(({ wish }) => wish === "off");
  const question = say("askAllAuto", { v: numbers(off) });
  if (await ask(question, say("allAuto"))) change("/api/batteries/all/auto");
}

// A key that does something when it is held for a second. Who cannot hold it is asked instead.
function hold(key, act, question, yes) {
  let timer = null;
  const begin = () => {
    clearTimeout(timer);
    key.classList.add("held");
    timer = setTimeout(() => { end(); act(); }, HOLD_MS);
  };
  const end = () => {
    clearTimeout(timer);
    timer = null;
    key.classList.remove("held");
  };
  const cancel = () => {
    if (timer) toast(say("hold"));
    end();
  };
  key.onpointerdown = begin;
  key.onpointerup = key.onpointerleave = key.onpointercancel = key.onblur = cancel;
  // Else the click of the lifted thumb would go to the dialog that has opened under it.
  key.ontouchend = key.oncontextmenu = (event) => event.preventDefault();
  key.onkeydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!event.repeat) begin();
  };
  key.onkeyup = (event) => { event.preventDefault(); cancel(); };
  key.onclick = async ({ detail }) => {
    if (!detail && await ask(say(question), say(yes))) act();
  };
}
