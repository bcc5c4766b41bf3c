// The last cleanup, and a button that starts one after it has said what it will do.

import { forceCleanup, inWords } from "./api.js";
import { byId, definitionList, setText } from "./dom.js";
import * as format from "./format.js";

/** @import { CleanupReport } from "../types/wire.js" */
/** @import { State } from "./state.js" */

const FACTS = [
  { key: "when", name: "When", title: "When it began, and who started it" },
  { key: "found", name: "Outcome", title: "The report in one sentence" },
  { key: "busy", name: "In use", title: "Connections in use before and after" },
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

/** @type {Record<string, string>} */
const TRIGGERS = { manual: "by a person", client: "by a browser on its own", automatic: "by the server" };

/**
 * @returns {{ show: (state: State) => void, setContact: (hasContact: boolean) => void }}
 */
export function cleanupPanel() {
  const show = definitionList(byId("cleanup", HTMLElement), FACTS);
  const answer = byId("cleanup-answer", HTMLElement);
  const button = byId("cleanup-force", HTMLButtonElement);
  const dialog = byId("cleanup-dialog", HTMLDialogElement);
  const token = byId("cleanup-token", HTMLInputElement);
  const panel = byId("cleanup-panel", HTMLElement);
  let running = false;
  let known = false;

  button.addEventListener("click", () => {
    if (!running && button.ariaDisabled !== "true") dialog.showModal();
  });
  byId("cleanup-cancel", HTMLButtonElement).addEventListener("click", () => dialog.close());
  byId("cleanup-form", HTMLFormElement).addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = token.value;
    // It is asked for anew each time: a token that stays in a page is one that is lost.
    token.value = "";
    dialog.close();
    running = true;
    setText(answer, "Cleaning up");
    try {
      const report = await forceCleanup(given);
      setText(answer, `Done: ${report.summary}.`);
      show(facts(report));
      known = true;
    } catch (error) {
      setText(answer, `Cleanup not run: ${inWords(error)}`);
    } finally {
      running = false;
    }
  });
  return {
    show({ status }) {
      // A server that only watches cannot close the connections.
      panel.hidden = status?.gate === null;
      if (status?.last_cleanup) show(facts(status.last_cleanup));
      else if (status !== null && !known) show({ found: "No cleanup has run since the server was started." });
    },
    setContact(hasContact) {
      // Disabled for real, it would lose the focus.
      button.ariaDisabled = String(!hasContact);
    },
  };
}

/** @param {CleanupReport} report */
function facts(report) {
  const by = TRIGGERS[report.trigger] ?? report.trigger;
  return {
    when: `${format.clock(report.started_at)}, ${by}, ${format.milliseconds(report.duration_ms)}`,
    found: report.summary,
    busy: `${report.checked_out_before} → ${report.checked_out_after}`,
    closed: format.count(report.idle_closed),
    flagged: format.count(report.leases_flagged),
    skipped: report.skipped.length === 0 ? "nothing" : report.skipped.join("; "),
  };
}
