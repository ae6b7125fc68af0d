// SPDX-License-Identifier: GPL-3.0-only

// What is wrong, by danger: the headline, what to do next, the list. The title and the icon of the
// page follow what is worst and not acknowledged, and so do sound and flash, if they are wanted.

import { ALARMS } from "catalog";

import { change } from "./client.js";
import {
  $, aboutText, app, fill, get, icon, is, make, numbers, say, sentence, set, timeOf, wait,
} from "./lib.js";
import { flowOf, refresh } from "./stream.js";

// Ranks of the catalogue go by twos: the second of each comes first.
const LOOKS = ["note", "note", "trouble", "danger"];
const OPENED = 4.5; // the rank of what tripped or is locked: after the troubles that come first
const COLORS = { danger: "c4141f", trouble: "b35900" };
const LOOSE = 7; // the rank of what makes the output live though it is not under control
const LOW_PCT = 10;
const LOW_S = 1800;
const PLACES = {
  config_fault: "settings", wiring_map: "settings", safe_crash: "settings",
  safe_button: "settings", sd_absent: "logs", sd_unreadable: "logs", sd_foreign: "logs",
  sd_gpt: "logs", sd_full: "logs", card_blocked: "logs", rig_empty: "rig", charger_high: "rig",
  bus_unheld: "rig", bus_overload: "rig", cascade: "rig", cascade_board: "rig",
};
const RING_MS = 2000;
const LONG = 100; // letters: a remedy of more would be a narrow column beside its key

const plainIcon = $("favicon").href;
let audio = null;
let rung = []; // what has been rung for
let worst = null; // that nobody has acknowledged

export function create() {
  const bell = $("bell");
  bell.ariaPressed = localStorage.getItem("bell") || "false";
  bell.onclick = () => {
    bell.ariaPressed = String(!isWanted());
    localStorage.setItem("bell", bell.ariaPressed);
    beep();
    draw();
  };
  setInterval(() => look(worst) === "danger" && beep(), RING_MS);
  $("guide").ontoggle = async () => {
    const place = $("guide").querySelector("div");
    if (!$("guide").open || place.firstElementChild) return;
    try {
      place.innerHTML = await get("/guide.html", "text");
    } catch {
      set(place, say("unreadable"));
    }
  };
}

const isWanted = () => $("bell").ariaPressed === "true";

// Browsers let a page sound once it was touched.
function beep() {
  if (!isWanted()) return;
  audio ||= new AudioContext();
  audio.resume();
  const tone = audio.createOscillator();
  tone.connect(audio.destination);
  tone.frequency.value = 880;
  tone.start();
  tone.stop(audio.currentTime + 0.2);
}

const look = (thing) => (thing ? LOOKS[Math.floor(thing.rank / 2)] : "");

// Lists of the items that have the same key.
function alike(items, keyOf) {
  const found = new Map();
  for (const item of items) {
    const key = keyOf(item);
    found.set(key, [...found.get(key) || [], item]);
  }
  return [...found.values()];
}

// All that is wrong, worst first; what is alike is one thing with several `items`.
function things() {
  const { alarms, batteries } = app.model;
  const present = batteries.filter((battery) => !is("absent")(battery)).length;
  const keyOf = ({ code, n, text, known_ms }) => `${code} ${n ? "" : text} ${known_ms === null}`;
  const found = alike(alarms, keyOf).map((items) => {
    const [{ code, n, known_ms }] = items;
    const place = PLACES[code] || (n ? `battery-${n}` : "system");
    return { code, items, place, known_ms, rank: ALARMS[code].rank, text: alarmText(...items) };
  });
  const opened = batteries.filter(is("tripped", "locked"));
  for (const items of alike(opened, ({ state, reason }) => `${state} ${reason}`)) {
    const [{ n, state }] = items;
    const text = openedText(items, present);
    found.push({ state, items, place: `battery-${n}`, known_ms: null, rank: OPENED, text });
  }
  return found.sort((a, b) => (
    b.rank - a.rank || (a.known_ms !== null) - (b.known_ms !== null)
  ));
}

export function alarmText(alarm, ...others) {
  const { model, words } = app;
  const { code, detail, n } = alarm;
  const risk = model.cascade.find((one) => code === (one.n ? "cascade" : "cascade_board"));
  if (risk) return riskText(risk);
  const text = others.length ? plural(words.alarm[code]) : words.alarm[code];
  const about = detail ? ` ${aboutText(code, detail, n)}` : "";
  return fill(text, { n: numbers([alarm, ...others]) }) + about;
}

