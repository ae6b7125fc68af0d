// SPDX-License-Identifier: GPL-3.0-only

// First use, one part after the other: the password of the page, the batteries, the network, a
// sheet to print. A page of its own, small enough for the window that a phone opens by itself on
// the rig's access point.

import { NAMES, PROFILES, profileOf, settingsOf } from "./profiles.js";
import { SETUP } from "./setup_words.js";

const POLL_MS = 2000;
const ANSWER_MS = 8000; // the access point may be gone, or on another channel
const OTHER = "";
const REFUSALS = ["wrong_password", "not_found", "failed"];
const $ = (id) => document.getElementById(id);

let words = SETUP[localStorage.getItem("language") || navigator.language.slice(0, 2)] || SETUP.en;
let rig = null; // /api/state
let wifi = null; // /api/wifi
let values = null; // of /api/settings, from the login on
let chosen = null;
let scanned = false;
let ticked = false;
let listed = "";

const say = (key, values = {}) => words[key].replace(/\{(\w)\}/g, (_, name) => values[name] ?? "");

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tell(text, wrong) {
  set($("wifi-hint"), text);
  $("wifi-hint").classList.toggle("error", wrong);
}

async function ask(method, path, body) {
  const signal = AbortSignal.timeout?.(ANSWER_MS);
  const response = await fetch(path, { method, signal, body: body && JSON.stringify(body) });
  const answer = await response.json();
  return response.ok ? answer : Promise.reject(answer.error);
}

function refusalText(error) {
  if (!error?.code) return say("offline");
  if (error.faults) {
    return error.faults.map(({ key, allowed }) => (
      words.refused[key] || `${say("allowed")} ${allowed}`
    )).join();
  }
  return words.refused[error.code] || error.message;
}

async function load() {
  try {
    [rig, wifi] = [await ask("GET", "/api/state"), await ask("GET", "/api/wifi")];
    await fillBatteries();
    draw();
    if (rig.logged_in && !wifi.networks.length && !wifi.scanning && !scanned) scan();
  } catch {
    tell(say("offline"), true);
  }
  document.body.classList.remove("loading");
  setTimeout(load, POLL_MS);
}

function translate() {
  document.documentElement.lang = words.code;
  for (const element of document.querySelectorAll("[data-t]")) {
    set(element, say(element.dataset.t));
  }
  set($("language"), say("other"));
  $("language").lang = say("otherCode");
  listed = "";
  if (values) drawProfiles();
  if (rig && wifi) draw();
}

function draw() {
  set($("title"), rig.name);
  document.title = `${say("title")} – ${rig.name}`;
  drawPassword();
  tell(wifiText(), REFUSALS.includes(wifi.state));
  $("wifi-form").hidden = !rig.logged_in;
  $("batteries").hidden = !rig.logged_in || !values;
  if (values) drawPlaces();
  $("restart").hidden = !rig.logged_in || !rig.pending;
  drawNetworks();
  if (!$("sheet-parts").hidden) drawSheet();
}

function drawPassword() {
  const first = wifi.setup_s > 0;
  const hint = rig.logged_in ? "loggedIn" : first && rig.writable ? "lost" : first ? "first"
    : rig.writable ? "known" : "over";
  set($("password-hint"), say(hint, { v: Math.ceil(wifi.setup_s / 60) }));
  $("password-form").hidden = rig.logged_in || !(first || rig.writable);
  set($("password-label"), say(first ? "newPassword" : "password"));
  set($("password-send"), say(first ? "setPassword" : "login"));
  $("password").autocomplete = first ? "new-password" : "current-password";
}

function wifiText() {
  const { state, ssid, ip, hostname, access_point: own } = wifi;
  const port = location.port && `:${location.port}`;
  const text = say(state, { v: ssid, n: ip + port, h: `${hostname}.local${port}` });
  if (!own) return text;
  return `${text} ${state === "connected" ? say("move", { v: ssid }) : say("own", { v: own })}`;
}

