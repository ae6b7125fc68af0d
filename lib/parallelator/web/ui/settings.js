// SPDX-License-Identifier: GPL-3.0-only

// Settings: a form made from the rig's own description of them. What is typed, what a profile
// says and what a file holds are changes that stand in a list, old and new, and are saved all or
// nothing. Loaded when it is first looked at; gets the shared tools as `lib` (see app.js).

import { NAMES, PROFILES, profileOf, settingsOf } from "./profiles.js";
import { FORM, SETTINGS } from "./settings_words.js";

// What the rig counts in: unit to the one that is shown, and how many of it make one of that.
const UNITS = {
  mV: ["V", 1000], mA: ["A", 1000], ms: ["s", 1000], mAh: ["Ah", 1000], uOhm: ["mΩ", 1000],
  mOhm: ["mΩ", 1], C: ["°C", 1], GPIO: ["", 1], bytes: ["", 1],
};
const GROUPS = [
  "general", "limits", "pack", "batteries", "web", "wifi", "time", "mqtt", "log", "hardware",
];
const HARDWARE = ["board", "pins", "i2c_khz", "sensor"];
// What most rigs have to set; the rest of a group is folded.
const USUAL = new RegExp(`^(${[
  "name", "language", String.raw`limits\.(min|max|charge_floor|temperature_trip).*(_mv|_ma|_c)`,
  String.raw`pack\.(chemistry|cells|capacity_mah)`, String.raw`batteries\.\d+\.label`,
  String.raw`web\.password`, String.raw`wifi\.(ssid|password)`, String.raw`time\..*`,
  String.raw`mqtt\.(host|user|password)`, String.raw`log\.(interval_s|separator)`,
  "board", String.raw`sensor\.shunt_uohm`,
].join("|")})$`);
const TRIPS = 4;

