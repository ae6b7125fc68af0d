// SPDX-License-Identifier: GPL-3.0-only

// Kinds of batteries, for the settings and the set-up: what a profile fills in, from the numbers of
// one cell.

// mV of a cell: lowest, highest, lowest to charge from, recovery from empty and from full. Those of
// NMC make the defaults of seven cells.
const CELLS = {
  nmc: [3430, 4290, 3000, 143, 71],
  lfp: [3000, 3700, 2500, 125, 63],
  lead: [1900, 2500, 1670, 100, 100],
};
const KEYS = ["min_voltage", "max_voltage", "charge_floor", "uv_hysteresis", "ov_hysteresis"];
const STEP_MV = 100;

// Id of each profile to its kind of cell and their number.
export const PROFILES = {
  nmc7: ["nmc", 7], lfp8: ["lfp", 8], lfp4: ["lfp", 4], nmc6: ["nmc", 6], lead6: ["lead", 6],
  lead12: ["lead", 12],
};

export const NAMES = {
  en: {
    nmc7: "24 V: 7 NMC cells (Li-ion)", lfp8: "24 V: 8 LFP cells (LiFePO4)",
    lfp4: "12 V: 4 LFP cells (LiFePO4)", nmc6: "22 V: 6 NMC cells (Li-ion)",
    lead6: "12 V lead", lead12: "24 V lead",
  },
  fr: {
    nmc7: "24 V\u00a0: 7 éléments NMC (Li-ion)", lfp8: "24 V\u00a0: 8 éléments LFP (LiFePO4)",
    lfp4: "12 V\u00a0: 4 éléments LFP (LiFePO4)", nmc6: "22 V\u00a0: 6 éléments NMC (Li-ion)",
    lead6: "12 V au plomb", lead12: "24 V au plomb",
  },
};

// The settings of a profile. Charge is not known of lead, so it takes the capacity away.
export function settingsOf(id, values) {
  const [kind, cells] = PROFILES[id];
  const found = {};
  KEYS.forEach((key, k) => {
    found[`limits.${key}_mv`] = Math.round(CELLS[kind][k] * cells / STEP_MV) * STEP_MV;
  });
  if (kind !== "lead") return { "pack.chemistry": kind, "pack.cells": cells, ...found };
  for (const key of Object.keys(values)) if (key.endsWith("capacity_mah")) found[key] = 0;
  return found;
}

// The profile that these values are of, or undefined.
export const profileOf = (values) => Object.keys(PROFILES).find((id) => (
  Object.entries(settingsOf(id, values)).every(([key, value]) => values[key] === value)
));
