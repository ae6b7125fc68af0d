// SPDX-License-Identifier: GPL-3.0-only

// Parses PromQL with the grammar of Prometheus 3, which tools/package.json pins. Run by the tests.
//
//   node tools/fleet/promql.mjs < FILE     a JSON list of expressions; prints those with a fault

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { parser } = createRequire(new URL("../../build/npm/", import.meta.url))(
  "@prometheus-io/lezer-promql");
for (const expression of JSON.parse(readFileSync(0, "utf8"))) {
  let fault;
  parser.parse(expression).iterate({
    enter: ({ type, from }) => { if (type.isError) fault ??= from; },
  });
  if (fault !== undefined) console.log(`${fault}: ${expression}`);
}
