// The driver's results without and with Poolgate, side by side; the last result of each mode is kept.

import { create, setText } from "./dom.js";
import * as format from "./format.js";

/** @import { LoadReport } from "../types/wire.js" */

/** @typedef {"without" | "with"} Mode */

const ROWS = [
  { key: "goodput", name: "Goodput", title: "Successful requests per second, last 5 s" },
  {
    key: "latency",
    name: "Latency p50",
    title: "Successes of the last 5 s, from the user's attempt to send",
  },
  {
    key: "tail",
    name: "Latency p99",
    title: "Successes of the last 5 s, from the user's attempt to send",
  },
  { key: "queued", name: "Queued", title: "Requests waiting in the users' own queues" },
  { key: "rejected", name: "Rejected", title: "Answered 503 or 429, whole run" },
  {
    key: "givenUp",
    name: "Dropped",
    title: "Rejected by the user's own throttle before they were sent, whole run",
  },
  { key: "failed", name: "Failed", title: "Late answers, other statuses, no connection; whole run" },
  { key: "overall", name: "Whole run", title: "Successful share of all requests that were sent and have ended" },
];

/** @param {LoadReport} report */
export function modeOf(report) {
  return /** @type {Mode} */ (report.request?.poolgate ? "with" : "without");
}

/**
 * Success rate of a whole run, 0 to 1; null before the first request ended.
 * @param {LoadReport} report
 */
export function overallSuccess({ succeeded, rejected, failed }) {
  const ended = succeeded + rejected + failed;
  return ended === 0 ? null : succeeded / ended;
}

/**
 * @param {HTMLElement} parent
 * @returns {{
 *   show: (report: LoadReport) => void,
 *   save: () => Record<string, LoadReport>,
 *   restore: (saved: any) => void,
 * }}
 */
export function comparison(parent) {
  const columns = { without: column("without", "Without Poolgate"), with: column("with", "With Poolgate") };
  const heads = ROWS.map(({ name, title }) => {
    const head = create("th", "", name);
    head.scope = "row";
    head.title = title;
    return head;
  });
  const rows = ROWS.map(({ key }, index) =>
    create("tr", "", heads[index] ?? "", columns.without.cell(key), columns.with.cell(key)),
  );
  const corner = create("td", "note", "Success rate, last 5 s");
  parent.append(
    create(
      "table",
      "",
      create("thead", "", create("tr", "", corner, columns.without.head, columns.with.head)),
      create("tbody", "", ...rows),
    ),
  );

  /** @type {Record<string, LoadReport>} */
  const kept = {};
  /** @param {LoadReport} report */
  const show = (report) => {
    const running = report.state === "running" ? modeOf(report) : null;
    for (const mode of /** @type {const} */ (["without", "with"])) {
      const last = kept[mode];
      // Another load has taken its place, or the server knows of none: it was restarted.
      if (last?.state === "running" && mode !== running && (report.state !== "ended" || mode !== modeOf(report))) {
        kept[mode] = { ...last, state: "ended" };
        columns[mode].show(kept[mode]);
      }
    }
    if (report.request === null || report.state === "idle") return;
    const mode = modeOf(report);
    kept[mode] = report;
    columns[mode].show(report);
  };
  return {
    show,
    save: () => kept,
    restore(saved) {
      for (const report of Object.values(saved ?? {})) {
        if (report?.latency_ms !== undefined) show({ ...report, state: "ended" });
      }
    },
  };
}

/**
 * @param {Mode} mode
 * @param {string} name
 */
function column(mode, name) {
  const success = create("b", "success", format.UNKNOWN);
  const state = create("span", "note", "not run yet");
  const meter = create("i", "meter");
  const head = create("th", mode, create("span", "", name), success, meter, state);
  head.scope = "col";
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map();
  return {
    head,
    /** @param {string} key */
    cell(key) {
      const cell = create("td", "", format.UNKNOWN);
      cell.dataset["key"] = `${mode}-${key}`;
      cells.set(key, cell);
      return cell;
    },
    /** @param {LoadReport} report */
    show(report) {
      // Nothing has ended in the window: the reported success rate means nothing.
      const ended = report.succeeded + report.rejected + report.failed > 0;
      setText(success, ended ? format.share(report.success_rate) : format.UNKNOWN);
      head.style.setProperty("--success", String(ended ? report.success_rate : 0));
      head.dataset["running"] = String(report.state === "running");
      setText(
        state,
        `${report.state === "running" ? "running" : "ran"} ${format.duration(report.elapsed_seconds)}`,
      );
      for (const [key, text] of Object.entries(texts(report))) setText(cells.get(key) ?? head, text);
    },
  };
}

/** @param {LoadReport} report */
function texts(report) {
  const measured = report.latency_ms.p99 > 0;
  return {
    goodput: `${format.rate(report.goodput_per_second)}/s`,
    latency: measured ? format.milliseconds(report.latency_ms.p50) : format.UNKNOWN,
    tail: measured ? format.milliseconds(report.latency_ms.p99) : format.UNKNOWN,
    queued: format.count(report.queued),
    rejected: format.count(report.rejected),
    givenUp: format.count(report.given_up),
    failed: format.count(report.failed),
    overall: format.share(overallSuccess(report)),
  };
}
