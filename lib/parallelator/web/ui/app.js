// The page: one model (the object of /api/state), kept up to date by the live stream or, when
// that is refused, by polling; drawn into 16 cards that are built once.
"use strict";

const STALE_MS = 3000;
const RECONNECT_MS = 7000;
const POLL_MS = 2000;
const RETRY_LIVE_MS = 30000;
const TROUBLE = ["tripped", "locked", "uncontrolled"];

const PAGE = {
  en: {
    auto: "Auto", on: "On", off: "Off", reset: "Reset",
    onHint: "on, without waiting for the delay",
    login: "Log in", logout: "Log out", password: "Password", cancel: "Cancel",
    battery: "Battery {n}", pair: "{b}: {s}",
    total: "Total", overview: "Overview", batteries: "Batteries",
    askOff: "Switch off battery {n}? It carries {v}.", offNow: "Switch off",
    charging: "charging", discharging: "discharging", idle: "idle", highest: "max", lowest: "min",
    connected: "{v}/{n} connected", charge: "{v} Ah out, {n} Ah in",
    trip: "1 trip", trips: "{v} trips", eta: "Tries again in {v} s.",
    calm: "No alarm", busReset: "Reset the output",
    stale: "Data older than 3 s. The readings below may be wrong.",
    about: "Version {v}, boot {n}, up {t}", other: "Français", otherCode: "fr",
  },
  fr: {
    auto: "Auto", on: "Marche", off: "Arrêt", reset: "Réarmer",
    onHint: "marche, sans attendre la fin de la pause",
    login: "Se connecter", logout: "Se déconnecter", password: "Mot de passe", cancel: "Annuler",
    battery: "Batterie {n}", pair: "{b}\u00a0: {s}",
    total: "Total", overview: "Vue d’ensemble", batteries: "Batteries",
    askOff: "Couper la batterie {n}\u00a0? Il y passe {v}.", offNow: "Couper",
    charging: "charge", discharging: "décharge", idle: "repos", highest: "max", lowest: "min",
    connected: "{v}/{n} connectées", charge: "{v} Ah sortis, {n} Ah entrés",
    trip: "1 déclenchement", trips: "{v} déclenchements", eta: "Nouvel essai dans {v} s.",
    calm: "Aucune alarme", busReset: "Réarmer la sortie",
    stale: "Données de plus de 3 s. Les valeurs ci-dessous sont peut-être fausses.",
    about: "Version {v}, démarrage {n}, en marche depuis {t}", other: "English", otherCode: "en",
  },
};

const $ = (id) => document.getElementById(id);
let language = "en";
let words = null; // messages.json: state, reason, clears, alarm, refused
let model = null;
let codes = null;
let source = null;
let polling = false;
let freshAt = performance.now();
let triedAt = freshAt;
const tiles = [];
const cards = [];

// ---- words -------------------------------------------------------------------------------

const fill = (text, values) => text.replace(/\{(\w)\}/g, (found, key) => values[key] ?? found);
const say = (key, values = {}) => fill(PAGE[language][key], values);

// Magnitudes only: the direction of a current is told by arrow and word.
function number(value, digits, unit = 1) {
  if (value === null) return "–";
  return Math.abs(value / unit).toLocaleString(language, {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
}
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const volts = (mv) => `${number(mv, 2, 1000)} V`;
const amps = (ma) => `${number(ma, 1, 1000)} A`;

function charge({ discharge_mah, charge_mah }) {
  return say("charge", { v: number(discharge_mah, 1, 1000), n: number(charge_mah, 1, 1000) });
}

function duration(ms) {
  const minutes = Math.floor(ms / 60000);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor(minutes / 60) % 24;
  const day = language === "fr" ? "j" : "d";
  return `${days ? `${days} ${day} ` : ""}${hours} h ${minutes % 60} min`;
}

async function loadWords(code) {
  try {
    words = await (await fetch(`/messages.json${code ? `?language=${code}` : ""}`)).json();
  } catch {
    setTimeout(loadWords, POLL_MS, code);
    return;
  }
  language = words.language;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = say(element.dataset.t);
  }
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", say(element.dataset.tLabel));
  }
  $("language").textContent = say("other");
  $("language").lang = say("otherCode");
  $("stale").textContent = say("stale");
  cards.forEach((card, i) => {
    for (const key of card.keys) {
      const action = key.dataset.action;
      const name = say(action === "on" ? "onHint" : action);
      key.textContent = say(action);
      key.setAttribute("aria-label", say("pair", { b: say("battery", { n: i + 1 }), s: name }));
    }
  });
  draw();
}

// ---- drawing -----------------------------------------------------------------------------

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function icon(use, name) {
  if (use.getAttribute("href") !== `#i-${name}`) use.setAttribute("href", `#i-${name}`);
}

