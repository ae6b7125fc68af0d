// SPDX-License-Identifier: GPL-3.0-only

// The logs on the SD card: listed, looked into, downloaded, deleted.

import { ask, change } from "./client.js";
import { $, WAIT_MS, app, get, make, number, part, say, toast } from "./lib.js";
import { loadSettings, nightFile, nightName, nightNow, save } from "./night.js";
import { load, nightsOf } from "./nightlog.js";

const POLL_MS = 10000;
const TAIL_BYTES = 4096;
const KILO = 1024;
const MEGA = KILO * KILO;

let found = null;
let nights = [];
let previewed = null;
let timer = null;

export async function show() {
  clearTimeout(timer);
  if (!app.settings) await part("logs", loadSettings());
  const told = await part("logs", get("/api/logs"));
  if (told) {
    found = told;
    // The newest day first; what has no day, by the number of its start, after the days.
    found.logs.sort((a, b) => (a.name < b.name ? 1 : -1));
    found.logs.sort((a, b) => isDay(b) - isDay(a));
    list();
  }
  if (!$("view-logs").hidden) timer = setTimeout(show, POLL_MS);
}

const isDay = ({ name }) => /^\d/.test(name);

export function translate() {
  if (found) list();
  if (previewed) heading();
}

const sizeOf = (bytes) => (
  bytes < MEGA ? say("kilobytes", { v: number(bytes, 1, KILO) })
    : say("megabytes", { v: number(bytes, 1, MEGA) })
);

// Also the line about the card in the System view.
export function cardText({ state, free_mb, size_mb, log, losses }) {
  const parts = [say(`card_${state}`)];
  if (size_mb !== null) {
    const n = number(size_mb, 0);
    parts.push(free_mb === null ? say("cardSize", { n })
      : say("cardFree", { v: number(free_mb, 0), n }));
  }
  if (log) parts.push(say("cardLog", { v: log }));
  if (losses) parts.push(say("cardLosses", { v: losses }));
  return parts.join(" · ");
}

function list() {
  $("card-line").textContent = say("pair", { b: say("card"), s: cardText(found.card) });
  listNights();
  const active = document.activeElement?.id;
  $("log-list").replaceChildren(...found.logs.map((log) => {
    const { name } = log;
    const path = `/api/logs/${name}`;
    const label = (word) => ({ ariaLabel: say("pair", { b: say(word), s: name }) });
    const look = make("button", { ...label("look"), id: `look-${name}` }, say("look"));
    look.onclick = () => preview(name);
    const load = make("a", { ...label("load"), id: `load-${name}`, href: path, download: name,
      className: "button" }, say("load"));
    const remove = make("button", { ...label("remove"), id: `remove-${name}`,
      className: "danger", disabled: log.open }, say("remove"));
    remove.onclick = () => destroy(name, path);
    return make("li", {},
      make("p", {}, make("b", {}, name), make("span", {}, sizeOf(log.size_bytes)),
        make("em", {}, log.open ? say("written") : "")),
      make("div", { className: "keys" }, look, load, remove));
  }));
  if (active) $(active)?.focus();
}

function listNights() {
  nights = nightsOf(found.logs);
  $("nights").hidden = !nights.length;
  const names = nights.map(({ from, to }) => nightName([from, to]));
  const choice = $("night-choice");
  if (names.join() !== [...choice.options].map(({ text }) => text).join()) {
    const { value } = choice;
    choice.replaceChildren(...nights.map(({ from }, k) => new Option(names[k], from)));
    if (value) choice.value = value;
    if (choice.selectedIndex < 0) choice.selectedIndex = 0;
  }
  look();
}

// The charts reach back for a day.
function look() {
  $("night-look").disabled = Number($("night-choice").value) !== nightNow()[0];
}

async function loadNight() {
  const night = nights[$("night-choice").selectedIndex];
  const key = $("night-fetch");
  key.disabled = true;
  try {
    const parts = await load(night, (share, size) => toast(say("nightLoading", {
      v: number(100 * share, 0), n: sizeOf(size),
    })));
    save(nightFile(night.from), parts);
  } catch {
    toast(say("nightLost"));
  }
  key.disabled = false;
}

$("night-choice").onchange = look;
$("night-look").onclick = () => { location.hash = `#charts-night`; };
$("night-fetch").onclick = loadNight;

async function preview(name) {
  let text = null;
  try {
    const signal = AbortSignal.timeout(WAIT_MS);
    const answer = await fetch(`/api/logs/${name}?tail=${TAIL_BYTES}`, { signal });
    if (answer.ok) text = await answer.text();
  } catch {
    // shown below
  }
  if (text === null) {
    toast(say("unreadable"));
    return;
  }
  const [head, ...rows] = text.trim().split("\n");
  const comma = [",", ";", "\t"].find((mark) => head.includes(mark)) || ",";
  const cells = (line, tag) => line.split(comma).map((cell) => make(tag, {}, cell));
  previewed = name;
  $("preview-table").replaceChildren(
    make("thead", {}, make("tr", {}, ...cells(head, "th"))),
    make("tbody", {}, ...rows.reverse().map((row) => make("tr", {}, ...cells(row, "td")))),
  );
  $("preview").hidden = false;
  heading();
  $("preview-title").focus();
  $("preview").scrollIntoView();
}

function heading() {
  $("preview-title").textContent = say("lastLines", { v: previewed });
}

async function destroy(name, path) {
  if (!await ask(say("askRemove", { v: name }), say("remove"))) return;
  if (await change(path, { method: "DELETE" })) {
    toast(say("removed", { v: name }));
    if (previewed === name) {
      previewed = null;
      $("preview").hidden = true;
    }
  }
  await show();
}
