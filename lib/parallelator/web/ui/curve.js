// SPDX-License-Identifier: GPL-3.0-only

// The curve of the rig's cells, and how far it has come with learning it. Part of charts.js.

import uPlot from "uplot";

const HEIGHT = 200;
const PHASES = ["charge", "discharge"];

export function createCurve({ $, app, ask, change, make, number, say, set }) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let told = null;
  let plot = null;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

  async function show() {
    if (!app.model.energy) return;
    try {
      told = await (await fetch("/api/calibration")).json();
    } catch {
      return; // the banner shows it
    }
    draw();
  }

  function steps() {
    const { phase, full, discharged_pct } = told;
    const values = { v: full.join(", ") || say("none"), n: discharged_pct };
    return ["curveCharge", "curveDischarge", "curveEmpty"].map((key, k) => {
      const step = make("li", {}, say(key, values));
      if (k === PHASES.indexOf(phase)) step.setAttribute("aria-current", "step");
      return step;
    });
  }

  function draw() {
    $("curve").hidden = !app.model.energy;
    if (!told || $("curve").hidden) return;
    const { source, nights, left_over, curve, step_pct } = told;
    set($("curve-source"), say(`curve_${source}`, { v: nights }));
    set($("curve-left"), left_over ? say(`curve_${left_over}`) : "");
    $("curve-steps").hidden = source === "settings";
    $("curve-steps").replaceChildren(...steps());
    $("curve-forget").hidden = source !== "own" || !app.model.writable;
    $("curve-chart").setAttribute("aria-label", say("curveChart", {
      v: number(curve[0], 2, 1000), n: number(curve[10], 2, 1000), t: number(curve.at(-1), 2, 1000),
    }));
    plot?.destroy();
    const width = $("curve-chart").clientWidth;
    if (!width) return;
    const axis = () => ({ stroke: css("--mute"), grid: { stroke: css("--rule") } });
    plot = new uPlot({
      width, height: HEIGHT, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false } },
      axes: [
        { ...axis(), values: (_, ticks) => ticks.map((pct) => `${number(pct, 0)} %`) },
        { ...axis(), size: 54, values: (_, ticks) => ticks.map((tick) => number(tick, 2)) },
      ],
      series: [{}, { stroke: css("--ink"), width: 3, points: { show: false } }],
    }, [curve.map((_, k) => k * step_pct), curve.map((mv) => mv / 1000)], $("curve-chart"));
  }

  async function forget() {
    if (!await ask(say("askForget"), say("curveForget"))) return;
    if (await change("/api/calibration", { method: "DELETE" })) show();
  }

  $("curve-forget").onclick = forget;
  $("curve").ontoggle = show;
  dark.addEventListener("change", draw);
  addEventListener("resize", draw);
  return { show, translate: draw };
}
