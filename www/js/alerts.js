// The alerts that are active, and the last cleanup with the button that asks for one.

import { forceCleanup } from "./api.js";
import { byId, create, definitionList, setText } from "./dom.js";
import * as format from "./format.js";

/** @import { Alert, CleanupReport } from "../types/wire.js" */
/** @import { State } from "./state.js" */

const FACTS = [
  { key: "when", name: "When", title: "The moment it began, and what asked for it" },
  { key: "found", name: "Outcome", title: "The report in one sentence" },
  { key: "busy", name: "Busy before, after", title: "Connections in use" },
  {
    key: "closed",
    name: "Idle closed",
    title: "Idle connections that were closed: this frees none that is in use",
  },
  {
    key: "flagged",
    name: "Held too long",
    title: "Connections in use for longer than the leak threshold; the log names the place of each",
  },
  { key: "skipped", name: "Not done", title: "Steps that were not taken, and why" },
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
 * @param {(report: CleanupReport) => void} onReport a cleanup that was asked for here
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
    // Where requests do not pass this server the connections are not its own to close.
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
    skipped: report.skipped.length === 0 ? "nothing" : report.skipped.join("; "),
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
