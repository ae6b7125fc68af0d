// SPDX-License-Identifier: GPL-3.0-only

// The self-test before a show: started, followed, and what the last one found.

import { TEST_UNITS } from "catalog";

import { change } from "./client.js";
import {
  $, amps, app, dateOf, fill, get, make, number, part, say, sentence, set, volts,
} from "./lib.js";

const PATH = "/api/selftest";
const POLL_MS = 2000;
const LEVELS = ["no_go", "watch", "go"];
let told = null;
let timer = null;

export async function show() {
  clearTimeout(timer);
  if (!$("selftest").open) return;
  told = await part("selftest", get(PATH)) ?? told;
  translate();
  if (told?.running) timer = setTimeout(show, POLL_MS);
}

export function draw() {
  const running = Boolean(told?.running);
  $("test-start").hidden = running || !app.model.writable;
  $("test-stop").hidden = !running || !app.model.writable;
  $("test-print").hidden = running || !told?.result;
}

export function translate() {
  if (!told || !app.words) return;
  const { running, n, step, steps, result } = told;
  const bar = $("test-bar");
  bar.hidden = !running;
  bar.max = steps;
  bar.value = step;
  set($("test-text"), running ? progress(n) : result ? headline(result) : say("testNone"));
  $("test-list").replaceChildren(...running || !result ? [] : result.findings
    .sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level))
    .map((row) => make("li", { className: row.level }, findingText(row))));
  $("test-table").replaceChildren(...running || !result ? [] : table(result));
  draw();
}

const progress = (n) => (n ? say("battery", { n }) : say("sending"));

function headline({ verdict, time, stopped, load_ma }) {
  const words = app.words.selftest;
  return [
    `${sentence(app.words.verdict[verdict])}.`, stopped ? words[stopped] : "",
    say("testLoad", { v: amps(load_ma) }),
    time ? dateOf(time) : "",
  ].filter(Boolean).join(" ");
}

// A sentence of what was found; the value as its unit says.
function findingText({ n, code, value }) {
  const { alarm, reason, selftest, state } = app.words;
  if (code === "alarm") return fill(alarm[value], { n });
  const units = { mA: amps, mV: volts, C: (c) => `${c}\u00a0°C` };
  const small = code.startsWith("zero") ? (ma) => `${number(ma, 0)} mA` : null;
  const form = small || units[TEST_UNITS[code]];
  const v = form ? form(value) : reason[value] || state[value] || value;
  return fill(selftest[code], { n, v });
}

function table({ batteries, r_mohm, zero_ma }) {
  const words = app.words.selftest;
  const heads = ["battery1", "testResult", "colResistance", "testZero"];
  const complete = batteries.every(({ missing }) => !missing.length);
  if (!complete) heads.push("testMissing");
  const head = make("tr", {}, ...heads.map((key) => make("th", { scope: "col" }, say(key))));
  const rows = batteries.map(({ n, verdict, missing }) => make(
    "tr", { className: verdict },
    make("th", { scope: "row" }, String(n)), make("td", {}, app.words.verdict[verdict]),
    make("td", {}, number(r_mohm[n - 1], 0)), make("td", {}, number(zero_ma[n - 1], 0)),
    ...(complete ? [] : [make("td", {}, missing.map((key) => words[key]).join(", "))]),
  ));
  return [make("thead", {}, head), make("tbody", {}, ...rows)];
}

export function create() {
  $("selftest").ontoggle = show;
  $("test-start").onclick = async () => {
    if (await change(PATH)) show();
  };
  $("test-stop").onclick = async () => {
    if (await change(PATH, { method: "DELETE" })) show();
  };
  $("test-print").onclick = () => {
    $("told").open = false;
    print();
  };
  addEventListener("beforeprint", () => {
    const some = $("selftest").open || $("told").open;
    document.body.classList.toggle("test", some && app.view === "rig");
  });
}
