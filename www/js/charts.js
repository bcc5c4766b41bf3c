// The page's three charts, with one time axis and one cursor.

import { Chart } from "./chart.js";
import { byId } from "./dom.js";
import * as format from "./format.js";
import { SPAN_SECONDS } from "./history.js";
import { LEVELS } from "./words.js";

/** @import { State } from "./state.js" */
/** @import { Options } from "./chart.js" */

/** @typedef {Parameters<State["history"]["column"]>[0]} Column */

/** @type {readonly (Options & { columns: readonly Column[] })[]} */
const CHARTS = [
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
    title: "Requests per second",
    unit: "",
    columns: ["admitted", "rejected"],
    lines: [
      { key: "admitted", name: "admitted", text: format.rate, area: true },
      { key: "rejected", name: "rejected", text: format.rate },
    ],
  },
];

/** The shortest period that fills a chart. */
const LEAST_SECONDS = 60;

/** @returns {{ show: (state: State) => void, recolor: () => void }} */
export function charts() {
  const parent = byId("charts", HTMLElement);
  const drawn = CHARTS.map((options) => ({ chart: new Chart(parent, options), columns: options.columns }));
  /** @type {number | null} */
  let shown = null;
  const span = spanChoice(() => (shown = null));
  return {
    show({ history }) {
      // One slot per second: values of the current second are drawn with the next.
      const { newest } = history;
      if (newest === null || newest === shown) return;
      shown = newest;
      // A young page shows only the time that it has seen.
      const seen =
        SPAN_SECONDS -
        Math.max(
          0,
          history.column("busy").findIndex((value) => value !== null),
        );
      const from = SPAN_SECONDS - Math.max(LEAST_SECONDS, Math.min(seen, span()));
      const seconds = history.seconds().slice(from);
      const levels = history
        .runs("level")
        .filter(({ value, end }) => value !== null && value > 0 && end > from);
      const bands = levels.map(({ value, begin, end }) => ({
        level: LEVELS[value ?? 0] ?? "EMERGENCY",
        begin: newest - SPAN_SECONDS + begin,
        end: newest - SPAN_SECONDS + end,
      }));
      for (const { chart, columns } of drawn) {
        chart.show([seconds, ...columns.map((column) => history.column(column).slice(from))], bands);
      }
    },
    recolor: () => drawn.forEach(({ chart }) => chart.recolor()),
  };
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
