// The page's three charts, with one time axis and one cursor.

import { Chart } from "./chart.js";
import { byId } from "./dom.js";
import * as format from "./format.js";
import { SPAN_SECONDS } from "./history.js";
import { pastHours } from "./past.js";
import { LEVELS } from "./words.js";

/** @import { Band } from "./chart.js" */
/** @import { History } from "./history.js" */
/** @import { View } from "./past.js" */
/** @import { Column, State } from "./state.js" */
/** @import { Options } from "./chart.js" */

/** @type {readonly (Options & { columns: readonly Column[] })[]} */
const CHARTS = [
  {
    title: "Requests per second",
    unit: "",
    columns: ["succeeded", "rejected", "failed"],
    lines: [
      { key: "admitted", name: "goodput", text: format.rate, area: true },
      { key: "rejected", name: "rejected", text: format.rate },
      { key: "failed", name: "failed", text: format.rate, dashed: true },
    ],
  },
  {
    title: "Waiting",
    unit: "ms",
    rightUnit: "",
    columns: ["waiting", "p95", "p99"],
    lines: [
      { key: "waiting", name: "requests (right)", text: format.count, axis: "right", area: true },
      { key: "p95", name: "p95", text: format.milliseconds },
      { key: "p99", name: "p99", text: format.milliseconds },
    ],
  },
  {
    title: "Connections",
    unit: "",
    columns: ["open", "busy", "capacity"],
    lines: [
      { key: "open", name: "open", text: format.count, area: true },
      { key: "busy", name: "busy", text: format.count, area: true },
      { key: "limit", name: "capacity", text: format.count, dashed: true },
    ],
  },
];

/** The shortest period that fills a chart. */
const LEAST_SECONDS = 60;

/** @returns {{ show: (state: State) => void, recolor: () => void }} */
export function charts() {
  const parent = byId("charts", HTMLElement);
  const drawn = CHARTS.map((options) => ({ chart: new Chart(parent, options), columns: options.columns }));
  /** What is shown: a second, or a document. @type {number | View | null} */
  let shown = null;
  const span = spanChoice(() => (shown = null));
  const past = pastHours();
  return {
    show({ history, now }) {
      const hours = span() > SPAN_SECONDS ? past(span()) : null;
      const newest = hours ?? history.newest;
      if (newest === null) return;
      const values = (/** @type {readonly Column[]} */ columns) => columns.map((column) => known(now?.[column]));
      if (newest === shown) {
        for (const { chart, columns } of drawn) chart.update(values(columns));
        return;
      }
      shown = newest;
      const { seconds, column, bands } = hours === null ? minutes(history, span()) : table(hours);
      const seen = format.duration((seconds.at(-1) ?? 0) - (seconds[0] ?? 0) + 1);
      for (const { chart, columns } of drawn) chart.show([seconds, ...columns.map(column)], bands, values(columns), seen);
    },
    recolor: () => drawn.forEach(({ chart }) => chart.recolor()),
  };
}

/** @typedef {{ seconds: number[], column: (name: Column) => (number | null)[], bands: readonly Band[] }} Table */

/**
 * The last minutes, which this page has seen itself or filled in. The current second is not over yet, so it is left
 * out. A young page shows only the time that it has seen.
 * @param {History<Column>} history
 * @param {number} span in seconds
 * @returns {Table}
 */
function minutes(history, span) {
  const end = SPAN_SECONDS - 1;
  const first = history.column("busy").findIndex((value) => value !== null);
  const from = end - Math.max(LEAST_SECONDS, Math.min(end - Math.max(0, first), span));
  const begin = (history.newest ?? 0) - SPAN_SECONDS;
  const levels = history.runs("level").filter(({ value, end }) => value !== null && value > 0 && end > from);
  return {
    seconds: history.seconds().slice(from, end),
    column: (name) => history.column(name).slice(from, end),
    bands: levels.map((run) => ({
      level: LEVELS[run.value ?? 0] ?? "EMERGENCY",
      begin: begin + run.begin,
      end: begin + run.end,
    })),
  };
}

/**
 * @param {View} view
 * @returns {Table}
 */
function table({ seconds, values, bands }) {
  return { seconds, column: (name) => values.map((sample) => known(sample[name])), bands };
}

/**
 * How many seconds the charts show, as chosen in the panel's corner.
 * @param {() => void} onChange
 */
function spanChoice(onChange) {
  const select = byId("span", HTMLSelectElement);
  select.addEventListener("change", onChange);
  return () => Number(select.value);
}

/** @param {number | undefined} value */
function known(value) {
  return value === undefined || Number.isNaN(value) ? null : value;
}
