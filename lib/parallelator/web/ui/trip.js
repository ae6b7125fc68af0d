// SPDX-License-Identifier: GPL-3.0-only

// The record of a trip as two charts: voltage and current of its battery and of the output, from
// ten seconds before the trip to five after. Part of charts.js, which events.js loads.

import uPlot from "uplot";

const HEIGHT = 200;
const MOST_V = 65.535; // stands for this or more

export function create({ $, amps, number, say, set, volts }) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let charts = [];
  let record = null;
  let rows = []; // [s from the trip, V and A of the battery, V and A of the output]

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const signed = (value, digits) => `${value < 0 ? "-" : ""}${number(value, digits)}`;
  const current = (amp) => (amp === null ? "–" : `${amp < 0 ? "-" : ""}${amps(amp * 1000)}`);
  const voltage = (volt) => (
    (volt === MOST_V ? "≥ " : "") + volts(volt === null ? null : volt * 1000)
  );

  function drawTrip(plot) {
    const x = Math.round(plot.valToPos(0, "x", true));
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = css("--tripped");
    ctx.fillRect(x - 1, bbox.top, 2 * devicePixelRatio, bbox.height);
    ctx.restore();
  }

  function chart(place, own, output) {
    const axis = () => ({ stroke: css("--mute"), grid: { stroke: css("--rule") } });
    const options = {
      width: place.clientWidth, height: HEIGHT, legend: { show: false },
      cursor: { sync: { key: "trip" }, points: { show: false }, y: false, drag: { x: false } },
      scales: { x: { time: false, range: [-10, 5] } },
      axes: [
        { ...axis(), space: 50, values: (_, ticks) => ticks.map((s) => `${signed(s, 0)} s`) },
        { ...axis(), size: 54, values: (_, ticks) => ticks.map((tick) => signed(tick, 1)) },
      ],
      series: [
        {},
        { stroke: css("--ink"), width: 3, spanGaps: true, points: { show: false } },
        { stroke: css("--waiting"), width: 2, spanGaps: true, points: { show: false } },
      ],
      hooks: { drawAxes: [drawTrip], setCursor: [follow] },
    };
    const columns = [0, output, own].map((k) => rows.map((row) => row[k]));
    return new uPlot(options, columns, place);
  }

  function follow(plot) {
    const { left, idx } = plot.cursor;
    if (idx !== null && left >= 0) tell(plot.posToVal(left, "x"));
  }

  // The readings that were the newest `at` seconds after the trip.
  function tell(at) {
    const values = [null, null, null, null];
    for (const row of rows) {
      if (row[0] > at) break;
      values.forEach((_, k) => { values[k] = row[k + 1] ?? values[k]; });
    }
    const [v, a, busV, busA] = values;
    set($("record-time"), `${signed(at, 2)} s`);
    set($("record-own"), `${say("battery", { n: record.n })} ${voltage(v)} ${current(a)}`);
    set($("record-output"), `${say("output")} ${voltage(busV)} ${current(busA)}`);
    $("record-at").ariaValueText = ["record-time", "record-own", "record-output"]
      .map((id) => $(id).textContent).join(", ");
  }

  function draw() {
    charts.forEach((plot) => plot.destroy());
    charts = [chart($("record-voltage"), 1, 3), chart($("record-current"), 2, 4)];
    tell(Number($("record-at").value));
  }

  function show(found) {
    record = found;
    rows = record.samples.map(([ms, n, mv, ma]) => {
      const volt = mv === null ? null : mv / 1000;
      return n ? [ms / 1000, volt, ma / 1000, null, null]
        : [ms / 1000, null, null, volt, ma / 1000];
    });
    $("record-at").value = 0;
    draw();
  }

  $("record-at").oninput = () => {
    const at = Number($("record-at").value);
    charts.forEach((plot) => plot.setCursor({ left: plot.valToPos(at, "x"), top: 10 }, false));
    tell(at);
  };
  const again = () => { if (record && $("record-voltage").clientWidth) draw(); };
  dark.addEventListener("change", again);
  addEventListener("resize", again);
  return { show, translate: again };
}
