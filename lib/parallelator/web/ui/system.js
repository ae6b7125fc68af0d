// SPDX-License-Identifier: GPL-3.0-only

// The controller itself: versions, memory, tasks, wiring, clock, restart.

import { change, now } from "./client.js";
import { $, app, dateOf, duration, get, make, number, part, say, toast } from "./lib.js";
import { cardText } from "./logs.js";
import { restart } from "./pending.js";
import * as update from "./update.js";

const POLL_MS = 5000;
let timer = null;
let report = null;

export async function show() {
  clearTimeout(timer);
  update.show();
  report = await part("system", get("/api/system")) ?? report;
  translate();
  if (!$("view-system").hidden) timer = setTimeout(show, POLL_MS);
}

export function translate() {
  if (report) list();
}

export function draw() {
  $("set-clock").hidden = !app.model.writable;
  $("restart").hidden = !app.model.writable;
  update.draw();
}

function list() {
  const { controller, i2c, heap, mqtt, tasks } = report;
  const kilo = (bytes) => number(bytes, 0, 1024);
  const rows = [
    ["clock", report.time ? dateOf(report.time) : say("unset")],
    ["version", report.version],
    ["micropython", report.micropython],
    ["machine", `${report.machine}, ${controller.mhz} MHz`],
    ["boot", report.boot],
    ["uptime", duration(report.uptime_ms)],
    ["heap", say("heapOf", { v: kilo(heap.free), n: kilo(heap.free + heap.used) })],
    ["follows", app.words.console[controller.psram ? "psram" : "no_psram"]],
    ["i2c", say("i2cText", {
      v: number(i2c.transactions, 0), n: i2c.errors, t: i2c.timeouts, b: i2c.recoveries,
      k: i2c.khz, d: controller.i2c_driver,
    })],
    ["boards", i2c.boards.join(", ") || say("none")],
    ["sensors", i2c.sensors.join(", ") || say("none")],
    ["card", cardText(report.card)],
    ...(mqtt ? [["mqtt", say("mqttText", {
      b: mqtt.connected ? say("mqttUp") : app.words.mqtt[mqtt.problem] || say("none"),
      n: number(mqtt.sent, 0), v: number(mqtt.dropped, 0),
    })]] : []),
    ["tasks", tasks.map(({ name, failures }) => (
      say(failures ? "taskText" : "taskFine", { b: name, v: failures })
    )).join(" · ")],
  ];
  $("report").replaceChildren(...rows.map(([key, text]) => (
    make("div", {}, make("dt", {}, say(key)), make("dd", {}, String(text)))
  )));
}

$("restart").onclick = restart;
$("set-clock").onclick = async () => {
  if (await change("/api/time", { body: now() })) {
    toast(say("clockSet"));
    show();
  }
};
