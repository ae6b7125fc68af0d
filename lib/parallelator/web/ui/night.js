// SPDX-License-Identifier: GPL-3.0-only

// The time where the rig is, and its nights: each from noon to noon.

import { app, get } from "./lib.js";

const DAY_S = 86400;
const BEGUN_S = 6 * 3600; // after its noon, a night takes the place of the one before
const NAME = "(?:<[^>]+>|[a-z]+)";
const ZONE = RegExp(`^${NAME}([-+\\d:]+)(?:${NAME}([-+\\d:]*),(.+),(.+))?$`, "i");

// The settings, of which a zone and limits are needed here and by the charts.
export async function loadSettings() {
  app.settings = (await get("/api/settings")).values;
}

// Seconds to add to UTC at a time in s since 1970, as the POSIX string of the settings says; while
// that is the preset UTC0, as this device's own zone does.
export function offset(time) {
  const zone = app.settings?.["time.zone"] ?? "UTC0";
  const [, standard, daylight, begin, end] = ZONE.exec(zone) || [];
  if (zone === "UTC0" || !standard) return -60 * new Date(time * 1000).getTimezoneOffset();
  const winter = -seconds(standard);
  if (!begin) return winter;
  const summer = daylight ? -seconds(daylight) : winter + 3600;
  const year = new Date((time + winter) * 1000).getUTCFullYear();
  const [from, to] = [moment(begin, year) - winter, moment(end, year) - summer];
  const inside = from < to ? time >= from && time < to : time >= from || time < to;
  return inside ? summer : winter;
}

// Of `-1:30`, hours, minutes and seconds.
function seconds(text) {
  const [h, m = 0, s = 0] = text.replace(/[-+]/, "").split(":").map(Number);
  return (h * 3600 + m * 60 + s) * (text[0] === "-" ? -1 : 1);
}

// When a rule `Mm.w.d/time` holds in a year, on a clock without zone.
function moment(rule, year) {
  const [date, time = "2"] = rule.slice(1).split("/");
  const [month, week, weekday] = date.split(".").map(Number);
  const first = Date.UTC(year, month - 1, 1);
  const end = Date.UTC(year, month, 1);
  let day = first + ((weekday - new Date(first).getUTCDay() + 7) % 7 + 7 * (week - 1)) * 864e5;
  if (day >= end) day -= 7 * 864e5;
  return day / 1000 + seconds(time);
}

// The night that a time is in: [its first noon, the next].
export function nightOf(time) {
  const day = Math.floor((time + offset(time)) / DAY_S - 0.5) + 0.5;
  return [day, day + 1].map((noon) => noon * DAY_S - offset(noon * DAY_S - offset(time)));
}

// The one to look at now.
export const nightNow = () => nightOf(Date.now() / 1000 - BEGUN_S);

// Date and time of the rig's zone, as Intl.DateTimeFormat's options say.
export function local(time, options) {
  return new Date((time + offset(time)) * 1000)
    .toLocaleString(app.language, { ...options, timeZone: "UTC", hourCycle: "h23" });
}

export const nightName = (night) => night.map((time) => (
  local(time, { weekday: "short", day: "numeric", month: "short" })
)).join(" – ");

// By the day on which the night of this noon begins.
export function nightFile(noon) {
  const day = new Date((noon + offset(noon)) * 1000).toISOString().slice(0, 10);
  return `night-${day}.csv`;
}

// Gives what was made in the page to the person who uses it, as a file.
export function save(name, parts) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
