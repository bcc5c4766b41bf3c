// The last hours in steps of half a minute, as the server remembers them. They are read when they are looked at.

import { fetchHistory } from "./api.js";
import { valuesOf } from "./state.js";
import { LEVELS } from "./words.js";

/** @import { History } from "../types/wire.js" */
/** @import { Band } from "./chart.js" */
/** @import { Column } from "./state.js" */

/** The steps are as long, so nothing newer is known before. */
const READ_AGAIN_MS = 30_000;

/** @typedef {{ seconds: number[], values: Record<Column, number>[], bands: Band[] }} View what the charts show */

/**
 * The last hours; asking for them reads them anew when it is time.
 * @returns {(span: number) => View | null} `span` in seconds; null until the first document is here
 */
export function pastHours() {
  /** @type {View | null} */
  let view = null;
  let askedAt = -Infinity;
  return (span) => {
    const now = performance.now();
    if (now - askedAt >= READ_AGAIN_MS) {
      askedAt = now;
      fetchHistory(span).then(
        (past) => (view = viewOf(past)),
        (error) => console.warn("The last hours cannot be read; next try in half a minute", error),
      );
    }
    return view;
  };
}

/**
 * @param {History} past
 * @returns {View}
 */
export function viewOf({ samples, step_seconds: step }) {
  /** @type {View} */
  const view = { seconds: [], values: [], bands: [] };
  for (const sample of samples) {
    const at = Date.parse(sample.at) / 1000;
    const values = valuesOf(sample);
    const last = view.seconds.at(-1);
    // A line must not cross a time of which nothing is known.
    if (last !== undefined && at - last > 1.5 * step) add(view, last + step, UNKNOWN);
    add(view, at, values);
    if (values.level > 0) extend(view.bands, LEVELS[values.level] ?? "EMERGENCY", at, at + step);
  }
  return view;
}

const UNKNOWN = /** @type {Record<Column, number>} */ ({});

/**
 * @param {View} view
 * @param {number} at
 * @param {Record<Column, number>} values
 */
function add(view, at, values) {
  view.seconds.push(at);
  view.values.push(values);
}

/**
 * @param {Band[]} bands
 * @param {string} level
 * @param {number} begin
 * @param {number} end
 */
function extend(bands, level, begin, end) {
  const last = bands.at(-1);
  if (last !== undefined && last.level === level && last.end >= begin - 1) last.end = end;
  else bands.push({ level, begin, end });
}