function build(template, parent) {
  const root = $(template).content.firstElementChild.cloneNode(true);
  const fields = {};
  for (const element of root.querySelectorAll("[data-f]")) fields[element.dataset.f] = element;
  parent.append(root);
  const keys = root.querySelectorAll("button");
  return { root, fields, icons: root.querySelectorAll("use"), keys };
}

function buildAll() {
  for (let n = 1; n <= 16; n++) {
    const tile = build("tile", $("tiles"));
    tile.root.href = `#battery-${n}`;
    tiles.push(tile);
    const card = build("card", $("cards"));
    card.root.id = `battery-${n}`;
    for (const key of card.keys) key.onclick = () => press(n, key.dataset.action);
    cards.push(card);
  }
}

function draw() {
  if (!words || !model) return;
  document.title = model.name;
  set($("name"), model.name);
  const flow = flowOf(model.bus.current_ma);
  set($("voltage"), volts(model.bus.voltage_mv));
  set($("current"), amps(model.bus.current_ma));
  icon($("flow-icon"), flow);
  set($("flow"), say(flow));
  set($("power"), `${number(model.bus.power_w, 0)} W`);
  const present = model.batteries.filter((battery) => battery.state !== "absent").length;
  set($("connected"), say("connected", { v: model.bus.connected, n: present }));
  set($("charge"), charge(model));
  set($("about"), say("about", { v: model.version, n: model.boot, t: duration(model.uptime_ms) }));
  set($("account"), say(model.logged_in ? "logout" : "login"));
  $("account").hidden = !model.writable;
  $("read-only").hidden = model.writable;
  set($("read-only"), words.refused.no_password);
  model.batteries.forEach(drawBattery);
  drawNotices();
}

function drawBattery(battery, i) {
  const { state } = battery;
  const look = `${state}${TROUBLE.includes(state) ? " trouble" : ""}`;
  const n = String(battery.n);
  const tile = tiles[i];
  tile.root.className = look;
  const status = `${words.state[state]}, ${volts(battery.voltage_mv)}`;
  tile.root.setAttribute("aria-label", say("pair", { b: n, s: status }));
  icon(tile.icons[0], state);
  set(tile.fields.n, n);
  set(tile.fields.voltage, number(battery.voltage_mv, 1, 1000));

  const { root, fields, icons, keys } = cards[i];
  root.className = look;
  icon(icons[0], state);
  icon(icons[1], battery.flow || "idle");
  set(fields.n, n);
  set(fields.label, battery.label && battery.label !== n ? battery.label : "");
  set(fields.state, words.state[state]);
  set(fields.voltage, volts(battery.voltage_mv));
  set(fields.rank, rank(battery.n));
  set(fields.current, amps(battery.current_ma));
  set(fields.flow, battery.flow ? say(battery.flow) : "");
  set(fields.reason, battery.reason ? `${sentence(words.reason[battery.reason])}.` : "");
  set(fields.eta, battery.eta_ms ? say("eta", { v: Math.ceil(battery.eta_ms / 1000) }) : "");
  set(fields.clears, battery.clears && !battery.eta_ms ? words.clears[battery.clears] : "");
  const trips = say(battery.trips === 1 ? "trip" : "trips", { v: battery.trips });
  set(fields.count, `${charge(battery)}${battery.trips ? ` · ${trips}` : ""}`);
  for (const key of keys) {
    const { action } = key.dataset;
    const locked = state === "locked";
    key.hidden = !model.writable
      || (action === "reset" ? !locked && !battery.trips : locked && action !== "off");
    key.disabled = state === "absent" && action === "on";
    if (action === "auto" || action === "off") key.ariaPressed = String(battery.wish === action);
  }
}

function drawNotices() {
  const notices = [];
  for (const battery of model.batteries) {
    if (battery.state === "tripped" || battery.state === "locked") {
      const what = `${say("battery", battery)} ${words.state[battery.state]}`;
      notices.push([battery.state, say("pair", { b: what, s: words.reason[battery.reason] })]);
    }
  }
  for (const alarm of model.alarms) {
    const text = (language !== model.language && words.alarm[alarm.code]) || alarm.text;
    notices.push(["uncontrolled", fill(text, alarm)]);
  }
  if (notices.length === 0) notices.push(["calm", say("calm")]);
  $("bus-reset").hidden = !model.writable
    || !model.alarms.some((alarm) => alarm.code === "bus_overload");
  const drawn = JSON.stringify(notices);
  if ($("notices").dataset.drawn === drawn) return;
  $("notices").dataset.drawn = drawn;
  $("notices").replaceChildren(...notices.map(([look, text]) => {
    const item = document.createElement("li");
    const svg = $("card").content.querySelector(".state .icon").cloneNode(true);
    icon(svg.firstElementChild, look === "calm" ? "on" : look);
    item.className = look;
    item.append(svg, text);
    return item;
  }));
}

function rank(n) {
  if (!model.max || model.max.n === model.min.n) return "";
  return n === model.max.n ? say("highest") : n === model.min.n ? say("lowest") : "";
}

