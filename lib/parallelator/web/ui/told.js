// SPDX-License-Identifier: GPL-3.0-only

// The report of the last show: offered when the show is over, and read. What it says: report.js.

import * as lib from "./lib.js";

const { $, app, get, part } = lib;
let writer = null;
let result = null;

// By this nobody is offered a report twice.
const mark = () => `${app.model.boot} ${app.model.report}`;

export async function show() {
  if (!$("told").open) return;
  localStorage.setItem("told", mark());
  draw();
  writer ||= (await part("told", import("./report.js")))?.create(lib);
  result = (await part("told", get("/api/show")))?.result;
  translate();
}

export function draw() {
  const { report, show: stands } = app.model;
  $("told-key").hidden = !report || Boolean(stands) || localStorage.getItem("told") === mark();
}

export function translate() {
  if (!writer || result === undefined || !app.words) return;
  $("told-text").replaceChildren(...writer.draw(result));
  $("told-print").hidden = !result;
}

export function create() {
  $("told").ontoggle = show;
  $("told-key").onclick = () => {
    $("told").open = true;
    $("told").scrollIntoView();
    show();
  };
  $("told-print").onclick = () => {
    $("selftest").open = false;
    print();
  };
}