function drawNetworks() {
  const { networks, scanning } = wifi;
  $("scan").disabled = scanning;
  set($("scan"), say(scanning ? "scanning" : "scan"));
  const key = JSON.stringify(networks);
  if (key === listed) return;
  listed = key;
  const focused = $("networks").contains(document.activeElement);
  const names = [...networks, { ssid: OTHER }];
  if (!names.some(({ ssid }) => ssid === chosen)) chosen = names[0].ssid;
  $("networks").replaceChildren($("networks").firstElementChild, ...names.map(choice));
  if (focused) $("networks").querySelector(":checked").focus();
  fit();
}

function choice({ ssid, rssi_dbm: dbm, secured }) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "network", value: ssid, checked: ssid === chosen });
  input.onchange = () => {
    chosen = ssid;
    fit();
  };
  const name = document.createElement("span");
  name.textContent = ssid === OTHER ? say("otherNetwork") : ssid;
  const note = document.createElement("small");
  if (ssid !== OTHER) {
    note.textContent = say(dbm > -67 ? "strong" : dbm > -78 ? "medium" : "weak")
      + (secured ? "" : `, ${say("open")}`);
  }
  label.append(input, name, note);
  return label;
}

// Only the fields that the chosen network needs.
function fit() {
  $("other").hidden = chosen !== OTHER;
  const found = wifi.networks.find(({ ssid }) => ssid === chosen);
  $("secured").hidden = Boolean(found) && !found.secured;
}

async function sendPassword(event) {
  event.preventDefault();
  set($("password-error"), "");
  const path = wifi.setup_s > 0 ? "/api/setup" : "/api/login";
  try {
    await ask("POST", path, { password: $("password").value });
    $("password").value = "";
    if (!rig.time) await ask("POST", "/api/time", { unix_s: Math.round(Date.now() / 1000) });
    rig = await ask("GET", "/api/state");
    await fillBatteries();
    draw();
    $("rig-name").focus();
  } catch (error) {
    set($("password-error"), refusalText(error));
  }
}

// ---- batteries -----------------------------------------------------------------------------

// Once, so that nothing that was typed is lost.
async function fillBatteries() {
  if (values || !rig.logged_in) return;
  ({ values } = await ask("GET", "/api/settings"));
  $("rig-name").value = values.name;
  $("capacity").value = decimal(values["pack.capacity_mah"]) || "";
  $("places").replaceChildren(...rig.batteries.map(({ n }) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "checkbox", value: n });
    label.append(input, n);
    return label;
  }));
  drawProfiles();
  $("profile").value = profileOf(values) || "";
  drawProfiles();
}

// Ticked are the places of before, on a new rig those where batteries answer; until somebody ticks.
function drawPlaces() {
  const found = rig.batteries.filter(({ state }) => state !== "absent").map(({ n }) => n);
  set($("places-hint"), `${found.length ? say("placesFound", { v: found.join(", ") })
    : say("placesNone")} ${say("placesHint")}`);
  if (ticked) return;
  const known = !found.length || rig.batteries.some(({ n }) => modeOf(n) === "unused");
  for (const input of $("places").querySelectorAll("input")) {
    const n = Number(input.value);
    input.checked = known ? modeOf(n) !== "unused" : found.includes(n);
  }
}

const modeOf = (n) => values[`batteries.${n}.mode`];
const decimal = (milli) => milli && (milli / 1000).toLocaleString(words.code, {
  maximumFractionDigits: 3, useGrouping: false,
});

function drawProfiles() {
  const id = $("profile").value;
  $("profile").replaceChildren(new Option(say("profileOwn"), ""), ...Object.keys(PROFILES).map(
    (profile) => new Option(NAMES[words.code][profile], profile),
  ));
  $("profile").value = id;
  drawLimits();
}

// What a profile changes, before it is saved.
function drawLimits() {
  const id = $("profile").value;
  const range = (of) => ["min", "max"].map((end) => (
    `${decimal(of[`limits.${end}_voltage_mv`])}\u00a0V`
  ));
  const [v, n] = range(values);
  const [l, h] = range({ ...values, ...(id ? settingsOf(id, values) : {}) });
  const lead = id.startsWith("lead");
  set($("profile-hint"), say(v === l && n === h ? "limits" : "limitsNew", { v, n, l, h })
    + (lead ? ` ${say("lead")}` : ""));
  $("capacity").disabled = lead;
}