function flowOf(ma) {
  const idle = codes ? codes.idle_ma : 0;
  return ma > idle ? "discharging" : ma < -idle ? "charging" : "idle";
}

function toast(text) {
  set($("toast"), text);
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => set($("toast"), ""), 7000);
}

// ---- data --------------------------------------------------------------------------------

function takeState(state) {
  fresh(state.uptime_ms);
  model = state;
  draw();
}

// The layout of a frame is described in live.py.
function takeFrame([uptimeS, bus, alarms, alarmCount, ...rows]) {
  fresh(uptimeS * 1000);
  const [voltage_mv, current_ma, power_w, connected, max, min, mean_mv, out, into] = bus;
  Object.assign(model, {
    uptime_ms: uptimeS * 1000, bus: { voltage_mv, current_ma, power_w, connected }, mean_mv,
    max: max && { n: max }, min: min && { n: min }, discharge_mah: out, charge_mah: into,
  });
  const known = model.alarms.slice(0, alarms.length).map(({ code, n }) => [code, n]);
  if (alarmCount !== model.alarms.length || String(known) !== String(alarms)) refresh();
  rows.forEach((row, i) => {
    const [state, reason, wish, clears, voltage, current, since, eta, trips, outMah, inMah] = row;
    Object.assign(model.batteries[i], {
      state: codes.states[state], reason: codes.reasons[reason], wish: codes.wishes[wish],
      clears: codes.clears[clears], voltage_mv: voltage, current_ma: current,
      since_ms: since * 1000, eta_ms: eta, trips, discharge_mah: outMah, charge_mah: inMah,
      flow: current === null ? null : flowOf(current),
    });
  });
  draw();
}

// Data is fresh when the rig's own clock has moved: a frame alone could repeat old readings.
function fresh(uptimeMs) {
  if (!model || model.uptime_ms !== uptimeMs) freshAt = performance.now();
}

function connect() {
  if (source) source.close();
  triedAt = performance.now();
  source = new EventSource("/api/live");
  source.addEventListener("codes", (event) => { codes = JSON.parse(event.data); });
  source.addEventListener("state", (event) => {
    polling = false;
    takeState(JSON.parse(event.data));
  });
  source.onmessage = (event) => takeFrame(JSON.parse(event.data));
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && !polling) poll();
  };
}

async function poll() {
  polling = true;
  while (polling) {
    await refresh();
    await new Promise((done) => setTimeout(done, POLL_MS));
    if (performance.now() - triedAt > RETRY_LIVE_MS) connect();
  }
}

async function refresh() {
  try {
    const answer = await fetch("/api/state");
    if (answer.ok) takeState(await answer.json());
  } catch {
    // the banner tells
  }
}

function watch() {
  const now = performance.now();
  const stale = now - freshAt > STALE_MS;
  $("stale").hidden = !stale;
  document.body.classList.toggle("stale", stale);
  if (stale && !polling && now - Math.max(freshAt, triedAt) > RECONNECT_MS) connect();
}

// ---- changes -----------------------------------------------------------------------------

async function press(n, action) {
  const battery = model.batteries[n - 1];
  if (action === "off" && battery.flow !== "idle" && battery.current_ma !== null) {
    set($("ask-text"), say("askOff", { n, v: amps(battery.current_ma) }));
    if (await choice($("ask")) !== "yes") return;
  }
  change(`/api/batteries/${n}/${action}`, n);
}

async function change(path, n) {
  const refusal = await post(path);
  if (refusal && refusal.code === "login") {
    if (await login()) change(path, n);
  } else if (refusal) {
    toast(refusalText(refusal, n));
  }
}

async function login() {
  set($("gate-error"), "");
  while (await choice($("gate")) === "yes") {
    const refusal = await post("/api/login", { password: $("password").value });
    $("password").value = "";
    if (!refusal) {
      await refresh();
      return true;
    }
    set($("gate-error"), refusalText(refusal));
  }
  return false;
}

function choice(dialog) {
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => done(dialog.returnValue);
  });
}

// Returns null, or what the rig says against it with the seconds to wait as `v`.
async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", body: body && JSON.stringify(body) });
    if (answer.ok) return null;
    const { error } = await answer.json();
    return { code: error.code, v: answer.headers.get("Retry-After") };
  } catch {
    return { code: "offline" };
  }
}

function refusalText({ code, v }, n) {
  return fill(words.refused[code] || words.refused.other, { n, v });
}

// ---- start -------------------------------------------------------------------------------

buildAll();
$("language").onclick = () => {
  const code = say("otherCode");
  localStorage.setItem("language", code);
  loadWords(code);
};
$("account").onclick = async () => {
  if (!model.logged_in) return login();
  await post("/api/logout");
  return refresh();
};
$("bus-reset").onclick = () => change("/api/bus/reset");
$("gate-cancel").onclick = () => $("gate").close("no");
setInterval(watch, 500);
loadWords(localStorage.getItem("language"));
connect();