// A sentence about battery {n}, about several.
const plural = (text) => text
  .replace(/(^|: )(batter)(?:y|ie)(?= \{n\}[.:\u00a0])/i, "$1$2ies")
  .replace(/(la )?batter(y|ie) \{n\}/i, ([letter]) => (
    /[A-Z]/.test(letter) ? sentence(say("each")) : say("each")));

// As `Watch.sentence` of the rig.
export function riskText({ n, board, follow, dark }) {
  const { cascade: words } = app.words;
  const names = follow.map((one) => fill(words.name, { n: one }));
  const last = names.pop();
  const all = names.length ? fill(words.and, { v: names.join(", "), n: last }) : last;
  const what = fill(words[dark ? "dark" : names.length ? "many" : "one"], { n: all });
  return fill(n ? words.pack : words.board, { n: n || board, v: what });
}

function openedText(items, present) {
  const { words } = app;
  const [{ n, state, reason: code }] = items;
  const reason = words.reason[code];
  if (items.length === 1) {
    return say("pair", { b: `${say("battery", { n })} ${words.state[state]}`, s: reason });
  }
  if (items.length === present) return say("pair", { b: say("count", { v: present }), s: reason });
  const several = say("several", { v: numbers(items) });
  return say("pair", { b: sentence(reason), s: several });
}

// Is the stage safe? [look, words, the batteries it is about]
function verdict(first) {
  const { model, stale } = app;
  if (stale) return ["note", "nowStale", []];
  const { alarms, batteries, bus } = model;
  const loose = alarms.filter(({ code }) => ALARMS[code]?.rank === LOOSE);
  if (loose.length) {
    const live = bus.voltage_mv !== null || loose.some(({ n }) => !n);
    const about = batteries.filter(({ n }) => loose.some((alarm) => alarm.n === n));
    return ["danger", live ? "nowLoose" : "nowDoubt", about];
  }
  if (first?.code?.startsWith("safe")) return ["danger", "nowSafeMode", []];
  const about = first && first.rank >= 4 && first.items[0].n ? first.items : [];
  if (!bus.connected) {
    const words = first?.code === "bus_overload" ? "nowOverload" : "nowOff";
    return [look(first) || "note", words, []];
  }
  if (look(first) === "danger") return ["danger", "nowDanger", about];
  if (isLow(first)) return ["trouble", "nowLow", []];
  if (look(first) === "trouble") {
    const known = first.known_ms !== null;
    return known ? ["note", "nowKnown", about] : ["trouble", "nowTrouble", about];
  }
  return ["fine", "nowFine", []];
}

// The rig runs out, and nothing worse is wrong.
const isLow = (first) => (
  (!first || look(first) === "note" || first.code === "low_soon") && runsOut()
);

// A tenth of the charge or less is left, or nobody can be sure of another half an hour.
function runsOut() {
  const { bus, energy } = app.model;
  if (!energy || energy.soc_pct === null || flowOf(bus.current_ma) !== "discharging") return false;
  return energy.soc_pct <= LOW_PCT || (energy.left_least_s ?? Infinity) < LOW_S;
}

// What to do about it: [text, name of its key, where the key leads or what it does]
function remedy(first) {
  const { model, stale } = app;
  if (stale) return [""];
  const { bus, batteries } = model;
  const dark = !bus.connected && batteries.filter(({ state }) => state !== "absent");
  const [group] = dark ? alike(dark, ({ state, reason }) => `${state} ${reason}`)
    .sort((a, b) => b.length - a.length) : [];
  if (group && (!first || first.rank < OPENED || first.state)) return batteryRemedy(group);
  if (isLow(first)) return [say("doLow")];
  if (!first) return [say("calm")];
  if (first.state) return batteryRemedy(first.items);
  const { code, items: [{ n }], place, text } = first;
  if (code === "bus_overload") {
    return [say("doReset"), say("busReset"), () => change("/api/bus/reset")];
  }
  if (code === "rig_empty") return [say("doCharge"), ...onKey(batteries)];
  // What the headline has said already is left out.
  const words = ALARMS[code]?.rank === LOOSE ? text.replace(/^.*?[.!?] /, "")
    : code.startsWith("safe") ? sentence(text.replace(/^.*?: /, "")) : text;
  return place === "rig" ? [words] : [words, n ? say("battery", { n }) : say(place), place];
}