async function saveBatteries(event) {
  event.preventDefault();
  set($("batteries-error"), "");
  const id = $("profile").value;
  const capacity = Number($("capacity").value.replace(",", "."));
  const wanted = {
    name: $("rig-name").value,
    "pack.capacity_mah": Math.round(capacity * 1000),
    ...(id ? settingsOf(id, values) : {}),
  };
  for (const { value: n, checked } of $("places").querySelectorAll("input")) {
    const mode = modeOf(n);
    wanted[`batteries.${n}.mode`] = !checked ? "unused" : mode === "unused" ? "auto" : mode;
  }
  const changed = Object.entries(wanted).filter(([key, value]) => value !== values[key]);
  try {
    if (changed.length) await ask("PATCH", "/api/settings", Object.fromEntries(changed));
    Object.assign(values, wanted);
    rig = await ask("GET", "/api/state");
    drawLimits();
    draw();
    set($("batteries-title"), `${say("batteries")} ✓`);
    $("wifi-title").scrollIntoView();
  } catch (error) {
    set($("batteries-error"), refusalText(error));
  }
}

async function restart() {
  try {
    await ask("POST", "/api/system/restart");
    set($("restart-hint"), say("restarting"));
  } catch (error) {
    set($("restart-hint"), refusalText(error));
  }
}

// ---- the network ---------------------------------------------------------------------------

async function join(event) {
  event.preventDefault();
  set($("wifi-error"), "");
  const ssid = chosen === OTHER ? $("ssid").value : chosen;
  const key = $("secured").hidden ? "" : $("key").value;
  if (!ssid) {
    set($("wifi-error"), say("noName"));
    return;
  }
  try {
    await ask("PATCH", "/api/settings", { "wifi.ssid": ssid, "wifi.password": key });
    Object.assign(wifi, { ssid, state: "connecting" });
    draw();
    $("wifi-hint").scrollIntoView({ block: "center" });
  } catch (error) {
    set($("wifi-error"), refusalText(error));
  }
}

async function scan() {
  scanned = true;
  try {
    await ask("POST", "/api/wifi/scan");
    wifi.scanning = true;
    drawNetworks();
  } catch (error) {
    set($("wifi-error"), refusalText(error));
  }
}

// ---- the sheet -----------------------------------------------------------------------------

// The network that phones shall join, and the address of the page there.
function reach() {
  const { state, ssid, hostname, access_point: own, networks } = wifi;
  const port = location.port && `:${location.port}`;
  if (state !== "connected") return { name: own || ssid, open: false, page: location.origin };
  const open = networks.some((one) => one.ssid === ssid && !one.secured);
  return { name: ssid, open, page: `http://${hostname}.local${port}` };
}

let drawn = "";

async function drawSheet() {
  const { name, open, page } = reach();
  const key = open ? "" : $("sheet-key").value;
  $("sheet-key").hidden = $("sheet-key-label").hidden = open;
  set($("sheet-key-label"), say("sheetKey", { v: name }));
  const { code, network } = await import("./qr.js");
  const now = JSON.stringify([words.code, name, key, open, page]);
  if (now === drawn) return;
  drawn = now;
  const figure = (id, text, caption) => {
    const line = document.createElement("figcaption");
    line.textContent = caption;
    $(id).replaceChildren(code(text), line);
  };
  $("sheet-wifi").hidden = !open && !key;
  figure("sheet-wifi", network(name, key), say("sheetWifi", { v: name }));
  figure("sheet-page", page, say("sheetPage", { v: page }));
}

function openSheet() {
  $("sheet-open").hidden = true;
  $("sheet-parts").hidden = false;
  $("sheet-key").value = $("key").value;
  drawSheet();
}

$("batteries-form").addEventListener("submit", saveBatteries);
$("profile").onchange = drawLimits;
$("places").oninput = () => { ticked = true; };
$("restart-now").onclick = restart;
$("sheet-open").onclick = openSheet;
$("sheet-key").oninput = drawSheet;
$("sheet-print").onclick = () => print();
$("password-form").addEventListener("submit", sendPassword);
$("wifi-form").addEventListener("submit", join);
$("scan").onclick = scan;
$("reveal").onchange = () => { $("password").type = $("reveal").checked ? "text" : "password"; };
$("language").onclick = () => {
  words = SETUP[say("otherCode")];
  localStorage.setItem("language", words.code);
  translate();
};
translate();
load();