export function create(lib) {
  const { $, app, ask, change, faultText, fill, get, make, part, refresh, set, toast } = lib;
  let schema = null;
  let saved = null;
  let draft = {}; // key to what is to be saved instead
  let fields = new Map(); // key: { row, input, error }

  const say = (key, values = {}) => fill(FORM[app.language][key] || "", values);
  const written = (key) => (
    SETTINGS[app.language][key.replace(/\.\d+\./, ".*.")]
      .replace("{n}", key.split(".")[1]).split(". ")
  );
  const rowOf = (key) => schema.find((row) => row.key === key);
  const unitOf = ({ unit }) => UNITS[unit] || [unit, 1];

  async function show() {
    const found = await part("settings", load());
    if (!found) return;
    [schema, saved] = found;
    propose({});
    drawForm();
  }

  async function load() {
    return [await get("/api/settings/schema"), await get("/api/settings")];
  }

  function draw() {
    if (!schema) return;
    const { writable } = app.model;
    $("settings-hint").hidden = writable;
    set($("settings-hint"), app.words.refused.no_password);
    $("save").disabled = !writable || !Object.keys(draft).length;
  }

  // ---- numbers and texts -------------------------------------------------------------------

  function number(row, value) {
    return (value / unitOf(row)[1]).toLocaleString(app.language, {
      maximumFractionDigits: 3, useGrouping: false,
    });
  }

  // With comma or point, blanks aside; what is no number stays as it is, and the rig refuses it.
  function parsed(row, text) {
    const value = Number(text.replace(/\s/g, "").replace(",", "."));
    if (!text.trim() || Number.isNaN(value)) return text;
    const [, factor] = unitOf(row);
    return factor === 1 ? value : Math.round(value * factor);
  }

  function textOf(row, value) {
    if (row.type === "integer" && typeof value === "number") return number(row, value);
    if (Array.isArray(value)) return value.join(", ");
    return value === null || value === undefined ? "" : String(value);
  }

  // As `textOf`, for a sentence.
  function told(row, value) {
    if (row.type === "secret") return value ? "•••" : "–";
    if (row.type === "choice" || row.type === "flag") return optionText(row, value);
    const text = textOf(row, value);
    const unit = row.type === "integer" ? unitOf(row)[0] : "";
    return text && unit ? `${text}\u00a0${unit}` : text || "–";
  }

  function optionText({ type, unit }, option) {
    if (type === "choice") {
      const text = say(`choice_${option}`) || app.words.action[option] || option;
      return `${text} ${unit}`.trim();
    }
    return say(option === null ? "preset" : option ? "yes" : "no");
  }

  function rangeOf(row) {
    const { type, unit, min, max } = row;
    if (type === "integer") return say("range", { v: number(row, min), n: told(row, max) });
    if (type === "text" || type === "secret") {
      return say(unit || "chars", { v: min, n: max });
    }
    return type === "bits" || type === "curve" ? say(`${type}Hint`) : "";
  }

  function hintOf(row) {
    const { key, type, restart } = row;
    const sentence = written(key).slice(1).join(". ");
    return [sentence.replace(/\.$/, ""), rangeOf(row),
      type === "secret" ? say(saved.secrets[key] ? "isSet" : "notSet") : "",
      restart ? say("afterRestart") : ""].filter(Boolean).join(" · ");
  }

  // ---- the form ------------------------------------------------------------------------------

  function groupOf({ key }) {
    const first = key.split(".")[0];
    if (HARDWARE.includes(first)) return "hardware";
    return GROUPS.includes(first) ? first : "general";
  }

  function drawForm() {
    const place = $("settings-form");
    const open = new Set([...place.querySelectorAll("details[open]")].map(({ id }) => id));
    const focused = document.activeElement.id;
    fields = new Map();
    const first = !place.firstChild;
    place.replaceChildren(
      make("p", { id: "settings-hint" }),
      make("ul", { id: "file-faults" }, ...saved.faults.map((fault) => (
        make("li", {}, say("fileFault", { v: fault.file, n: faultOf(fault) }))
      ))),
      profileField(),
      make("div", { id: "changes", tabIndex: -1 }),
      ...GROUPS.map((group) => groupFold(group, first ? group === "general" : false)),
      make("details", { id: "group-files" }, heading("files"), filesPart()),
      make("div", { id: "save-bar" },
        make("button", { id: "discard", type: "button", onclick: discard }, say("discard")),
        make("button", { id: "save", className: "primary" })),
    );
    for (const id of open) $(id).open = true;
    if (focused) $(focused)?.focus({ preventScroll: true });
    drawChanges();
  }

  const heading = (group) => (
    make("summary", {}, make("h3", {}, SETTINGS[app.language][group]))
  );

  function groupFold(group, open) {
    const rows = schema.filter((row) => groupOf(row) === group);
    const usual = rows.filter(({ key }) => USUAL.test(key));
    const rare = rows.filter(({ key }) => !USUAL.test(key));
    return make("details", { id: `group-${group}`, open }, heading(group),
      make("div", { className: "fields" }, ...usual.map(drawField)),
      ...(rare.length ? [make("details", { id: `rare-${group}` },
        make("summary", {}, say("rare")),
        make("div", { className: "fields" }, ...rare.map(drawField)))] : []));
  }

  function drawField(row) {
    const { key } = row;
    const id = `set-${key}`;
    const input = control(row);
    Object.assign(input, { id, name: key });
    input.oninput = () => propose({ [key]: valueOf(row, input.value) });
    const hint = make("span", { className: "hint", id: `${id}-hint` }, hintOf(row));
    const error = make("span", { className: "error", id: `${id}-error` });
    input.setAttribute("aria-describedby", `${hint.id} ${error.id}`);
    fields.set(key, { row, input, error });
    const [unit] = row.type === "integer" ? unitOf(row) : [""];
    return make("div", { className: "field" },
      make("label", { htmlFor: id }, written(key)[0] + (unit && ` (${unit})`)),
      input, hint, error);
  }

  function control(row) {
    const { key, type, max, choices, preset } = row;
    const value = draft[key] ?? saved.values[key];
    if (type === "choice" || type === "flag") {
      const options = choices || [true, false, ...(preset ? [null] : [])];
      const select = make("select", {}, ...options.map((option) => (
        new Option(optionText(row, option), String(option))
      )));
      select.value = String(key in draft ? draft[key] : value);
      return select;
    }
    if (type === "secret") {
      return make("input", {
        type: "password", maxLength: max, autocomplete: "new-password", value: draft[key] || "",
      });
    }
    return make("input", {
      value: textOf(row, key in draft ? draft[key] : value), autocomplete: "off",
      inputMode: type === "integer" ? "decimal" : "text",
      ...(type === "text" ? { maxLength: max } : {}),
    });
  }

  // What a field holds, as the rig wants it.
  function valueOf(row, text) {
    const { type, choices } = row;
    if (type === "integer") return parsed(row, text);
    if (type === "flag") return JSON.parse(text);
    if (type === "choice") return choices.find((choice) => String(choice) === text);
    if (type === "bits" || type === "curve") {
      const list = text.trim() ? text.split(",").map(Number) : null;
      return list?.some(Number.isNaN) ? text : list;
    }
    return text;
  }

  // ---- changes -------------------------------------------------------------------------------

  function propose(changes) {
    draft = { ...draft, ...changes };
    for (const [key, value] of Object.entries(draft)) {
      const same = rowOf(key).type === "secret" ? value === ""
        : JSON.stringify(value) === JSON.stringify(saved.values[key]);
      if (same) delete draft[key];
    }
    for (const key of Object.keys(changes)) if (fields.has(key)) clear(fields.get(key));
    if ($("changes")) drawChanges();
  }

  function drawChanges() {
    const keys = Object.keys(draft);
    const rows = schema.filter(({ key }) => key in draft);
    const lines = rows.map((row) => {
      const { key, type, restart } = row;
      const old = (type === "secret" ? saved.secrets : saved.values)[key];
      return make("tr", {}, make("th", { scope: "row" }, written(key)[0]),
        make("td", {}, told(row, old)), make("td", {}, "→"),
        make("td", {}, told(row, draft[key]), restart ? "\u00a0↻" : ""));
    });
    $("changes").hidden = !keys.length;
    $("changes").replaceChildren(
      make("h3", {}, say("changes")), make("table", {}, make("tbody", {}, ...lines)),
      ...(rows.some(({ restart }) => restart) ? [make("p", {}, say("restarts"))] : []),
    );
    $("discard").hidden = !keys.length;
    set($("save"), keys.length ? say("saveSome", { v: keys.length }) : say("save"));
    set($("profile-hint"), profileHint());
    $("profile").value = profileNow();
    draw();
  }

  // Into the form, and its changes before the eyes.
  function preview(changes) {
    propose(changes);
    drawForm();
    $("changes").scrollIntoView({ block: "nearest" });
  }

  function discard() {
    draft = {};
    drawForm();
  }

  async function save(event) {
    event.preventDefault();
    if (!Object.keys(draft).length) return;
    for (const field of fields.values()) clear(field);
    const answer = await change("/api/settings", {
      method: "PATCH", body: draft, refused: showFaults,
    });
    if (!answer) return;
    draft = {};
    toast(say("saved"));
    await Promise.all([show(), refresh()]);
  }

  function clear({ input, error }) {
    input.removeAttribute("aria-invalid");
    set(error, "");
  }

  function showFaults({ faults }) {
    const known = faults?.filter(({ key }) => fields.has(key)) || [];
    if (!known.length) return false;
    for (const { key, allowed } of known.reverse()) {
      const { row, input, error } = fields.get(key);
      input.setAttribute("aria-invalid", "true");
      const why = whyNot(row, draft[key] ?? saved.values[key]);
      set(error, app.words.refused[key] || why || allowed);
      for (const fold of document.querySelectorAll("#settings-form details")) {
        if (fold.contains(input)) fold.open = true;
      }
      input.focus();
    }
    toast(say("faulty"));
    return true;
  }

  // What a setting has to be: its range, else what it does not go together with.
  function whyNot(row, value) {
    const { key, type, min, max } = row;
    const fits = Number.isInteger(value) && value >= min && value <= max;
    const why = say(`why_${key}`) || say(`why_${key.split(".")[0]}`);
    if (type === "integer" ? fits : why) return why;
    return say("allowed", { v: rangeOf(row) });
  }

  function faultOf(fault) {
    const row = rowOf(fault.key);
    const why = fault.code ? "" : row ? whyNot(row, fault.found) : say("noSetting");
    return [faultText(fault), why].filter(Boolean).join(". ");
  }

  // ---- profiles ------------------------------------------------------------------------------

  const proposed = () => ({ ...saved.values, ...draft });
  const profileNow = () => profileOf(proposed()) || "";

  function profileField() {
    const select = make("select", { id: "profile" }, new Option(say("profileOwn"), ""),
      ...Object.keys(PROFILES).map((id) => new Option(NAMES[app.language][id], id)));
    select.onchange = () => {
      if (!select.value) return;
      // One profile in the place of another, not on top of it.
      for (const id of Object.keys(PROFILES)) {
        for (const key of Object.keys(settingsOf(id, saved.values))) delete draft[key];
      }
      preview(settingsOf(select.value, saved.values));
    };
    select.setAttribute("aria-describedby", "profile-hint");
    return make("div", { className: "field", id: "profile-field" },
      make("label", { htmlFor: "profile" }, say("profile")), select,
      make("span", { className: "hint", id: "profile-hint" }));
  }

  function profileHint() {
    return say(profileNow().startsWith("lead") ? "profileLead" : "profileHint");
  }

  // ---- files ---------------------------------------------------------------------------------

  function filesPart() {
    const file = make("input", { type: "file", id: "restore", accept: ".json,application/json" });
    file.onchange = () => restore(file);
    return make("div", { className: "fields" },
      make("div", { className: "field" },
        make("button", { id: "backup", type: "button", onclick: backup }, say("backup")),
        make("span", { className: "hint" }, say("backupHint"))),
      make("div", { className: "field" },
        make("label", { htmlFor: "restore" }, say("restore")), file,
        make("span", { className: "hint" }, say("restoreHint"))),
      make("div", { className: "field" },
        make("button", { id: "support", type: "button", onclick: support }, say("support")),
        make("span", { className: "hint" }, say("supportHint"))));
  }

  function download(what, content) {
    const day = new Date().toLocaleDateString("sv");
    const name = `${app.model.name}-${what}-${day}.json`.replace(/[^\w.-]+/g, "_");
    const href = URL.createObjectURL(new Blob([`${JSON.stringify(content, null, 1)}\n`]));
    make("a", { href, download: name }).click();
    setTimeout(URL.revokeObjectURL, 60000, href);
  }

  // A file that the rig takes as config.json as well; GET tells no secrets.
  function backup() {
    download("settings", saved.values);
  }

  async function restore(file) {
    let found;
    try {
      found = flat(JSON.parse(await file.files[0].text()));
    } catch {
      toast(say("restoreNone"));
      return;
    } finally {
      file.value = ""; // so that the same one can be chosen again
    }
    const unknown = Object.keys(found).filter((key) => !rowOf(key));
    for (const key of unknown) delete found[key];
    preview(found);
    if (unknown.length) toast(say("restoreUnknown", { v: unknown.slice(0, 5).join(", ") }));
    else if (!Object.keys(draft).length) toast(say("nothing"));
  }

  // Keys with dots, of a tree as in config.json or of a flat object.
  function flat(tree, prefix = "") {
    if (typeof tree !== "object" || Array.isArray(tree)) throw new TypeError("no object");
    return Object.assign({}, ...Object.entries(tree).map(([key, value]) => (
      value && typeof value === "object" && !Array.isArray(value) ? flat(value, `${prefix}${key}.`)
        : { [prefix + key]: value }
    )));
  }

  // One by one: the rig has little memory.
  async function support() {
    $("support").disabled = true;
    const found = { made: new Date().toISOString(), agent: navigator.userAgent };
    const add = async (path) => {
      try {
        found[path] = await get(path);
      } catch (error) {
        found[path] = error.status || String(error);
      }
      return found[path];
    };
    for (const name of ["settings", "state", "system", "events", "calibration"]) {
      await add(`/api/${name}`);
    }
    const { records = [] } = await add("/api/blackbox");
    for (const { id } of records.slice(0, TRIPS)) await add(`/api/blackbox/${id}`);
    download("support", found);
    $("support").disabled = false;
  }

  $("settings-form").addEventListener("submit", save);
  return { show, draw, translate: () => schema && drawForm() };
}
