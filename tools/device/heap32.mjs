// SPDX-License-Identifier: GPL-3.0-only

// Runs the built tree in a 32-bit MicroPython (its WebAssembly port) and prints what heap it takes,
// as JSON. Called by heap32.py, which says what is measured.
//
//   node heap32.mjs PACKAGE TREE SETUP MODULES SECONDS [IMAGE]
//
// PACKAGE: folder of the port; TREE: the built tree; SETUP: folder of the stand-ins; MODULES: what
// to import one by one, with commas between; SECONDS: how long the firmware then runs; IMAGE: a
// ROM file system to import from.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [pack, tree, setup, modules, seconds, image] = process.argv.slice(2);
const rig = {};
const { loadMicroPython } = await import(pathToFileURL(join(pack, "micropython.mjs")));
let said = "";
const mp = await loadMicroPython({
  heapsize: 4 << 20,
  stdout: (line) => {
    said = line;
    console.error(line);
  },
  stderr: (line) => console.error(line),
});

function copy(from, to) {
  mp.FS.mkdir(to);
  for (const name of readdirSync(from)) {
    if (statSync(join(from, name)).isDirectory()) copy(join(from, name), `${to}/${name}`);
    else mp.FS.writeFile(`${to}/${name}`, readFileSync(join(from, name)));
  }
}

function python(code) {
  try {
    mp.runPython(code);
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

// A collection runs only when no Python is on the stack: between two calls from here.
function used() {
  python("import gc; gc.collect()");
  python("import rig; rig.used = gc.mem_alloc()");
  return rig.used;
}

// Bytes that the names (qstrs) take which are not in the port's own read-only memory.
function names() {
  python("import micropython; micropython.qstr_info()");
  return Number(said.match(/n_total_bytes=(\d+)/)[1]);
}

copy(tree, "/flash");
let path = "/flash/app";
if (image) {
  path = "/rom";
  mp.FS.writeFile("/rom.img", readFileSync(image));
  python(`import vfs
with open("/rom.img", "rb") as file:
    vfs.mount(vfs.VfsRom(file.read()), "/rom")`);
}
mp.registerJsModule("rig", rig);
copy(setup, "/setup");
python(`import sys
sys.path.append("/setup")
import heap32_standins
heap32_standins.install(["${path}", ".frozen", "/flash/lib"])`);
const report = { standins: used(), modules: {}, names: -names() };
let before = report.standins;
for (const name of modules.split(",")) {
  python(`__import__("${name}")`);
  const now = used();
  report.modules[name] = now - before;
  before = now;
}
report.imported = before - report.standins;
report.names += names();
if (Number(seconds)) {
  python("app = heap32_standins.start()");
  const ends = performance.now() + 1000 * Number(seconds);
  const halfway = performance.now() + 500 * Number(seconds);
  report.steady = 0;
  while (performance.now() < ends) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = used() - report.standins;
    if (performance.now() > halfway) report.steady = Math.max(report.steady, now);
  }
  python("rig.state = heap32_standins.look(app)");
  report.state = JSON.parse(rig.state);
}
console.log(JSON.stringify(report));
process.exit(0);
