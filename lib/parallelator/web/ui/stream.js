// SPDX-License-Identifier: GPL-3.0-only

// Data from the rig: the live stream or, when that is refused, polling. Keeps `app.model`, the
// object of /api/state, up to date and tells the listener.

import { $, app, get, say, set } from "./lib.js";

const STALE_MS = 3000;
const RECONNECT_MS = 7000;
const POLL_MS = 2000;
const RETRY_LIVE_MS = 30000;

let source = null;
let polling = false;
let freshAt = performance.now();
let triedAt = freshAt;
let changed = null;

// Calls `listener` after each change of the model, for ever.
export function follow(listener) {
  changed = listener;
  setInterval(watch, 500);
  connect();
}

function takeState(state) {
  fresh(state.uptime_ms);
  app.model = state;
  changed();
}

// The layout of a frame is described in live.py.
function takeFrame([uptimeS, bus, alarms, alarmCount, slow, ...rows]) {
  const { model, codes } = app;
  fresh(uptimeS * 1000);
  const [
    voltage_mv, current_ma, power_w, connected, max, min, mean_mv, out, into, told, acknowledged,
    saves, promise_a, risks, show,
  ] = bus;
  Object.assign(model, {
    uptime_ms: uptimeS * 1000, bus: { voltage_mv, current_ma, power_w, connected }, mean_mv,
    energy: told && Object.fromEntries(codes.energy.map((key, i) => [key, told[i]])),
    max: max && { n: max }, min: min && { n: min }, discharge_mah: out, charge_mah: into,
    promise_a, cascade: risks.slice(0, 2).filter(Boolean).map(riskOf),
    n_minus_1_then: !risks[2],
    show: show?.length ? { left_s: show[0], margin_s: show[1] } : null,
    report: show?.length ? model.report : show,
  });
  const shown = model.alarms.slice(0, alarms.length).map(({ code, n }) => [code, n]);
  const known = model.alarms.filter(({ known_ms }) => known_ms !== null).length;
  if (alarmCount !== model.alarms.length || known !== acknowledged || saves !== model.saves
    || String(shown) !== String(alarms)) refresh();
  rows.forEach((row, i) => {
    const [state, reason, wish, clears, voltage, current, since, eta, trips, outMah, inMah] = row;
    Object.assign(model.batteries[i], {
      state: codes.states[state], reason: codes.reasons[reason], wish: codes.wishes[wish],
      clears: codes.clears[clears], voltage_mv: voltage, current_ma: current,
      since_ms: since * 1000, eta_ms: eta, trips, discharge_mah: outMah, charge_mah: inMah,
      flow: current === null ? null : flowOf(current),
    });
  });
  const [n, temperature_c, on_s, switchings, r_mohm, soc_pct, soc_error_pct] = slow;
  Object.assign(model.batteries[n - 1], {
    temperature_c, on_s, switchings, r_mohm, soc_pct, soc_error_pct,
  });
  changed();
}

// A risk is a number in a frame: who follows, whether all goes dark, what is lost.
export function riskOf(risk) {
  const lost = risk >> 17;
  const follow = [...Array(16).keys()].filter((i) => risk >> i & 1).map((i) => i + 1);
  const n = lost < 16 ? lost + 1 : null;
  return { n, board: n ? null : lost - 15, follow, dark: (risk & 0x10000) > 0 };
}

export function flowOf(ma) {
  const idle = app.codes ? app.codes.idle_ma : 0;
  return ma > idle ? "discharging" : ma < -idle ? "charging" : "idle";
}

// Data is fresh when the rig's own clock has moved: a frame alone could repeat old readings.
function fresh(uptimeMs) {
  if (!app.model || app.model.uptime_ms !== uptimeMs) freshAt = performance.now();
}

function connect() {
  if (source) source.close();
  triedAt = performance.now();
  source = new EventSource("/api/live");
  source.addEventListener("codes", (event) => { app.codes = JSON.parse(event.data); });
  source.addEventListener("state", (event) => {
    polling = false;
    takeState(JSON.parse(event.data));
  });
  source.onmessage = (event) => takeFrame(JSON.parse(event.data));
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && !polling) poll();
  };
}

async function poll() {
  polling = true;
  while (polling) {
    await refresh();
    await new Promise((done) => setTimeout(done, POLL_MS));
    if (performance.now() - triedAt > RETRY_LIVE_MS) connect();
  }
}

export async function refresh() {
  try {
    takeState(await get("/api/state"));
  } catch {
    // the banner shows it
  }
}

function watch() {
  const now = performance.now();
  const stale = now - freshAt > STALE_MS;
  $("stale").hidden = !stale;
  if (stale) set($("stale-age"), say("staleAge", { v: Math.floor((now - freshAt) / 1000) }));
  if (document.body.classList.toggle("stale", stale) !== app.stale) {
    app.stale = stale;
    changed();
  }
  if (stale && !polling && now - Math.max(freshAt, triedAt) > RECONNECT_MS) connect();
}
