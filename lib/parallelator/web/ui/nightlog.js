// SPDX-License-Identifier: GPL-3.0-only

// A night of the logs on the SD card, put together from the files of two days of UTC.

import { WAIT_MS } from "./lib.js";
import { nightOf } from "./night.js";

const PIECE = 4096; // bytes; more than two rows of the wide layout
const DAY = /^(\d{4}-\d\d-\d\d)(-\d+)?\.csv$/;
const ROW = /\n(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)/g;

// The nights that logs reach into, the newest first: { from, to, logs: from the oldest on }.
export function nightsOf(logs) {
  const nights = new Map();
  for (const log of logs) {
    const [, day, part] = DAY.exec(log.name) || [];
    if (!day) continue;
    const begin = Date.parse(day) / 1000;
    const own = { ...log, begin, part: -(part || 0) };
    for (const time of [begin, begin + 86399]) {
      const [from, to] = nightOf(time);
      const night = nights.get(from) || { from, to, logs: [] };
      if (!night.logs.includes(own)) night.logs.push(own);
      nights.set(from, night);
    }
  }
  for (const night of nights.values()) {
    night.logs.sort((a, b) => a.begin - b.begin || a.part - b.part);
  }
  const begun = [...nights.values()].filter(({ from }) => from * 1000 < Date.now());
  return begun.sort((a, b) => b.from - a.from);
}

async function* read(name, first, end) {
  const stop = new AbortController();
  let timer = null;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), WAIT_MS);
  };
  wait();
  const headers = { Range: `bytes=${first}-${end - 1}` };
  const answer = await fetch(`/api/logs/${name}`, { headers, signal: stop.signal });
  if (answer.status !== 206) throw answer;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    wait();
    if (done) break;
    yield value;
  }
  clearTimeout(timer);
}

// The text from `first` on, as far as a piece reaches.
async function piece({ name, size_bytes }, first, end = first + PIECE) {
  const parts = [];
  for await (const part of read(name, first, Math.min(end, size_bytes))) parts.push(part);
  return new Blob(parts).text();
}

// Where the first row of `time` or later begins.
async function seek(log, time) {
  const stamp = `${new Date(time * 1000).toISOString().slice(0, 19)}Z`;
  let low = 0; // nothing before it is as late
  let high = log.size_bytes; // what begins after it is
  while (high - low > PIECE) {
    const middle = Math.floor((low + high) / 2);
    const [row] = (await piece(log, middle)).matchAll(ROW);
    if (row && row[1] < stamp) low = middle;
    else high = middle;
  }
  const rows = (await piece(log, low, high + PIECE)).matchAll(ROW);
  for (const row of rows) if (row[1] >= stamp) return low + row.index + 1;
  return log.size_bytes;
}

// The rows of a night as a list of texts and bytes, with a head wherever it is another.
export async function load({ from, to, logs }, tell) {
  const parts = [];
  const spans = [];
  for (const log of logs) {
    const first = from > log.begin ? await seek(log, from) : 0;
    spans.push([log, first, to < log.begin + 86400 ? await seek(log, to) : log.size_bytes]);
  }
  const size = spans.reduce((sum, [, first, end]) => sum + end - first, 0);
  let come = 0;
  let known = "";
  for (const [log, first, end] of spans) {
    if (first >= end) continue;
    const begin = await piece(log, 0);
    const head = `${begin.split("\n")[0]}\n`;
    if (first && head !== known) parts.push(head, ...(begin.match(/^# .*\n/gm) || []));
    const skip = !first && head === known ? head.length : 0;
    known = head;
    for await (const part of read(log.name, first + skip, end)) {
      parts.push(part);
      come += part.length;
      tell(come / size, size);
    }
  }
  if (!come) throw Error("nothing");
  return parts;
}
