// SPDX-License-Identifier: GPL-3.0-only

// QR codes to scan and to print. Loaded when they are first looked at.

import { generate } from "lean-qr/nano";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 4; // modules, ISO/IEC 18004

// A text as an <svg>, black on white.
export function code(text) {
  const { get, size } = generate(text);
  const path = [];
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) if (get(x, y)) path.push(`M${x} ${y}h1v1h-1z`);
  }
  const svg = document.createElementNS(SVG, "svg");
  const side = size + 2 * MARGIN;
  svg.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${side} ${side}`);
  const dark = document.createElementNS(SVG, "path");
  dark.setAttribute("d", path.join(""));
  svg.append(dark);
  return svg;
}

// What a phone takes for "join this network".
export function network(ssid, password) {
  const escaped = (text) => text.replace(/[\\;,:"]/g, "\\$&");
  const kind = password ? `T:WPA;P:${escaped(password)};` : "T:nopass;";
  return `WIFI:${kind}S:${escaped(ssid)};;`;
}
