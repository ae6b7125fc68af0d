// SPDX-License-Identifier: GPL-3.0-only

// The curve of the rig's cells, and how far it has come with learning it. Part of charts.js.

import { createPlot, round } from "./plot.js";

const PHASES = ["charge", "discharge"];

export function createCurve(lib) {
  const { $, app, ask, change, get, make, number, part, say, set } = lib;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let told = null;
  const plot = createPlot($("curve-chart"));

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

  async function show() {
    if (!app.model.energy) return;
    told = await part("curve", get("/api/calibration")) ?? told;
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
    plot.draw({
      from: 0, to: 100, x: curve.map((_, k) => k * step_pct), least: 0.1,
      xs: (from, to, most) => round(from, to, most).values.map((pct) => [pct, `${pct} %`]),
      ys: number, color: css("--mute"), rule: css("--rule"),
      lines: [{ values: curve.map((mv) => mv / 1000), color: css("--ink"), line: 3 }],
    });
  }

  async function forget() {
    if (!await ask(say("askForget"), say("curveForget"))) return;
    if (await change("/api/calibration", { method: "DELETE" })) show();
  }

  $("curve-forget").onclick = forget;
  $("curve").ontoggle = show;
  dark.addEventListener("change", draw);
  return { show, translate: draw };
}
