// SPDX-License-Identifier: GPL-3.0-only

// First use: the password of the page, then the network. A page of its own, small enough for the
// window that a phone opens by itself on the rig's access point.

import { SETUP } from "./setup_words.js";

const POLL_MS = 2000;
const ANSWER_MS = 8000; // the access point may be gone, or on another channel
const OTHER = "";
const REFUSALS = ["wrong_password", "not_found", "failed"];
const $ = (id) => document.getElementById(id);

let words = SETUP[localStorage.getItem("language") || navigator.language.slice(0, 2)] || SETUP.en;
let rig = null; // /api/state
let wifi = null; // /api/wifi
let chosen = null;
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
    draw();
  } catch {
    tell(say("offline"), true);
  }
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
  if (rig && wifi) draw();
}

function draw() {
  set($("title"), rig.name);
  document.title = `${say("title")} – ${rig.name}`;
  drawPassword();
  tell(wifiText(), REFUSALS.includes(wifi.state));
  $("wifi-form").hidden = !rig.logged_in;
  drawNetworks();
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
    draw();
    $("wifi-form").querySelector("input").focus();
  } catch (error) {
    set($("password-error"), refusalText(error));
  }
}

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
  try {
    await ask("POST", "/api/wifi/scan");
    wifi.scanning = true;
    drawNetworks();
  } catch (error) {
    set($("wifi-error"), refusalText(error));
  }
}

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
