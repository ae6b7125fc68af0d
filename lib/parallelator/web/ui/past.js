// SPDX-License-Identifier: GPL-3.0-only

// The last ten minutes of all voltages, currents and charges: from the rig's own points, then from
// the live data. For the small curves on the cards, and for the charts.

import { $, app, get } from "./lib.js";

export const KEEP_S = 600;
export const SERIES = 17; // 0 is the rig
const GAP_S = 12;
const PAUSE_S = 10; // before it is asked for again
const STEP_S = 10; // of the small curves
const LEAST_A = 1;
const KINDS = [["voltage_mv", 1000], ["current_ma", 1000], ["soc_pct", 1]]; // and its unit
const SOC = 2;

export const past = { ...empty(), base: null, loading: null, lost: false };
let triedAt = -Infinity;

// Times in s since 1970; readings: voltages in V, currents in A, charges in %, each a list for each
// series.
export function empty() {
  return { times: [], readings: KINDS.map(() => Array.from({ length: SERIES }, () => [])) };
}

export async function points(spanS) {
  const { step_ms, end_ms, series } = await get(`/api/history?span=${spanS}`);
  const count = series[0].voltage_mv.length;
  return {
    times: Array.from({ length: count }, (_, k) => (
      past.base + (end_ms - (count - 1 - k) * step_ms) / 1000
    )),
    readings: KINDS.map(([name, unit]) => series.map((one) => (
      (one[name] || new Array(count).fill(null)).map((value) => (
        value === null ? null : value / unit))
    ))),
  };
}

async function load() {
  past.base = Date.now() / 1000 - app.model.uptime_ms / 1000;
  Object.assign(past, await points(KEEP_S));
}

// Called with each new state of the rig; `again`: ask at once, if anything has to be asked for.
export function collect(again) {
  const { batteries, bus, energy, uptime_ms } = app.model;
  const now = past.base + uptime_ms / 1000;
  const last = past.times.at(-1);
  if (past.loading) return;
  if (past.base === null || past.lost || now < last - 1 || now > last + GAP_S) {
    if (!again && performance.now() / 1000 < triedAt + PAUSE_S) return;
    triedAt = performance.now() / 1000;
    past.loading = load().then(() => false, () => true).then((lost) => {
      Object.assign(past, { lost, loading: null });
    });
    return;
  }
  if (now <= last) return;
  past.times.push(now);
  KINDS.forEach(([name, unit], kind) => {
    [kind === SOC ? energy || {} : bus, ...batteries].forEach((source, series) => {
      const value = source[name] ?? null;
      const blind = value === null || source.voltage_mv === null;
      past.readings[kind][series].push(blind ? null : value / unit);
    });
  });
  const old = past.times.findIndex((time) => time >= now - KEEP_S);
  if (old > 0) [past.times, ...past.readings.flat()].forEach((list) => list.splice(0, old));
}

// The currents on the cards, all on one scale, discharge upwards; the edge of each is at zero.
export function drawCurves() {
  const { times, readings: [, currents] } = past;
  const count = KEEP_S / STEP_S + 1;
  const first = Math.floor(times.at(-1) / STEP_S) - count + 1;
  const curves = currents.slice(1).map((list) => {
    const steps = new Array(count).fill(0);
    list.forEach((amps, k) => { steps[Math.floor(times[k] / STEP_S) - first] = amps ?? 0; });
    return steps;
  });
  const all = curves.flat();
  const top = Math.max(LEAST_A, ...all);
  const low = Math.min(0, ...all);
  const y = (amps) => ((top - amps) / (top - low) * 18 + 1).toFixed(1);
  curves.forEach((steps, i) => {
    const line = steps.map((amps, k) => `V${y(amps)}H${k + 1}`).join("");
    $(`battery-${i + 1}`).querySelector(".spark path")
      .setAttribute("d", `M0 ${y(0)}${line}V${y(0)}Z`);
  });
}
