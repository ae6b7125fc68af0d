// SPDX-License-Identifier: GPL-3.0-only

// The last minutes, hour and day as charts, live: voltage, current and charge of the rig and each
// battery. Loaded when it is first looked at; gets the shared tools as `lib` (see app.js).

import uPlot from "uplot";

import { createCurve } from "./curve.js";

export { create as createTrip } from "./trip.js";

const KEEP_S = 600;
const LONG_S = [86400, 3600];
const AGAIN_S = 60;
const GAP_S = 12;
const HEIGHT = 230;
const SERIES = 17; // 0 is the rig
const KINDS = [["voltage_mv", 1000], ["current_ma", 1000], ["soc_pct", 1]]; // and its unit
const PLACES = ["chart-voltage", "chart-current", "chart-soc"];
const SOC = 2;

export function create(lib) {
  const { $, amps, app, make, number, say, set, volts } = lib;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shown = new Array(SERIES).fill(true);
  const chips = [];
  let live = empty(); // points of the last ten minutes, and what came since
  let long = []; // coarser ones of the day and the hour
  let longAt = -Infinity; // when they were asked for
  let { times, readings } = live; // all of them
  let known = [];
  let charts = null;
  let span = KEEP_S;
  let zoom = null; // [from, to] in s, null = live
  let base = 0; // wall time of the rig's start in s
  let loading = null;
  const curve = createCurve(lib);

  // ---- data ------------------------------------------------------------------------------

  async function points(spanS) {
    const answer = await fetch(`/api/history?span=${spanS}`);
    const { step_ms, end_ms, series } = await answer.json();
    const count = series[0].voltage_mv.length;
    return {
      times: Array.from({ length: count }, (_, k) => (
        base + (end_ms - (count - 1 - k) * step_ms) / 1000
      )),
      readings: KINDS.map(([name, unit]) => series.map((one) => (
        (one[name] || new Array(count).fill(null)).map((value) => (
          value === null ? null : value / unit))
      ))),
    };
  }

  async function load() {
    base = Date.now() / 1000 - app.model.uptime_ms / 1000;
    live = await points(KEEP_S);
    long = [];
    longAt = -Infinity;
  }

  async function loadLong() {
    longAt = performance.now() / 1000;
    const found = [];
    for (const spanS of LONG_S) found.push(await points(spanS));
    long = found;
  }

  // The coarse points up to where finer ones begin.
  function merge() {
    ({ times, readings } = empty());
    for (const part of [...long, live]) {
      const begin = part.times[0];
      const cut = times.findIndex((time) => time >= begin);
      if (cut >= 0) [times, ...readings.flat()].forEach((list) => list.splice(cut));
      times.push(...part.times);
      readings.forEach((lists, chart) => {
        lists.forEach((list, series) => list.push(...part.readings[chart][series]));
      });
    }
  }

  function collect() {
    const { batteries, bus, energy, uptime_ms } = app.model;
    const now = base + uptime_ms / 1000;
    const last = live.times.at(-1);
    if (loading) return;
    if (last === undefined || now < last - 1 || now > last + GAP_S) {
      loading = load().catch(() => {}).finally(() => { loading = null; });
      return;
    }
    if (span > KEEP_S && performance.now() / 1000 > longAt + AGAIN_S) {
      loadLong().then(draw, () => {});
    }
    if (now <= last) return;
    live.times.push(now);
    KINDS.forEach(([name, unit], chart) => {
      [chart === SOC ? energy || {} : bus, ...batteries].forEach((source, series) => {
        const value = source[name] ?? null;
        const blind = value === null || source.voltage_mv === null;
        live.readings[chart][series].push(blind ? null : value / unit);
      });
    });
    const old = live.times.findIndex((time) => time >= now - KEEP_S);
    if (old > 0) [live.times, ...live.readings.flat()].forEach((list) => list.splice(0, old));
  }

  // ---- drawing ---------------------------------------------------------------------------

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const color = (series) => (series === 0 ? css("--ink")
    : `hsl(${(series - 1) * 137.5 % 360} ${dark.matches ? "80% 68%" : "80% 36%"})`);

  function clock(time, seconds = true) {
    return new Date(time * 1000).toLocaleTimeString(app.language, {
      hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hour12: false,
    });
  }

  function chart(place, k) {
    const soc = k === SOC;
    const axis = () => ({ stroke: css("--mute"), grid: { stroke: css("--rule") } });
    const series = Array.from({ length: SERIES }, (_, n) => ({
      show: shown[n] && known[n],
      stroke: color(n),
      width: n ? 1.5 : 3,
      dash: n > 8 ? [6, 4] : [],
      points: { show: false },
      spanGaps: soc,
    }));
    const options = {
      width: place.clientWidth, height: HEIGHT, legend: { show: false },
      cursor: {
        sync: { key: "rig" }, points: { show: false }, y: false,
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => { zoom = null; refreshScale(); } },
      },
      scales: { x: { time: true }, ...(soc && { y: { range: [0, 100] } }) },
      axes: [
        { ...axis(), space: 70, values: (_, ticks) => (
          ticks.map((tick) => clock(tick, ticks[1] - ticks[0] < 60))) },
        { ...axis(), size: 54, values: (_, ticks) => ticks.map((tick) => (
          `${tick < 0 ? "-" : ""}${number(tick, soc ? 0 : 1)}`)) },
      ],
      series: [{}, ...series],
      hooks: {
        setCursor: [tell],
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (width < 5) return;
          zoom = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          refreshScale();
        }],
      },
    };
    return new uPlot(options, [times, ...readings[k]], place);
  }

  function rebuild() {
    charts?.forEach((plot) => plot.destroy());
    $("soc").hidden = !app.model.energy;
    charts = PLACES.slice(0, app.model.energy ? 3 : SOC).map((id, k) => chart($(id), k));
    refreshScale();
  }

  function refreshScale() {
    const now = times.at(-1) ?? 0;
    const [min, max] = zoom || [now - span, now];
    charts.forEach((plot) => plot.setScale("x", { min, max }));
    for (const key of $("spans").querySelectorAll("button")) {
      const mine = key.dataset.span ? Number(key.dataset.span) === span : !zoom;
      key.ariaPressed = String(mine && (!zoom || !key.dataset.span));
    }
    Object.assign($("chart-at"), { min: Math.floor(min), max: Math.ceil(max) });
  }

  // The values at the cursor, or the newest, into the buttons.
  function tell(plot) {
    const at = plot?.cursor.idx ?? null;
    const index = at === null ? times.length - 1 : at;
    set($("chart-time"), at === null ? say("now") : say("at", { t: clock(times[index]) }));
    chips.forEach(({ value }, k) => {
      const [mv, ma, pct] = readings.map((list) => list[k]?.[index] ?? null);
      set(value, `${volts(mv === null ? null : mv * 1000)} ${ma < 0 ? "-" : ""}`
        + amps(ma === null ? null : ma * 1000) + (pct === null ? "" : `\n${pct}\u00a0%`));
    });
  }

  function draw() {
    if (!charts || loading) return;
    merge();
    const seen = readings[0].map((list, k) => !k || list.some((value) => value !== null));
    if (String(seen) !== String(known)) {
      known = seen;
      chips.forEach(({ root }, k) => { root.hidden = !known[k]; });
      rebuild();
    }
    charts.forEach((plot, k) => plot.setData([times, ...readings[k]], false));
    if (!zoom) refreshScale();
    if (charts[0].cursor.idx === null || charts[0].cursor.left < 0) {
      $("chart-at").value = $("chart-at").max;
      tell(null);
    }
  }

  // ---- controls --------------------------------------------------------------------------

  function toggle(k) {
    shown[k] = !shown[k];
    chips[k].root.ariaPressed = String(shown[k]);
    charts.forEach((plot) => plot.setSeries(k + 1, { show: shown[k] && known[k] }));
  }

  for (let k = 0; k < SERIES; k++) {
    const swatch = make("i");
    const name = make("b");
    const value = make("span");
    const root = make("button", { type: "button", ariaPressed: "true", hidden: true },
      swatch, name, " ", value);
    root.onclick = () => toggle(k);
    $("chips").append(root);
    chips.push({ root, swatch, name, value });
  }
  for (const key of $("spans").querySelectorAll("button")) {
    key.onclick = () => {
      if (key.dataset.span) span = Number(key.dataset.span);
      zoom = null;
      refreshScale();
      if (!loading) collect();
    };
  }
  $("chart-at").oninput = () => {
    const wanted = Number($("chart-at").value);
    charts.forEach((plot) => plot.setCursor({ left: plot.valToPos(wanted, "x"), top: 10 }));
    $("chart-at").ariaValueText = clock(wanted);
  };

  function translate() {
    chips.forEach(({ swatch, name }, k) => {
      swatch.style.background = color(k);
      set(name, k ? String(k) : say("output"));
    });
    for (const id of PLACES) {
      $(id).setAttribute("aria-label", say("chartText"));
    }
    for (const key of $("spans").querySelectorAll("[data-span]")) {
      const minutes = key.dataset.span / 60;
      set(key, minutes < 60 ? say("minutes", { v: minutes }) : say("hour", { v: minutes / 60 }));
    }
    if (charts) rebuild();
    curve.translate();
  }

  async function show() {
    curve.show();
    if (!live.times.length) collect();
    await loading;
    merge();
    translate();
    known = [];
    if (!charts) rebuild();
    draw();
  }

  dark.onchange = translate;
  addEventListener("resize", () => {
    const width = $("chart-voltage").clientWidth;
    charts?.forEach((plot) => plot.setSize({ width, height: HEIGHT }));
  });
  return { show, draw, translate, collect };
}

function empty() {
  return { times: [], readings: KINDS.map(() => Array.from({ length: SERIES }, () => [])) };
}
