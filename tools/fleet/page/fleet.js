// SPDX-License-Identifier: GPL-3.0-only
// All rigs at a glance: asks the Prometheus that serves this page, and sorts by urgency.

const EVERY_MS = 5000;
const PATIENCE_MS = 8000;

// The catalogue's severities, and a rig that does not answer: most urgent first.
const ORDER = ["danger", "offline", "trouble", "notice", "info"];

const SHOWN = "voltage_volts|current_amperes|charge_ratio|time_to_empty_seconds";
const FIGURES = `{job="parallelator", __name__=~"up|parallelator_(${SHOWN})"}`;
const CONNECTED = "sum by (rig, instance) (parallelator_battery_connected)";
const PRESENT = 'count by (rig, instance) (parallelator_battery_state{reason!="not_found"})';
// When each rig answered last: to some seconds, to a minute if that is longer ago.
const ANSWERED = "max_over_time(timestamp(parallelator_uptime_seconds)";
const SEEN = `${ANSWERED}[10m:5s]) or ${ANSWERED}[1d:1m])`;

const WORDS = {
  en: {
    danger: "Danger", offline: "Offline", trouble: "Trouble", notice: "Notice", info: "Good",
    rigs: "{n} rigs", rig: "1 rig", none: "No rig is in rigs.json yet.",
    in_danger: "{n} in danger", in_offline: "{n} offline", in_trouble: "{n} in trouble",
    good: "all good", charging: "charging", left: "left", connected: "connected",
    since: "Offline since {v}, for {d}.", never: "Offline for more than a day, or never seen.",
    more: "and {n} more", silence: "Prometheus does not answer. The figures are of {v}.",
    first: "Prometheus does not answer.", other: "Français", code: "fr",
    alerts: "Alerts", targets: "Rigs that are read", graph: "Ask Prometheus", days: "{n} days",
  },
  fr: {
    danger: "Danger", offline: "Hors ligne", trouble: "Problème", notice: "À savoir", info: "OK",
    rigs: "{n} parcs", rig: "1 parc", none: "Aucun parc dans rigs.json pour l’instant.",
    in_danger: "{n} en danger", in_offline: "{n} hors ligne", in_trouble: "{n} avec un problème",
    good: "tout va bien", charging: "en charge", left: "d’autonomie", connected: "connectées",
    since: "Hors ligne depuis {v}, soit {d}.", never: "Hors ligne depuis plus d’un jour, ou jamais vu.",
    more: "et {n} de plus", silence: "Prometheus ne répond pas. Valeurs de {v}.",
    first: "Prometheus ne répond pas.", other: "English", code: "en",
    alerts: "Alertes", targets: "Parcs interrogés", graph: "Interroger Prometheus", days: "{n} jours",
  },
};

let language = stored() || (navigator.language.startsWith("fr") ? "fr" : "en");
let rigs = new Map();
let told = null; // when Prometheus answered last
const places = new Map(); // name of a rig to its parts in the page

const $ = (id) => document.getElementById(id);
const word = (key, values = {}) =>
  WORDS[language][key].replace(/\{(\w)\}/g, (_, name) => values[name]);
