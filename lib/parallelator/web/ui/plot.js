// SPDX-License-Identifier: GPL-3.0-only

// Lines on a canvas, for the charts, the record of a trip and the curve of the cells. Part of
// charts.js. A plot knows nothing of the rig: numbers, colours and texts come from its caller.

const LEFT = 54; // px, for the numbers of the lines
const RIGHT = 24; // for the names at their ends
const TOP = 8;
const FOOT = 22;
const TEXT = 12;
const DRAG = 8; // px from where a tap is a choice of a part

// The round numbers from `low` to `high`, at most about `most`, and the digits to tell them apart.
export function round(low, high, most) {
  const least = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * [1, 2, 5, 10].find((k) => k * power >= least * 0.999);
  const first = Math.ceil(low / step - 1e-6);
  const length = Math.floor(high / step + 1e-6) - first + 1;
  return {
    values: Array.from({ length }, (_, k) => (first + k) * step),
    digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-6)),
  };
}

// `pointed` is called with the value of x under the pointer, null when it has left; `chosen` with
// both ends of a part that was dragged over, with none after a double click.
export function createPlot(place, { pointed = () => {}, chosen } = {}) {
  const canvas = document.createElement("canvas");
  const cursor = document.createElement("i");
  const pen = canvas.getContext("2d");
  let shown = null;
  let width = 0;
  let begin = null; // px where a pointer went down

  const toX = (value) => LEFT + (value - shown.from) / (shown.to - shown.from) * width;
  const toValue = (x) => shown.from
    + Math.min(Math.max((x - LEFT) / width, 0), 1) * (shown.to - shown.from);

  // Shows `from` to `to` of `x`, a rising list, and `lines` {name, values, color, line: px, dash};
  // `marks` {x or y, color, text}; `range`: of y, or, where the lines choose it, `within`: values to
  // show in any case, and `least`: of the scale; `xs` (from, to, most) gives [value, text] for the axis, `ys` (value, digits) a text;
  // `gaps`: false when a line goes on over what is not known.
  function draw(what = shown) {
    shown = what;
    const room = place.clientWidth;
    const high = place.clientHeight;
    if (!shown || !room) return;
    width = room - LEFT - RIGHT;
    const bottom = high - FOOT;
    const dots = devicePixelRatio;
    Object.assign(canvas, { width: room * dots, height: high * dots });
    pen.scale(dots, dots);
    pen.font = `${TEXT}px system-ui, sans-serif`;
    pen.textBaseline = "middle";

    const { x, from, to, lines, gaps = true } = shown;
    const first = Math.max(x.findIndex((value) => value >= from) - 1, 0);
    const after = x.findIndex((value) => value > to);
    const last = after < 0 ? x.length - 1 : after;
    const [low, top] = scale(first, last);
    const toY = (value) => bottom - (value - low) / (top - low) * (bottom - TOP);

    axes(round(low, top, (bottom - TOP) / 28), toY, bottom);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width, bottom + 1);
    pen.clip();
    for (const { values, color, line = 1.5, dash = [] } of lines) {
      pen.beginPath();
      let known = false;
      for (let k = first; k <= last; k++) {
        const value = values[k];
        if (value === null) known &&= !gaps;
        else {
          pen[known ? "lineTo" : "moveTo"](toX(x[k]), toY(value));
          known = true;
        }
      }
      stroke(color, line, dash);
    }
    for (const mark of shown.marks || []) drawMark(mark, toY, bottom);
    pen.restore();
    names(first, last, toY, bottom);
  }

  function scale(first, last) {
    if (shown.range) return shown.range;
    let [low, top] = [Infinity, -Infinity];
    const see = (value) => {
      if (value < low) low = value;
      if (value > top) top = value;
    };
    for (const { values } of shown.lines) {
      for (let k = first; k <= last; k++) if (values[k] !== null) see(values[k]);
    }
    shown.within?.forEach(see);
    if (low > top) [low, top] = [0, shown.least];
    const spare = Math.max(shown.least - (top - low), (top - low) * 0.1) / 2;
    return [low - spare, top + spare];
  }

  function stroke(color, line, dash = []) {
    pen.strokeStyle = color;
    pen.lineWidth = line;
    pen.setLineDash(dash);
    pen.stroke();
  }

  function axes({ values, digits }, toY, bottom) {
    const { color, rule } = shown;
    const told = new Set(); // no text comes twice
    pen.beginPath();
    pen.fillStyle = color;
    const write = (text, x, y) => {
      if (!told.has(text)) pen.fillText(text, x, y);
      told.add(text);
    };
    pen.textAlign = "right";
    for (const value of values) {
      const y = Math.round(toY(value)) + 0.5;
      pen.moveTo(LEFT, y);
      pen.lineTo(LEFT + width, y);
      write(shown.ys(value, digits), LEFT - 6, y);
    }
    told.clear();
    pen.textAlign = "center";
    for (const [value, text] of shown.xs(shown.from, shown.to, width / 58)) {
      const x = Math.round(toX(value)) + 0.5;
      pen.moveTo(x, TOP);
      pen.lineTo(x, bottom + 4);
      write(text, x, bottom + FOOT / 2 + 3);
    }
    stroke(rule, 1);
  }

  function drawMark({ x, y, color, text }, toY, bottom) {
    pen.beginPath();
    if (x === undefined) {
      if (toY(y) > bottom) return; // its text would still be seen in part
      pen.moveTo(LEFT, toY(y));
      pen.lineTo(LEFT + width, toY(y));
      pen.textAlign = "left";
      pen.fillStyle = color;
      pen.fillText(text, LEFT + 6, toY(y) + (toY(y) < TOP + TEXT ? TEXT : -TEXT * 0.7));
      stroke(color, 1.5, [10, 3]);
    } else {
      pen.moveTo(toX(x), TOP);
      pen.lineTo(toX(x), bottom);
      stroke(color, 2);
    }
  }

  // Each line's name where it ends, in their order even where they lie close together.
  function names(first, last, toY, bottom) {
    const ends = [];
    for (const { name, values, color } of shown.lines) {
      let k = last;
      while (k >= first && values[k] === null) k--;
      if (name && k >= first) ends.push({ name, color, y: toY(values[k]) });
    }
    ends.sort((a, b) => a.y - b.y);
    const gap = Math.min(TEXT, (bottom - TOP) / ends.length);
    ends.forEach((end, k) => { end.y = Math.max(end.y, k ? ends[k - 1].y + gap : TOP); });
    let below = bottom;
    pen.textAlign = "left";
    for (const { name, color, y } of ends.reverse()) {
      below = Math.min(y, below);
      pen.fillStyle = color;
      pen.fillText(name, LEFT + width + 5, below);
      below -= gap;
    }
  }

  // Marks a value of x, or the part up to `end`; nothing for null.
  function point(value, end = value) {
    cursor.hidden = value === null || !shown;
    if (cursor.hidden) return;
    const [left, right] = [toX(value), toX(end)].sort((a, b) => a - b);
    Object.assign(cursor.style, { left: `${left}px`, width: `${Math.max(right - left, 1.5)}px` });
  }

  const drags = (x) => chosen && begin !== null && Math.abs(x - begin) > DRAG;
  canvas.onpointerdown = ({ offsetX }) => { begin = offsetX; };
  canvas.onpointermove = ({ offsetX }) => {
    if (!shown) return;
    if (drags(offsetX)) point(toValue(begin), toValue(offsetX));
    else pointed(toValue(offsetX));
  };
  canvas.onpointerup = (event) => {
    if (drags(event.offsetX)) chosen([begin, event.offsetX].map(toValue).sort((a, b) => a - b));
    else canvas.onpointermove(event);
    begin = null;
  };
  canvas.onpointerleave = ({ pointerType }) => {
    begin = null;
    if (pointerType === "mouse") pointed(null);
  };
  if (chosen) canvas.ondblclick = () => chosen(null);
  place.replaceChildren(canvas, cursor);
  point(null);
  new ResizeObserver(() => draw()).observe(place);
  return { draw, point };
}