function batteryRemedy(items) {
  const { model, words } = app;
  const [battery] = items;
  const { n, state, reason, clears, eta_ms } = battery;
  const end = eta_ms ? wait(battery) : words.clears[clears];
  const one = items.length === 1;
  // The headline of a rig that is on names the battery already.
  const what = one && !model.bus.connected
    ? say("pair", { b: say("battery", battery), s: words.reason[reason] })
    : sentence(words.reason[reason]);
  const text = `${what}. ${end || ""}`;
  if (reason === "bus_overload") return [text, ...onKey(items)];
  if (!one) return [text];
  if (state === "locked") {
    const name = say("pair", { b: say("battery", battery), s: say("reset") });
    return [text, name, () => change(`/api/batteries/${n}/reset`, { n })];
  }
  return [text, say("battery", { n }), `battery-${n}`];
}

function go(place) {
  if (location.hash === `#${place}`) $(place).scrollIntoView();
  location.hash = place;
}

// *On* for the battery that is fullest: it is the first that may start.
function onKey(batteries) {
  const [battery] = batteries.filter(is("waiting", "tripped"))
    .sort((a, b) => b.voltage_mv - a.voltage_mv);
  if (!battery) return [];
  const { n } = battery;
  const name = say("pair", { b: say("battery", battery), s: say("on") });
  return [name, () => change(`/api/batteries/${n}/on`, { n })];
}

// Draws the list, for every view; returns how many things nobody has acknowledged.
export function draw() {
  const { model } = app;
  const all = things();
  const unknown = all.filter(({ known_ms }) => known_ms === null);
  [worst] = unknown;
  ring(unknown);
  drawHead(all[0]);
  $("armed").hidden = model.bus.connected > 0 || !model.batteries.some(is("waiting", "tripped"));
  const drawn = JSON.stringify([app.language, model.writable, all.map(({ text, known_ms }) => [
    text, known_ms,
  ])]);
  if ($("notices").dataset.drawn !== drawn) {
    $("notices").dataset.drawn = drawn;
    $("notices").replaceChildren(...all.map(notice));
  }
  return unknown.reduce((sum, { items }) => sum + items.length, 0);
}

function ring(unknown) {
  const told = unknown.filter(({ rank }) => rank >= 4)
    .flatMap(({ code, state, items }) => items.map(({ n }) => `${code || state} ${n}`));
  if (told.some((one) => !rung.includes(one))) beep();
  rung = told;
  document.body.classList.toggle("flash", look(worst) === "danger" && isWanted());
}

function drawHead(first) {
  const { model } = app;
  const [style, words, about] = verdict(first);
  const [text, name, act] = remedy(first);
  const lost = model.batteries.map(is("uncontrolled"));
  const key = $("next-key");
  const keys = [...$("boards").children];
  keys.forEach((board, b) => {
    board.hidden = !model.writable || !lost.slice(4 * b, 4 * b + 4).includes(true);
  });
  $("verdict").className = text.length > LONG ? `${style} long` : style;
  const ofWhich = say(about.length > 1 ? "several" : "one", { v: numbers(about) });
  const head = about.length ? say("pair", { b: say(words), s: ofWhich }) : say(words);
  set($("verdict").querySelector("b"), head);
  icon($("verdict").querySelector("use"), iconOf(style));
  set($("next"), text);
  const leads = typeof act === "string";
  key.hidden = !act || !(leads || model.writable) || keys.some((board) => !board.hidden);
  set(key, name || "");
  key.onclick = leads ? () => go(act) : act;
  const severity = look(worst);
  const mark = { danger: "‼ ", trouble: "! " }[severity];
  document.title = `${mark ? mark + head : say(app.view)} – ${model.name}`;
  const color = COLORS[severity];
  const url = color ? plainIcon.replace("0a6b3d", color) : plainIcon;
  if ($("favicon").href !== url) $("favicon").href = url;
}

const iconOf = (style) => (
  { danger: "uncontrolled", trouble: "tripped", note: "note", fine: "on" }[style]
);

function notice(thing) {
  const { code, items, place, known_ms, state, text } = thing;
  const svg = $("card").content.querySelector(".state .icon").cloneNode(true);
  const style = look(thing);
  icon(svg.firstElementChild, state || iconOf(style));
  const item = make("li", { className: style }, svg, make("a", { href: `#${place}` }, text));
  if (known_ms !== null) {
    const time = timeOf(Date.now() - app.model.uptime_ms + known_ms);
    item.classList.add("known");
    item.append(make("small", {}, say("known", { t: time })));
  } else if (code && ALARMS[code].mayBeKnown && app.model.writable) {
    const since_ms = Math.max(...items.map((alarm) => alarm.since_ms));
    const path = `/api/alarms/${code}/known`;
    item.append(make("button", {
      ariaLabel: say("pair", { b: say("seen"), s: text }),
      onclick: () => change(path, { body: { since_ms } }).then((done) => done && refresh()),
    }, say("seen")));
  }
  return item;
}
