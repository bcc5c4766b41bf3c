// The active alerts, each with what to do about it.

import { byId, create, setText } from "./dom.js";
import * as format from "./format.js";
import * as words from "./words.js";

/** @import { Alert, Status } from "../types/wire.js" */
/** @import { State } from "./state.js" */

const SEVERITIES = ["critical", "warning", "info"];

/** @returns {(state: State) => void} */
export function alertList() {
  const panel = byId("alerts-panel", HTMLElement);
  const list = byId("alerts", HTMLElement);
  const count = byId("alerts-count", HTMLElement);
  let shown = "unset";
  return ({ status }) => {
    if (status === null) return;
    const rank = (/** @type {Alert} */ { severity }) => SEVERITIES.indexOf(severity);
    const alerts = status.alerts.toSorted((one, other) => rank(one) - rank(other)).map((alert) => told(alert, status));
    const key = JSON.stringify(alerts);
    if (key === shown) return;
    shown = key;
    setText(count, alerts.length > 1 ? `(${alerts.length})` : "");
    panel.dataset["worst"] = alerts[0]?.severity ?? "none";
    list.replaceChildren(
      ...(alerts.length === 0 ? [create("li", "none", "No alert is active.")] : alerts.map(item)),
    );
  };
}

/**
 * An alert as it is shown.
 * @param {Alert} alert
 * @param {Status} status
 */
function told(alert, status) {
  const { severity, since } = alert;
  if (alert.kind !== "pool_usage") return { severity, since, message: alert.message, todo: words.todo(alert.kind) };
  const { pool } = status;
  // The message has the usage at which it was raised.
  const message = `The pool is ${format.share(pool.usage_percent / 100)} full (raised at ${/[\d.]+/.exec(alert.message)?.[0] ?? "more"}%).`;
  return { severity, since, message, todo: words.todo(alert.kind) };
}

/** @param {ReturnType<typeof told>} alert */
function item({ severity, since, message, todo }) {
  return create(
    "li",
    "",
    create("span", `severity ${severity}`, severity),
    ` ${message} `,
    create("span", "note", `Since ${format.clock(since)}. ${todo}`.trim()),
  );
}
