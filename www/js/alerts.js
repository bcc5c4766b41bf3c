// The active alerts, and the last cleanup with a button that starts one.

import { forceCleanup } from "./api.js";
import { byId, create, definitionList, setText } from "./dom.js";
import * as format from "./format.js";

/** @import { Alert, CleanupReport } from "../types/wire.js" */
/** @import { State } from "./state.js" */

const FACTS = [
  { key: "when", name: "When", title: "When it began, and what triggered it" },
  { key: "found", name: "Outcome", title: "The report in one sentence" },
  { key: "busy", name: "Busy before, after", title: "Connections in use" },
  {
    key: "closed",
    name: "Idle closed",
    title: "Idle connections that were closed; connections in use are not affected",
  },
  {
    key: "flagged",
    name: "Held too long",
    title: "Connections in use for longer than the leak threshold; the log names where each was acquired",
  },
  { key: "skipped", name: "Skipped", title: "Steps that were skipped, and why" },
];

/** @returns {(state: State) => void} */
export function alertList() {
  const list = byId("alerts", HTMLElement);
  let shown = "unset";
  return ({ status }) => {
    if (status === null) return;
    const key = JSON.stringify(status.alerts);
    if (key === shown) return;
    shown = key;
    list.replaceChildren(
      ...(status.alerts.length === 0
        ? [create("li", "none", "No alert is active.")]
        : status.alerts.map(item)),
    );
  };
}

/**
 * @param {(report: CleanupReport) => void} onReport a cleanup started on this page
 * @returns {(state: State) => void}
 */
export function cleanupPanel(onReport) {
  const show = definitionList(byId("cleanup", HTMLElement), FACTS);
  const answer = byId("cleanup-answer", HTMLElement);
  const button = byId("cleanup-force", HTMLButtonElement);
  button.addEventListener("click", async () => {
    button.disabled = true;
    setText(answer, "Cleaning up …");
    try {
      const report = await forceCleanup();
      setText(answer, `${report.summary}.`);
      show(facts(report));
      onReport(report);
    } catch (error) {
      setText(answer, error instanceof Error ? `Not done: ${error.message}` : "Not done.");
    } finally {
      button.disabled = false;
    }
  });
  const panel = byId("cleanup-panel", HTMLElement);
  return ({ status }) => {
    // A server that only watches cannot close the connections.
    panel.hidden = status?.gate === null;
    if (status?.last_cleanup) show(facts(status.last_cleanup));
  };
}

/** @param {CleanupReport} report */
function facts(report) {
  return {
    when: `${format.clock(report.started_at)}, ${report.trigger}, ${format.milliseconds(report.duration_ms)}`,
    found: report.summary,
    busy: `${report.checked_out_before}, ${report.checked_out_after}`,
    closed: format.count(report.idle_closed),
    flagged: format.count(report.leases_flagged),
    skipped: report.skipped.length === 0 ? "none" : report.skipped.join("; "),
  };
}

/** @param {Alert} alert */
function item(alert) {
  const badge = create("span", `severity ${alert.severity}`, alert.severity);
  return create(
    "li",
    "",
    badge,
    ` ${alert.message} `,
    create("span", "note", `since ${format.clock(alert.since)}`),
  );
}
