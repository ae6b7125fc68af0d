// SPDX-License-Identifier: GPL-3.0-only

// Settings: a form made from the rig's own description of them, saved all or nothing.

import { ask, change } from "./client.js";
import { $, app, fill, get, make, say, toast } from "./lib.js";
import { refresh } from "./stream.js";
import { SETTINGS } from "./words.js";

const UNITS = { C: "°C", mOhm: "mΩ", uOhm: "µΩ" };
const GROUPS = [
  "general", "limits", "pack", "batteries", "web", "wifi", "time", "mqtt", "log", "hardware",
];

let schema = null;
let saved = null;
let fields = new Map(); // key: { row, input, error }

export async function show() {
  try {
    [schema, saved] = await Promise.all(["/api/settings/schema", "/api/settings"].map(get));
  } catch {
    toast(say("unreadable"));
    return;
  }
  drawForm();
}

export function translate() {
  if (schema) drawForm();
}

export function draw() {
  $("save").disabled = !app.model.writable;
  $("settings-hint").hidden = app.model.writable;
  if (!app.model.writable) $("settings-hint").textContent = app.words.refused.no_password;
}

function nameOf(key) {
  const names = SETTINGS[app.language];
  const n = key.split(".")[1];
  return names[key] || fill(names[key.replace(/\.\d+\./, ".*.")] || key, { n });
}

function groupOf(key) {
  const first = key.split(".")[0];
  if (["board", "pins", "i2c_khz", "sensor"].includes(first)) return "hardware";
  return GROUPS.includes(first) ? first : "general";
}

function drawForm() {
  const open = new Set([...$("form").querySelectorAll("details[open]")].map((group) => group.id));
  fields = new Map();
  $("form").replaceChildren(...GROUPS.map((group) => {
    const id = `group-${group}`;
    const rows = schema.filter(({ key }) => groupOf(key) === group).map(drawField);
    const title = make("summary", {}, make("h3", {}, SETTINGS[app.language][group]));
    return make("details", { id, open: open.size ? open.has(id) : group === "general" }, title,
      make("div", { className: "fields" }, ...rows));
  }));
  drawPending();
}

function drawPending() {
  const { pending, faults } = saved;
  $("pending").hidden = !pending.length;
  $("pending-text").textContent = say("pending", { v: pending.map(nameOf).join(", ") });
  $("file-faults").replaceChildren(...faults.map((fault) => (
    make("li", {}, `${say("fileFault", { v: fault.file })}: ${faultOf(fault)}`)
  )));
}

// As Words.fault in wording.py.
function faultOf({ key, found, allowed, code, line, column }) {
  const { json } = app.words;
  if (!code) return `${key} = ${found} (${allowed})`;
  return fill(json.place, { n: line, v: column }) + fill(json[code], { v: found, n: allowed });
}

function drawField(row) {
  const { key } = row;
  const id = `set-${key}`;
  const input = control(row);
  Object.assign(input, { id, name: key });
  const hint = make("span", { className: "hint", id: `${id}-hint` }, hintOf(row));
  const error = make("span", { className: "error", id: `${id}-error` });
  input.setAttribute("aria-describedby", `${hint.id} ${error.id}`);
  fields.set(key, { row, input, error });
  return make("div", { className: "field" },
    make("label", { htmlFor: id }, nameOf(key)), input, hint, error);
}

function hintOf({ key, type, min, max, unit, restart, preset }) {
  const parts = [];
  const range = { v: min, n: max };
  if (type === "integer") parts.push(`${say("range", range)} ${UNITS[unit] || unit}`.trim());
  if (type === "text" || type === "secret") parts.push(say(unit || "chars", range));
  if (type === "secret") parts.push(say(saved.secrets[key] ? "isSet" : "notSet"));
  if (type === "bits" || type === "curve") parts.push(say(`${type}Hint`));
  if (type === "choice" && unit) parts.push(unit);
  if (type === "flag" && preset) parts.push(say("preset"));
  if (restart) parts.push(say("afterRestart"));
  return parts.join(" · ");
}

function control({ key, type, min, max, choices, preset }) {
  const value = saved.values[key];
  if (type === "choice" || type === "flag") {
    const options = type === "choice"
      ? choices.map((choice) => [choice, choiceText(choice)])
      : [["true", say("yes")], ["false", say("no")], ...(preset ? [["null", say("preset")]] : [])];
    const select = make("select", {}, ...options.map(([code, text]) => new Option(text, code)));
    select.value = String(value);
    return select;
  }
  if (type === "integer") return make("input", { type: "number", min, max, step: 1, value });
  if (type === "bits" || type === "curve") {
    return make("input", { value: value ? value.join(", ") : "" });
  }
  if (type === "secret") {
    return make("input", { type: "password", maxLength: max, autocomplete: "new-password" });
  }
  return make("input", { maxLength: max, value });
}

function choiceText(choice) {
  return choice === "\t" ? say("tab") : app.words.action[choice] || choice;
}

// What a field holds, as the rig wants it; a faulty text is sent as it is and refused there.
function read({ row, input }) {
  const text = input.value;
  if (row.type === "integer") return text.trim() === "" ? text : Number(text);
  if (row.type === "flag") return JSON.parse(text);
  if (row.type === "choice") return row.choices.find((choice) => String(choice) === text);
  if (row.type === "bits" || row.type === "curve") {
    return text.trim() ? text.split(",").map(Number) : null;
  }
  return text;
}

async function save(event) {
  event.preventDefault();
  const body = {};
  for (const [key, field] of fields) {
    clear(field);
    const value = read(field);
    const untouched = field.row.type === "secret" ? value === ""
      : JSON.stringify(value) === JSON.stringify(saved.values[key]);
    if (!untouched) body[key] = value;
  }
  if (!Object.keys(body).length) {
    toast(say("nothing"));
    return;
  }
  const answer = await change("/api/settings", { method: "PATCH", body, refused: showFaults });
  if (!answer) return;
  toast(say("saved"));
  await Promise.all([show(), refresh()]);
}

function clear({ input, error }) {
  input.removeAttribute("aria-invalid");
  error.textContent = "";
}

function showFaults({ faults }) {
  if (!faults) return false;
  for (const { key, allowed } of [...faults].reverse()) {
    const field = fields.get(key);
    if (!field) continue;
    field.input.setAttribute("aria-invalid", "true");
    field.error.textContent = app.words.refused[key] || allowed;
    field.input.closest("details").open = true;
    field.input.focus();
  }
  toast(say("faulty"));
  return true;
}

export async function restart() {
  if (!await ask(say("askRestart"), say("restartNow"))) return;
  if (await change("/api/system/restart")) toast(say("restarting"));
}

$("form-all").addEventListener("submit", save);
$("pending-restart").onclick = restart;
