// SPDX-License-Identifier: GPL-3.0-only

// What all views share: the state of the page, words, numbers, elements.

import { PAGE } from "./words.js";

export const $ = (id) => document.getElementById(id);

export const app = {
  language: "en",
  words: null, // messages.json: state, reason, clears, action, alarm, event, refused, update...
  model: null, // the object of /api/state
  view: "rig", // which is shown, or is to be
  stale: false, // whether nothing new has come for seconds
  codes: null, // the tables that the numbers of a frame point into
};

// ---- requests ----------------------------------------------------------------------------

export const WAIT_MS = 10000;

export async function get(path, form = "json") {
  const answer = await fetch(path, { signal: AbortSignal.timeout(WAIT_MS) });
  if (!answer.ok) throw answer;
  return answer[form]();
}

// Waits for a part of the page; as long as one is missing, the page says which.
export async function part(name, loading) {
  try {
    const found = await loading;
    part.lost.delete(name);
    return found;
  } catch {
    part.lost.add(name);
    return null;
  } finally {
    $("lost").hidden = !part.lost.size;
    set($("lost-text"), say("lost", { v: [...part.lost].map((key) => say(key)).join(", ") }));
  }
}
part.lost = new Set();

// ---- words -------------------------------------------------------------------------------

export const fill = (text, values) => (
  text.replace(/\{(\w)\}/g, (found, key) => values[key] ?? found)
);
export const say = (key, values = {}) => fill(PAGE[app.language][key], values);
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// Magnitudes only: the direction of a current is told by arrow and word.
export function number(value, digits, unit = 1) {
  if (value === null) return "–";
  return Math.abs(value / unit).toLocaleString(app.language, {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
}
export const volts = (mv) => `${number(mv, 2, 1000)} V`;
export const amps = (ma) => `${number(ma, 1, 1000)} A`;

// Dates as the person's own country writes them, where the page has its language.
const country = () => (
  navigator.languages.find((tag) => tag.startsWith(`${app.language}-`))
    || (app.language === "en" ? "en-GB" : app.language)
);
export const dateOf = (time) => new Date(time).toLocaleString(country(), {
  dateStyle: "short", timeStyle: "medium",
});

export const timeOf = (date) => new Date(date).toLocaleTimeString(app.language, {
  hour: "2-digit", minute: "2-digit", hour12: false,
});

// When show mode ends, by the clock of this device; to the minute, or it would flicker.
export const showEnd = ({ left_s }) => Math.round(Date.now() / 60000 + left_s / 60) * 60000;

// How long until a battery may return.
export const wait = ({ state, eta_ms: ms }) => (
  state === "waiting" ? say("fits", { v: Math.ceil(ms / 60000) })
    : say("eta", { v: Math.ceil(ms / 1000) })
);

// "1, 3–5": of batteries or alarms in the order of their numbers.
export function numbers(items) {
  const runs = [];
  for (const { n } of items) {
    const run = runs[runs.length - 1];
    if (run && run[1] === n - 1) run[1] = n;
    else runs.push([n, n]);
  }
  return runs.map(([first, last]) => (
    first === last ? first : `${first}${last > first + 1 ? "–" : ",\u00a0"}${last}`
  )).join(", ");
}

// What a code's detail says, as Words.about in wording.py: the rig's own text may be in another
// language.
export function aboutText(code, detail, n) {
  const { blocked, missing, mqtt, refused } = app.words;
  if (code === "topology") {
    return ["board", "sensor"].filter((what) => detail[what]).map((what) => (
      fill(missing[what], { n: numbers(detail[what].map((one) => ({ n: one }))) })
    )).join(" ");
  }
  if (code === "config_fault") return say("pair", { b: detail.file, s: faultText(detail) });
  if (code === "card_blocked") return fill(blocked[detail[0]], { v: detail[1] });
  if (code === "mqtt_down") return mqtt[detail];
  if (code === "command_refused") return fill(refused[detail], { n, v: 10 });
  return detail;
}

// What is wrong in a file of settings, without what would be right.
export function faultText({ key, found, allowed, code, line, column }) {
  const { json } = app.words;
  if (!code) return `${key} = ${found}`;
  return fill(json.place, { n: line, v: column }) + fill(json[code], { v: found, n: allowed });
}

export const is = (...states) => ({ state }) => states.includes(state);

export function duration(ms) {
  const minutes = Math.floor(ms / 60000);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor(minutes / 60) % 24;
  const day = app.language === "fr" ? "j" : "d";
  return `${days ? `${days} ${day} ` : ""}${hours} h ${minutes % 60} min`;
}

// ---- elements ----------------------------------------------------------------------------

export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function icon(use, name) {
  if (use.getAttribute("href") !== `#i-${name}`) use.setAttribute("href", `#i-${name}`);
}

// make("p", { className: "hint" }, "text", child): an element.
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function build(template, parent) {
  const root = $(template).content.firstElementChild.cloneNode(true);
  const fields = {};
  for (const element of root.querySelectorAll("[data-f]")) fields[element.dataset.f] = element;
  parent.append(root);
  const keys = root.querySelectorAll("[data-action]");
  return { root, fields, icons: root.querySelectorAll("use"), keys };
}

// Says something for seven seconds or, with a way to undo it, for five.
export function toast(text, undo) {
  const hide = () => set($("toast"), "");
  set($("toast"), text);
  clearTimeout(toast.timer);
  toast.timer = setTimeout(hide, undo ? 5000 : 7000);
  if (undo) {
    $("toast").append(make("button", { onclick: () => { hide(); undo(); } }, say("undo")));
  }
}
