// SPDX-License-Identifier: GPL-3.0-only

// All batteries as a table, in the place of their cards: to compare, and to sort by a tap.

import { $, app, make, number, say, set } from "./lib.js";

const ARROWS = { discharging: "↑", charging: "↓" };
// Key of a battery, word for it, and its text where that is not the value itself.
const COLUMNS = [
  ["n", "battery1", ({ n, label }) => (label && label !== `${n}` ? `${n} ${label}` : `${n}`)],
  ["state", "state", ({ state }) => app.words.state[state]],
  ["voltage_mv", "voltageV", ({ voltage_mv }) => number(voltage_mv, 2, 1000)],
  ["current_ma", "colCurrent", ({ current_ma, flow }) => (
    `${ARROWS[flow] || ""} ${number(current_ma, 1, 1000)}`)],
  ["soc_pct", "colCharge"],
  ["temperature_c", "colHeat"],
  ["r_mohm", "colResistance"],
  ["trips", "colTrips"],
];
const rows = [];
let heads = [];
let sorted = { key: "n", up: true };

export function create() {
  heads = COLUMNS.map(([key]) => {
    const button = make("button", { onclick: () => sort(key) });
    return make("th", { scope: "col" }, button);
  });
  for (let n = 1; n <= 16; n++) {
    const link = make("a", { href: `#battery-${n}` });
    const cells = COLUMNS.slice(1).map(() => make("td"));
    const head = make("th", { scope: "row" }, link);
    rows.push({ n, link, cells, root: make("tr", {}, head, ...cells) });
  }
  $("table").replaceChildren(
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map(({ root }) => root)),
  );
  for (const key of $("forms").children) {
    key.onclick = () => {
      history.replaceState(null, "", "#rig"); // so that a way to the same battery is one again
      choose(key.dataset.form);
    };
  }
  choose(localStorage.getItem("form") || "cards");
}

export function choose(form) {
  localStorage.setItem("form", form);
  $("cards").hidden = form !== "cards";
  $("table-box").hidden = form === "cards";
  for (const key of $("forms").children) key.ariaPressed = String(key.dataset.form === form);
  if (app.words && app.model) draw();
}

// In this order until the next tap: rows that move by themselves cannot be read.
function sort(key) {
  sorted = { key, up: sorted.key === key ? !sorted.up : key === "n" || key === "state" };
  const value = ({ n }) => app.model.batteries[n - 1][key];
  const unknown = (row) => value(row) === null;
  const order = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0);
  rows.sort((a, b) => (
    unknown(a) - unknown(b) || (sorted.up ? order(a, b) : order(b, a)) || a.n - b.n
  ));
  $("table").tBodies[0].append(...rows.map(({ root }) => root));
  draw();
}

export function translate() {
  heads.forEach((head, k) => set(head.firstChild, say(COLUMNS[k][1])));
}

export function draw() {
  if ($("table-box").hidden) return;
  heads.forEach((head, k) => {
    head.ariaSort = COLUMNS[k][0] !== sorted.key ? "none" : sorted.up ? "ascending" : "descending";
  });
  for (const { n, link, cells, root } of rows) {
    const battery = app.model.batteries[n - 1];
    root.className = $(`battery-${n}`).className;
    root.hidden = $(`battery-${n}`).hidden;
    COLUMNS.forEach(([key, , text], k) => {
      set(k ? cells[k - 1] : link, text ? text(battery) : String(battery[key] ?? "–"));
    });
  }
}
