// Runs the built tree in a 32-bit MicroPython (its WebAssembly port) and prints what heap it takes,
// as JSON. Called by heap32.py, which says what is measured.
//
//   node heap32.mjs PACKAGE TREE SETUP MODULES SECONDS [IMAGE]
//
// PACKAGE: folder of the port; TREE: the built tree; SETUP: Python for the stand-ins; MODULES: what
// to import one by one, with commas between; SECONDS: how long the firmware then runs; IMAGE: a
// ROM file system to import from.
//
// The chips answer from here, outside the heap that is measured.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [pack, tree, setup, modules, seconds, image] = process.argv.slice(2);
const PACK_MV = 26000;
const PACK_MA = 2500;

// Register-level chips, as much of them as the guard looks at: see tools/sim/chips for whole ones.

const INA_RESET = { 0: 0, 1: 0xfb68, 2: 0x1000, 11: 1, 12: 0x7fff, 13: 0x8000, 14: 0x7fff, 15: 0 };
const sensors = Array.from({ length: 16 }, () => ({ ...INA_RESET }));
const expanders = Array.from({ length: 4 }, () => new Array(8).fill(0xff));

function closed(i) {
  const chip = expanders[i >> 2];
  return (chip[2] >> (3 - (i & 3))) & (~chip[6] >> (3 - (i & 3))) & 1;
}

function sensor(i, register) {
  const chip = sensors[i];
  switch (register) {
    case 4: return closed(i) ? (PACK_MA * 2) / 5 : 0; // 2 mOhm, 5 uV a step
    case 5: return (PACK_MV * 8) / 25; // 3.125 mV a step
    case 6: return (30 * 8) << 4; // 125 m degrees a step
    case 11: return chip[11] | 2; // a conversion is always fresh
    case 0x3e: return 0x5449;
    case 0x3f: return 0x2370;
    default: return chip[register] ?? 0;
  }
}

function port(b, register) {
  const chip = expanders[b];
  if (register > 1) return chip[register];
  let level = (chip[2 + register] & ~chip[6 + register]) | chip[6 + register];
  for (let c = 0; register === 0 && c < 4; c++) {
    if (sensors[4 * b + c][11] & 0x1000) level &= ~(1 << (7 - c)); // ALERT inverted: low at rest
  }
  return level;
}

const rig = {
  frames: [],
  read(address, register, count) {
    if (address >= 0x40) return sensor(address - 0x40, register);
    if (count === 1) return port(address - 0x20, register);
    return (port(address - 0x20, register) << 8) | port(address - 0x20, register ^ 1);
  },
  sent(client) {
    rig.frames[client] = (rig.frames[client] ?? 0) + 1;
  },
  write(address, register, value, count) {
    if (address >= 0x40) {
      const chip = sensors[address - 0x40];
      if (register === 0 && value & 0x8000) Object.assign(chip, INA_RESET);
      else chip[register] = value;
    } else if (count === 1) {
      expanders[address - 0x20][register] = value;
    } else {
      expanders[address - 0x20][register] = value >> 8;
      expanders[address - 0x20][register ^ 1] = value & 0xff;
    }
  },
};

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
rig.path = "/flash/app";
if (image) {
  rig.path = "/rom";
  mp.FS.writeFile("/rom.img", readFileSync(image));
  python(`import vfs
with open("/rom.img", "rb") as file:
    vfs.mount(vfs.VfsRom(file.read()), "/rom")`);
}
mp.registerJsModule("rig", rig);
python(readFileSync(setup, "utf8"));
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
  python("start()");
  const ends = performance.now() + 1000 * Number(seconds);
  const halfway = performance.now() + 500 * Number(seconds);
  report.steady = 0;
  while (performance.now() < ends) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = used() - report.standins;
    if (performance.now() > halfway) report.steady = Math.max(report.steady, now);
  }
  python("rig.state = look()");
  report.state = JSON.parse(rig.state);
  report.frames = rig.frames;
}
console.log(JSON.stringify(report));
process.exit(0);
