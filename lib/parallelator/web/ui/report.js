// SPDX-License-Identifier: GPL-3.0-only

// The report of a show. A file of its own: a show has to be over before anybody reads it.

export function create(lib) {
  const {
    amps, app, dateOf, duration, fill, make, number, numbers, say, sentence, timeOf, volts,
  } = lib;
  const UNITS = {
    discharge: amps, charge: amps, heat: (c) => `${c}\u00a0°C`, high: volts, low: volts, lag: volts,
  };
  const line = (level, text) => {
    const item = make("li", {}, text);
    item.dataset.level = level;
    return item;
  };
  const list = (rows) => make("ul", {}, ...rows);
  let told = null;
  let words = null;
  const write = (key, values) => fill(words[key], values);

  // By the clock of this device or, while that of the rig is not set, from its beginning.
  const when = (s) => (
    told.time ? timeOf(Date.parse(told.time) + s * 1000) : `+ ${duration(s * 1000)}`
  );
  const dayOf = (time) => (time ? dateOf(time) : "");
  const pct = (first, last) => (first === null ? "–" : `${first} → ${last ?? "–"}`);

  function figures() {
    const { batteries, cut, dark_s, darks, first_pct, last_pct, rig, weak_s, whole } = told;
    const sum = (key) => batteries.reduce((all, row) => all + row[key], 0);
    const metered = batteries.some(({ out_wh }) => out_wh !== null);
    const parts = [metered
      ? write("energy", { v: number(sum("out_wh"), 0), n: number(sum("in_wh"), 0) })
      : write("flow", { v: number(sum("out_mah"), 1, 1000), n: number(sum("in_mah"), 1, 1000) })];
    if (rig.discharge_ma !== null) {
      const { discharge_ma, discharge_s, high_mv, low_mv, power_w } = rig;
      parts.push(
        write("peak", { v: amps(discharge_ma), n: number(power_w, 0), t: when(discharge_s) }),
        write("volts", { v: volts(low_mv), n: volts(high_mv) }),
      );
    }
    if (last_pct !== null) parts.push(write("soc", { v: first_pct, n: last_pct }));
    if (dark_s) parts.push(write("dark", { v: dark_s, n: darks }));
    if (weak_s) parts.push(write("weak", { v: weak_s }));
    return [parts.join(" · "), whole ? "" : words.partial, cut ? words.cut : ""];
  }

  function selftest({ number: n, time, verdict }) {
    const parts = [`${n}`, dayOf(time), app.words.verdict[verdict]];
    return write("selftest", { v: parts.filter(Boolean).join(", ") });
  }

  function range(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low === high ? low : `${low}–${high}`;
  }

  // What is alike of several batteries is one line.
  function tasks() {
    const groups = new Map();
    for (const row of told.tasks) {
      const text = typeof row.value === "string" ? row.value : "";
      const key = `${row.code} ${text} ${row.code === "alarm" ? row.n : ""}`;
      groups.set(key, [...groups.get(key) || [], row]);
    }
    return [...groups.values()].map((rows) => {
      const [{ n, code, level, value }] = rows;
      if (code === "alarm") return line(level, fill(app.words.alarm[value], { n }));
      const v = app.words.reason[value] ?? range(rows.map((row) => row.value));
      const s = write(code, { v });
      const b = sentence(say(rows.length > 1 ? "several" : "one", { v: numbers(rows) }));
      return line(level, n ? say("pair", { b, s }) : s);
    });
  }

  function near({ limit, n, value, bound, margin_pct, at_s }) {
    const form = UNITS[limit];
    return line(margin_pct < 10 ? "trouble" : "", write("near", {
      v: words[`limit_${limit}`], n, k: form(value), l: form(bound), t: when(at_s),
    }));
  }

  function trip({ n, reason, time }) {
    const text = say("pair", { b: say("battery", { n }), s: app.words.reason[reason] });
    const link = make("a", { href: "#events" }, text);
    return make("li", {}, link, time ? ` ${timeOf(time)}` : "");
  }

  function table() {
    const head = words.columns.split("|").map((name) => make("th", { scope: "col" }, name));
    const rows = told.batteries.map((row) => make(
      "tr", {}, make("th", { scope: "row" }, String(row.n)),
      ...[
        number(row.out_wh, 0), number(row.in_wh, 0), number(row.discharge_ma, 1, 1000),
        number(row.low_mv, 2, 1000), number(row.high_mv, 2, 1000),
        pct(row.first_pct, row.last_pct), String(row.trips), String(row.closings),
      ].map((text) => make("td", {}, text)),
    ));
    return make(
      "div", { className: "table", tabIndex: 0, role: "region", ariaLabel: say("told") },
      make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
    );
  }

  // What is put into the page, a list.
  function draw(report) {
    told = report;
    words = app.words.report;
    if (!told) return [make("p", {}, words.none)];
    const length = duration(told.length_s * 1000);
    const title = (key) => make("h3", {}, words[key]);
    return [
      make("p", {}, make("b", {}, [dayOf(told.time), length].filter(Boolean).join(" – "))),
      ...figures().filter(Boolean).map((text) => make("p", {}, text)),
      make("p", {}, told.selftest ? selftest(told.selftest) : words.untested),
      title("tasks"),
      told.tasks.length ? list(tasks()) : make("p", {}, words.calm),
      ...told.closest.length ? [title("close"), list(told.closest.map(near))] : [],
      ...told.trips.length ? [title("trips"), list(told.trips.map(trip))] : [],
      table(),
    ];
  }

  return { draw };
}
