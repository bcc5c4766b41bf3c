// The event log, newest first: changes between two documents, what the server remembers, and actions on this page.

import { byId, create } from "./dom.js";
import * as format from "./format.js";
import * as words from "./words.js";

/** @import { CircuitState, HistoryEvent, Status } from "../types/wire.js" */

/** Maximum number of events; older ones are dropped. */
const MOST_EVENTS = 200;

/** @typedef {"server" | "level" | "breaker" | "alert" | "gate" | "cleanup" | "contact" | "load"} Kind */
/** @typedef {{ at: number, kind: Kind, text: string }} LogEvent */

/** Kinds of what only this page knows. */
const OWN = ["contact", "load"];

/** Who asked for a cleanup. @type {Record<string, string>} */
const TRIGGERS = {
  manual: "asked for by a person",
  client: "asked for by a browser on its own",
  automatic: "started by the server",
};

/**
 * The changes from one status to the next, both of the same process.
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
      `pool ${after.pool.usage_percent.toFixed(0)}%`,
      after.gate && `gate ${after.gate.usage_percent.toFixed(0)}%`,
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
  for (const alert of before.alerts.filter((alert) => !after.alerts.some(({ kind }) => kind === alert.kind))) {
    events.push({ at, kind: "alert", text: `Over (${alert.severity}): ${alert.message}` });
  }
  const [narrow, wide] = [before.gate?.max_concurrent_requests, after.gate?.max_concurrent_requests];
  if (narrow !== undefined && wide !== undefined && narrow !== wide) {
    events.push({ at, kind: "gate", text: `Gate resized from ${narrow} to ${wide} requests in flight` });
  }
  const cleanup = after.last_cleanup;
  if (cleanup !== null && cleanup.started_at !== before.last_cleanup?.started_at) {
    events.push({ at, kind: "cleanup", text: cleanupText(cleanup.trigger, cleanup.summary) });
  }
  return events;
}

/**
 * Another process answers than before.
 * @param {Status} status
 * @returns {LogEvent}
 */
export function restart({ server_version: version, started_at }) {
  return { at: Date.parse(started_at), kind: "server", text: `Server restarted, Poolgate ${version}` };
}

/**
 * @param {string} trigger
 * @param {string} summary
 */
function cleanupText(trigger, summary) {
  return `Cleanup ${TRIGGERS[trigger] ?? trigger}: ${summary}`;
}

/**
 * An event that the server remembers; null for one that the log does not show.
 * @param {HistoryEvent} event
 * @returns {LogEvent | null}
 */
export function remembered({ at: time, kind, from, to, text }) {
  const at = Date.parse(time);
  switch (kind) {
    case "started":
      return { at, kind: "server", text };
    case "level":
      return { at, kind, text: `${from} → ${to}. ${words.cause(text).text}`.trim() };
    case "breaker":
      return { at, kind, text: words.breaker(/** @type {CircuitState} */ (to)) };
    case "alert":
      return { at, kind, text: to === null ? `Over (${from}): ${text.replace(/^over: /, "")}` : `Raised (${to}): ${text}` };
    case "gate":
      return { at, kind, text: `Gate resized from ${from} to ${to} requests in flight` };
    case "cleanup":
      return { at, kind, text: cleanupText(to ?? "", text) };
    default:
      return null;
  }
}

/** @returns {{ add: (...events: LogEvent[]) => void, remember: (past: HistoryEvent[], until: number) => void, save: () => LogEvent[], restore: (saved: unknown) => void }} */
export function eventLog() {
  const list = byId("log", HTMLElement);
  const save = byId("log-save", HTMLButtonElement);
  const filter = byId("log-filter", HTMLSelectElement);
  /** Newest first. @type {LogEvent[]} */
  let events = [];
  const wanted = () => events.filter(({ kind }) => filter.value === "" || filter.value === kind);
  const draw = () => {
    const items = wanted().map(item);
    const empty = events.length === 0 ? "No event yet: changes of the level, alerts and cleanups appear here." : "No event of this kind.";
    list.replaceChildren(...(items.length === 0 ? [create("li", "none", empty)] : items));
    save.disabled = items.length === 0;
  };
  save.addEventListener("click", () => download(wanted()));
  filter.addEventListener("change", draw);
  draw();
  return {
    add(...added) {
      if (added.length === 0) return;
      events = [...added.toReversed(), ...events].slice(0, MOST_EVENTS);
      draw();
    },
    /** Replaces what this page knows of the server until a time (Unix ms) by what the server remembers. */
    remember(past, until) {
      const told = past.map(remembered).filter((event) => event !== null).filter(({ at }) => at <= until);
      // A server that was restarted knows nothing of the time before.
      const begin = Math.min(...told.map(({ at }) => at));
      const own = events.filter(({ at, kind }) => at > until || at < begin || OWN.includes(kind));
      events = [...own, ...told].sort((one, other) => other.at - one.at).slice(0, MOST_EVENTS);
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