const unbroken = (text) => text.replaceAll(" ", "\u00a0");
const number = (value, digits) => value.toLocaleString(
  language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

function stored() {
  try {
    const found = localStorage.getItem("language");
    return found in WORDS ? found : "";
  } catch {
    return "";
  }
}

async function get(path) {
  const answer = await fetch("../api/v1/" + path, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const found = await answer.json();
  if (found.status !== "success") throw new Error(found.error);
  return found.data;
}

async function ask(query) {
  const found = await get("query?query=" + encodeURIComponent(query));
  return found.result.map(({ metric, value }) => [metric, Number(value[1])]);
}

// What Prometheus knows: name of a rig to {name, address, its figures by metric, alerts, seen}.
async function look() {
  const [figures, connected, present, { alerts }] = await Promise.all(
    [ask(FIGURES), ask(CONNECTED), ask(PRESENT), get("alerts")]);
  const found = new Map();
  const of = ({ rig, instance }) => {
    const name = rig || instance;
    if (!found.has(name)) found.set(name, { name, address: instance, alerts: [] });
    return found.get(name);
  };
  for (const [labels, value] of figures) of(labels)[labels.__name__] = value;
  for (const [labels, value] of connected) of(labels).connected = value;
  for (const [labels, value] of present) of(labels).present = value;
  for (const { labels, annotations } of alerts) {
    const { urgency, severity, battery } = labels;
    found.get(labels.rig)?.alerts.push({ urgency, severity, battery, annotations });
  }
  if ([...found.values()].some((rig) => !rig.up)) {
    for (const [labels, value] of await ask(SEEN)) {
      const rig = found.get(labels.rig || labels.instance);
      if (rig) rig.seen = value;
    }
  }
  for (const rig of found.values()) judge(rig);
  return found;
}

// Of alerts that are as urgent, those first that wake somebody up, then those of a battery.
function graver(a, b) {
  return ORDER.indexOf(a.urgency) - ORDER.indexOf(b.urgency)
    || (b.severity === "critical") - (a.severity === "critical") || !!b.battery - !!a.battery;
}

// Sorts the alerts of a rig, and tells how urgent the rig is.
function judge(rig) {
  rig.alerts.sort(graver);
  rig.urgency = rig.up ? rig.alerts[0]?.urgency ?? "info" : "offline";
  rig.most = rig.alerts.filter(({ urgency }) => urgency === rig.urgency).length;
}

function urgent(a, b) {
  return ORDER.indexOf(a.urgency) - ORDER.indexOf(b.urgency) || b.most - a.most
    || a.name.localeCompare(b.name, language, { numeric: true });
}

function lasting(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return "< 1 min";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) {
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")}`;
  }
  return word("days", { n: Math.floor(minutes / 1440) });
}

function moment(ms) {
  const at = new Date(ms);
  const day = at.toDateString() === new Date().toDateString()
    ? {} : { day: "numeric", month: "short" };
  return at.toLocaleString(
    language, { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function since(rig) {
  if (!rig.seen) return word("never");
  const seconds = Math.max(Date.now() / 1000 - rig.seen, 0);
  return word("since", { v: moment(rig.seen * 1000), d: unbroken(lasting(seconds)) });
}

// A sentence of an alert without the name of the rig, which stands above it.
function sentence(rig, { annotations }) {
  const text = (language === "fr" && annotations.summary_fr) || annotations.summary || "";
  const rest = text.startsWith(rig.name)
    ? text.slice(rig.name.length).replace(/^[\s\u00a0:,]+/, "") : text;
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

function figure(text, unit, after = "") {
  const element = make("span");
  element.append(make("b", "", text), " " + unit);
  if (after) element.append(make("small", "", " " + after));
  return element;
}

function figures(rig) {
  const shown = make("div", "figures");
  const volts = rig.parallelator_voltage_volts;
  const amperes = rig.parallelator_current_amperes;
  const charge = rig.parallelator_charge_ratio;
  const left = rig.parallelator_time_to_empty_seconds;
  if (volts !== undefined) shown.append(figure(number(volts, 1), "V"));
  if (amperes !== undefined) {
    shown.append(figure(number(Math.abs(amperes), 1), "A", amperes < -0.05 ? word("charging") : ""));
  }
  if (charge !== undefined) {
    const bar = make("meter");
    bar.value = charge;
    bar.ariaHidden = "true"; // the number says it
    const element = figure(number(100 * charge, 0), "% ");
    element.append(bar);
    shown.append(element);
  }
  if (left !== undefined) shown.append(figure(lasting(left), "", word("left")));
  return shown;
}

// The address of a rig on this machine is right on this machine only.
function address(rig) {
  return "http://" + rig.address.replace(/^(127\.0\.0\.1|localhost)(?=:|$)/, location.hostname);
}

function draw(rig) {
  if (!places.has(rig.name)) {
    const item = make("li");
    item.append(make("a"));
    places.set(rig.name, item);
  }
  const link = places.get(rig.name).firstChild;
  link.className = rig.urgency;
  link.href = address(rig);
  const top = make("div", "top");
  top.append(make("b", "", rig.name));
  if (rig.up && rig.present) {
    top.append(make("small", "", `${rig.connected ?? 0}/${rig.present} ${word("connected")}`));
  }
  top.append(make("span", "badge", word(rig.urgency)));
  link.replaceChildren(top);
  if (!rig.up) {
    link.append(make("p", "why", since(rig)));
    return;
  }
  link.append(figures(rig));
  if (rig.alerts.length) {
    const why = make("p", "why", sentence(rig, rig.alerts[0]));
    const more = rig.alerts.length - 1;
    if (more) why.append(" ", make("small", "", unbroken(word("more", { n: more }))));
    link.append(why);
  }
}

function summary() {
  const all = [...rigs.values()];
  const count = (urgency) => all.filter((rig) => rig.urgency === urgency).length;
  const parts = ["danger", "offline", "trouble"].filter(count)
    .map((urgency) => word("in_" + urgency, { n: count(urgency) }));
  const whole = all.length === 1 ? word("rig") : word("rigs", { n: all.length });
  if (!all.length) return word("none");
  return [whole, ...(parts.length ? parts : [word("good")])].map(unbroken).join(" · ");
}

function show() {
  document.documentElement.lang = language;
  $("language").textContent = word("other");
  $("language").lang = word("code");
  for (const id of ["alerts", "targets", "graph"]) $(id).textContent = word(id);
  if (!told) return;
  const text = summary();
  if ($("sum").textContent !== text) $("sum").textContent = document.title = text;
  for (const rig of rigs.values()) draw(rig);
  for (const [name, item] of places) {
    if (rigs.has(name)) continue;
    item.remove();
    places.delete(name);
  }
  const wanted = [...rigs.values()].sort(urgent).map(({ name }) => places.get(name));
  const moved = wanted.some((item, k) => $("rigs").children[k] !== item);
  // Nothing moves away under a finger.
  if (moved && !$("rigs").matches(":active")) $("rigs").append(...wanted);
}

function silence(is) {
  $("silence").hidden = !is;
  document.body.classList.toggle("old", is);
  if (is) {
    const at = told?.toLocaleTimeString(language, { hourCycle: "h23" });
    $("silence").textContent = told ? word("silence", { v: at }) : word("first");
  }
}

async function step() {
  try {
    rigs = await look();
    told = new Date();
    silence(false);
    show();
  } catch (error) {
    console.warn(error);
    silence(true);
  }
  setTimeout(step, EVERY_MS);
}

$("language").addEventListener("click", () => {
  language = language === "fr" ? "en" : "fr";
  try {
    localStorage.setItem("language", language);
  } catch {
    // it is asked again next time
  }
  show();
});
show();
step();
