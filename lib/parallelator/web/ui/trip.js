// SPDX-License-Identifier: GPL-3.0-only

// The record of a trip as two charts: voltage and current of its battery and of the output, from
// ten seconds before the trip to five after. Part of charts.js, which events.js loads.

import { createPlot, round } from "./plot.js";

const MOST_V = 65.535; // stands for this or more

export function create({ $, amps, number, say, set, volts }) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let record = null;
  let rows = []; // [s from the trip, V and A of the battery, V and A of the output]

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const signed = (value, digits) => `${value < 0 ? "-" : ""}${number(value, digits)}`;
  const current = (amp) => (amp === null ? "–" : `${amp < 0 ? "-" : ""}${amps(amp * 1000)}`);
  const voltage = (volt) => (
    (volt === MOST_V ? "≥ " : "") + volts(volt === null ? null : volt * 1000)
  );

  const plots = ["record-voltage", "record-current"].map((id) => (
    createPlot($(id), { pointed: (s) => { if (s !== null) tell(s); } })
  ));

  const xs = (from, to, most) => (
    round(from, to, most).values.map((s) => [s, `${signed(s, 0)} s`])
  );

  function content(output, own) {
    const lines = [[output, "--ink", 3, ""], [own, "--waiting", 1.5, String(record.n)]]
      .map(([column, color, line, name]) => (
        { values: rows.map((row) => row[column]), color: css(color), line, name }
      ));
    return {
      from: -10, to: 5, x: rows.map(([s]) => s), xs, ys: signed, least: 0.5, gaps: false, lines,
      color: css("--mute"), rule: css("--rule"), marks: [{ x: 0, color: css("--danger") }],
    };
  }

  // The readings that were the newest `at` seconds after the trip.
  function tell(at) {
    const values = [null, null, null, null];
    for (const row of rows) {
      if (row[0] > at) break;
      values.forEach((_, k) => { values[k] = row[k + 1] ?? values[k]; });
    }
    const [v, a, busV, busA] = values;
    plots.forEach((plot) => plot.point(at));
    set($("record-time"), `${signed(at, 2)} s`);
    set($("record-own"), `${say("battery", { n: record.n })} ${voltage(v)} ${current(a)}`);
    set($("record-output"), `${say("output")} ${voltage(busV)} ${current(busA)}`);
    $("record-at").ariaValueText = ["record-time", "record-own", "record-output"]
      .map((id) => $(id).textContent).join(", ");
  }

  function draw() {
    plots.forEach((plot, k) => plot.draw(content(3 + k, 1 + k)));
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

  $("record-at").oninput = () => tell(Number($("record-at").value));
  const again = () => { if (record) draw(); };
  dark.addEventListener("change", again);
  return { show, translate: again };
}
