// SPDX-License-Identifier: GPL-3.0-only

// The last minutes, hour, day and night as charts, live: voltage, current and charge of the rig and
// each battery. Loaded when it is first looked at; gets the shared tools as `lib` (see app.js).

import { createCurve } from "./curve.js";
import { createPlot } from "./plot.js";

export { create as createTrip } from "./trip.js";

const LONG_S = [86400, 3600];
const AGAIN_S = 60;
const PLACES = ["chart-voltage", "chart-current", "chart-soc"]; // in the order of the readings
const SOC = 2;
const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200,
];
const DASHES = [[], [7, 3], [2, 2], [9, 3, 2, 3]];
const LEAST = { values: [0.1, 1], deviation: [0.02, 1], limits: [0.1, 1] };

export function create(lib) {
  const {
    $, SERIES, amps, app, collect, empty, loadSettings, local, make, nightFile, nightName,
    nightNow, number, offset, part, past, points, save, say, set, volts,
  } = lib;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shown = new Array(SERIES).fill(true);
  const chips = [];
  let long = []; // coarser points of the day and the hour
  let longAt = -Infinity; // when they were asked for
  let { times, readings } = past; // all of them
  let deviations = [];
  let known = [];
  let span = "600";
  let mode = "values";
  let zoom = null; // [from, to] in s, null = live
  let pointed = null; // index of the time that is looked at
  const curve = createCurve(lib);
  const events = {
    pointed: follow,
    chosen: (between) => { zoom = between; draw(); },
  };
  const plots = PLACES.map((id) => createPlot($(id), events));

  // ---- data ------------------------------------------------------------------------------

  async function loadLong() {
    longAt = performance.now() / 1000;
    const found = [];
    for (const spanS of LONG_S) found.push(await points(spanS));
    long = found;
    draw();
  }

  // The coarse points up to where finer ones begin.
  function merge() {
    ({ times, readings } = empty());
    for (const part of [...long, past]) {
      const begin = part.times[0];
      const cut = times.findIndex((time) => time >= begin);
      if (cut >= 0) [times, ...readings.flat()].forEach((list) => list.splice(cut));
      times.push(...part.times);
      readings.forEach((lists, chart) => {
        lists.forEach((list, series) => list.push(...part.readings[chart][series]));
      });
    }
    const [[, ...batteries]] = readings;
    const means = times.map((_, k) => {
      const there = batteries.map((list) => list[k]).filter((value) => value !== null);
      return there.reduce((sum, value) => sum + value, 0) / there.length;
    });
    deviations = readings[0].map((list) => (
      list.map((value, k) => (value === null ? null : value - means[k]))
    ));
  }

  function bounds() {
    if (zoom) return zoom;
    const now = past.times.at(-1) ?? Date.now() / 1000;
    return span === "night" ? nightNow() : [now - Number(span), now];
  }

  // ---- drawing ---------------------------------------------------------------------------

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const color = (series) => (series === 0 ? css("--ink")
    : `hsl(${(series - 1) * 137.5 % 360} ${dark.matches ? "80% 68%" : "80% 36%"})`);
  const dash = (series) => (series ? DASHES[(series - 1) % DASHES.length] : []);
  const signed = (value, digits, unit) => `${value < 0 ? "-" : ""}${number(value, digits, unit)}`;
  const clock = (time, seconds = true) => local(time, {
    hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined,
  });

  // Ticks where the clock of the rig's zone is round.
  function xs(from, to, most) {
    const least = (to - from) / most;
    const step = STEPS_S.find((s) => s >= (s < 60 ? 1.4 * least : least)) ?? STEPS_S.at(-1);
    const shift = offset(from);
    const first = Math.ceil((from + shift) / step);
    const count = Math.floor((to + shift) / step) - first + 1;
    return Array.from({ length: count }, (_, k) => {
      const time = (first + k) * step - shift;
      return [time, clock(time, step < 60)];
    });
  }

  // Of a battery, in V or A.
  function limits(chart) {
    const { settings } = app;
    if (!settings || chart === SOC || (!chart && mode === "deviation")) return [];
    const limit = (name) => settings[`limits.${name}`] / 1000;
    if (!chart) return [limit("min_voltage_mv"), limit("max_voltage_mv")];
    const both = limit("max_current_ma");
    return [
      Math.min(both, limit("max_discharge_current_ma")),
      -Math.min(both, limit("max_charge_current_ma")),
    ];
  }

  function content(chart, [from, to]) {
    const lists = chart === 0 && mode === "deviation" ? deviations : readings[chart];
    const marks = limits(chart);
    return {
      from, to, x: times, xs, color: css("--mute"), rule: css("--rule"),
      lines: lists.map((values, k) => ({
        values, name: k ? String(k) : "", color: color(k), dash: dash(k), line: k ? 1.5 : 3,
      })).filter((_, k) => shown[k] && known[k] && (k || lists !== deviations)),
      marks: marks.map((y) => ({ y, color: css("--danger"), text: say("limit") })),
      within: mode === "limits" ? marks : [],
      least: LEAST[mode][chart],
      ...(chart === SOC && { range: [0, 100], gaps: false }),
      ys: lists === deviations ? (value) => signed(value, 0, 0.001) : signed,
    };
  }

  // The values at the cursor, or the newest, into the buttons.
  function tell() {
    const index = pointed ?? times.length - 1;
    set($("chart-time"), pointed === null ? say("now") : say("at", { t: clock(times[index]) }));
    chips.forEach(({ value }, k) => {
      const [v, a, pct] = readings.map((list) => list[k][index] ?? null);
      const away = deviations[k]?.[index] ?? null;
      set(value, `${mode === "deviation" && k && away !== null
        ? `${away < 0 ? "-" : "+"}${number(away, 0, 0.001)} mV`
        : volts(v === null ? null : v * 1000)} ${a < 0 ? "-" : ""}`
        + amps(a === null ? null : a * 1000) + (pct === null ? "" : `\n${pct}\u00a0%`));
    });
  }

  function follow(time) {
    pointed = time === null ? null : nearest(time);
    plots.forEach((plot) => plot.point(time));
    if (time !== null) $("chart-at").value = time;
    tell();
  }

  function nearest(time) {
    const after = times.findIndex((one) => one >= time);
    if (after < 0) return times.length - 1;
    return after && time - times[after - 1] < times[after] - time ? after - 1 : after;
  }

  function draw() {
    if (past.loading) return;
    const looked = pointed === null ? null : times[pointed];
    if (!(Number(span) <= 600) && performance.now() / 1000 > longAt + AGAIN_S) {
      part("charts", loadLong());
    }
    merge();
    known = readings[0].map((list, k) => !k || list.some((value) => value !== null));
    chips.forEach(({ root }, k) => {
      root.hidden = !known[k];
      root.ariaPressed = String(shown[k]);
    });
    const between = bounds();
    $("soc").hidden = !app.model.energy;
    plots.forEach((plot, chart) => plot.draw(content(chart, between)));
    for (const key of $("spans").querySelectorAll("[data-span]")) {
      key.ariaPressed = String(!zoom && key.dataset.span === span);
    }
    $("live").ariaPressed = String(!zoom);
    for (const key of $("modes").children) key.ariaPressed = String(key.dataset.mode === mode);
    set($("voltage-title"), say(mode === "deviation" ? "deviationMv" : "voltageV"));
    $("night").hidden = span !== "night";
    set($("night-name"), nightName(between));
    const [min, max] = [Math.floor(between[0]), Math.ceil(between[1])];
    Object.assign($("chart-at"), { min, max });
    if (looked === null) $("chart-at").value = max;
    follow(looked);
  }

  // ---- controls --------------------------------------------------------------------------

  // One alone, then others beside it; all of them again when none is left.
  function choose(k) {
    if (shown.every(Boolean)) shown.fill(false);
    shown[k] = !shown[k];
    if (!shown.includes(true)) shown.fill(true);
    draw();
  }

  // What the charts hold of the night, as a file.
  async function download() {
    await part("charts", loadLong());
    const [from, to] = bounds();
    const units = [["mv", 1000], ["ma", 1000], ...(app.model.energy ? [["pct", 1]] : [])];
    const head = readings[0].flatMap((_, n) => units.map(([unit]) => `${n || "output"}_${unit}`));
    const row = (k) => readings[0].flatMap((_, n) => units.map(([, parts], kind) => {
      const value = readings[kind][n][k];
      return value === null ? "" : Math.round(value * parts);
    }));
    const rows = times.flatMap((time, k) => (time < from || time > to ? [] : [[
      `${new Date(time * 1000).toISOString().slice(0, 19)}Z`,
      ...row(k),
    ]]));
    const text = [["time", ...head], ...rows].map((cells) => `${cells.join()}\n`);
    save(nightFile(from), text);
  }

  for (let k = 0; k < SERIES; k++) {
    const swatch = make("i");
    const name = make("b");
    const value = make("span");
    const root = make("button", { type: "button", hidden: true, onclick: () => choose(k) },
      swatch, name, " ", value);
    $("chips").append(root);
    chips.push({ root, swatch, name, value });
  }
  for (const key of $("spans").querySelectorAll("button")) {
    key.onclick = () => {
      if (key.dataset.span) ({ span } = key.dataset);
      zoom = null;
      pointed = null;
      draw();
    };
  }
  for (const key of $("modes").children) {
    key.onclick = () => {
      ({ mode } = key.dataset);
      draw();
    };
  }
  $("night-load").onclick = download;
  $("chart-at").oninput = () => {
    const wanted = Number($("chart-at").value);
    follow(wanted);
    $("chart-at").ariaValueText = clock(wanted);
  };

  function translate() {
    chips.forEach(({ swatch, name }, k) => {
      const [line, gap = 0] = dash(k);
      swatch.style.background = line ? `repeating-linear-gradient(90deg, ${color(k)} 0 ${line}px,
        #0000 ${line}px ${line + gap}px)` : color(k);
      set(name, k ? String(k) : say("output"));
    });
    for (const id of PLACES) {
      $(id).setAttribute("aria-label", say("chartText"));
    }
    for (const key of $("spans").querySelectorAll("[data-span]")) {
      const minutes = key.dataset.span / 60;
      if (minutes) {
        set(key, minutes < 60 ? say("minutes", { v: minutes }) : say("hour", { v: minutes / 60 }));
      }
    }
    draw();
    curve.translate();
  }

  // With the number of a battery that one alone; with `night` the night.
  async function show(what) {
    curve.show();
    if (what === "night") span = what;
    else if (what) shown.forEach((_, k) => { shown[k] = k === Number(what); });
    collect(true);
    await past.loading;
    translate();
    await part("charts", past.lost ? Promise.reject() : loadSettings());
    draw();
  }

  dark.onchange = translate;
  return { show, draw, translate };
}
