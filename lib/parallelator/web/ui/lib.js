// SPDX-License-Identifier: GPL-3.0-only

// What all views share: the state of the page, words, numbers, elements.

import { PAGE } from "./words.js";

export const $ = (id) => document.getElementById(id);

export const app = {
  language: "en",
  words: null, // messages.json: state, reason, clears, action, alarm, event, refused, update...
  model: null, // the object of /api/state
  codes: null, // the tables that the numbers of a frame point into
};

// ---- requests ----------------------------------------------------------------------------

export const WAIT_MS = 10000;

export async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(WAIT_MS) });
  if (!answer.ok) throw answer;
  return answer.json();
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

export function toast(text) {
  set($("toast"), text);
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => set($("toast"), ""), 7000);
}
