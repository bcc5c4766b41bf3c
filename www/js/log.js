// The event log, newest first: changes between two documents, and actions on this page.

import { byId, create } from "./dom.js";
import * as format from "./format.js";
import * as words from "./words.js";

/** @import { Status } from "../types/wire.js" */

/** Maximum number of events; older ones are dropped. */
const MOST_EVENTS = 200;

/** @typedef {"level" | "breaker" | "alert" | "cleanup" | "contact" | "load"} Kind */
/** @typedef {{ at: number, kind: Kind, text: string }} LogEvent */

/**
 * The changes from one status to the next.
 * @param {Status} before
 * @param {Status} after
 * @param {string} reason why the level changed, in words
 * @returns {LogEvent[]}
 */
export function changes(before, after, reason) {
  const at = Date.parse(after.sampled_at);
  /** @type {LogEvent[]} */
  const events = [];
  if (before.throttling_level !== after.throttling_level) {
    const usage = [
      `pool ${after.pool.usage_percent.toFixed(0)} %`,
      after.gate && `gate ${after.gate.usage_percent.toFixed(0)} %`,
    ].filter(Boolean);
    events.push({
      at,
      kind: "level",
      text: `${before.throttling_level} → ${after.throttling_level} (${usage.join(", ")}). ${reason}`.trim(),
    });
  }
  if (before.circuit_breaker !== after.circuit_breaker) {
    events.push({ at, kind: "breaker", text: words.breaker(after.circuit_breaker) });
  }
  for (const alert of after.alerts.filter((alert) => !has(before, alert))) {
    events.push({ at, kind: "alert", text: `Raised (${alert.severity}): ${alert.message}` });
  }
  for (const alert of before.alerts.filter((alert) => !has(after, alert))) {
    events.push({ at, kind: "alert", text: `Cleared (${alert.severity}): ${alert.message}` });
  }
  const cleanup = after.last_cleanup;
  if (cleanup !== null && cleanup.started_at !== before.last_cleanup?.started_at) {
    events.push({ at, kind: "cleanup", text: `Cleanup, ${cleanup.trigger}: ${cleanup.summary}` });
  }
  return events;
}

/** @returns {{ add: (...events: LogEvent[]) => void, save: () => LogEvent[], restore: (saved: unknown) => void }} */
export function eventLog() {
  const list = byId("log", HTMLElement);
  /** Newest first. @type {LogEvent[]} */
  let events = [];
  const draw = () => {
    const items = events.map(item);
    list.replaceChildren(
      ...(items.length === 0
        ? [create("li", "none", "No change since this page was opened.")]
        : items),
    );
  };
  byId("log-save", HTMLButtonElement).addEventListener("click", () => download(events));
  draw();
  return {
    add(...added) {
      if (added.length === 0) return;
      events = [...added.toReversed(), ...events].slice(0, MOST_EVENTS);
      draw();
    },
    save: () => events,
    restore(saved) {
      if (Array.isArray(saved)) events = saved.filter(isEvent).slice(0, MOST_EVENTS);
      draw();
    },
  };
}

/**
 * Two alerts are the same if kind and severity are equal: the message contains the newest figure.
 * @param {Status} status
 * @param {{ kind: string, severity: string }} alert
 */
function has(status, alert) {
  return status.alerts.some(({ kind, severity }) => kind === alert.kind && severity === alert.severity);
}

/** @param {LogEvent} event */
function item({ at, kind, text }) {
  const time = create("time", "", format.clock(at));
  time.dateTime = new Date(at).toISOString();
  return create("li", "", time, create("span", "kind", kind), create("span", "", text));
}

/** @param {LogEvent[]} events */
function download(events) {
  const rows = events.map(({ at, kind, text }) => ({ at: new Date(at).toISOString(), kind, text }));
  const link = create("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(rows, null, 2)], { type: "application/json" }));
  link.download = "poolgate-events.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * @param {any} event
 * @returns {event is LogEvent}
 */
function isEvent(event) {
  return Number.isFinite(event?.at) && typeof event.kind === "string" && typeof event.text === "string";
}
