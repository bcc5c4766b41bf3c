// The stat row, and the two bars that show pool and gate at the same scale.

import { byId, definitionList, setText } from "./dom.js";
import * as format from "./format.js";
import { waiting } from "./words.js";

/** @import { Status } from "../types/wire.js" */
/** @import { State } from "./state.js" */

const STATS = [
  {
    key: "waiting",
    name: "Waiting",
    title: "Requests waiting for a gate permit or a connection",
  },
  { key: "busy", name: "Busy", title: "Connections in use, of the maximum that the pool may open" },
  {
    key: "p95",
    name: "Wait p95",
    title:
      "Time from arrival at the gate to a connection: 95 of 100 requests wait no longer (last minute)",
  },
  {
    key: "p99",
    name: "Wait p99",
    title:
      "Time from arrival at the gate to a connection: 99 of 100 requests wait no longer (last minute)",
  },
  { key: "rejected", name: "Rejected/s", title: "Requests rejected by the gate, mean of 3 seconds" },
  { key: "goodput", name: "Goodput/s", title: "Requests admitted by the gate, mean of 3 seconds" },
  {
    key: "clients",
    name: "In sync",
    title: "Clients that were sent the current config, of all connected clients",
  },
  {
    key: "breaker",
    name: "Breaker",
    title: "Closed: requests pass; open: no request passes; half-open: a few requests probe",
  },
  {
    key: "fair",
    name: "Fair rate",
    title: "Requests per second that each client may start; none without a limit",
  },
];

/** @returns {(state: State) => void} */
export function statRow() {
  const show = definitionList(byId("stats", HTMLElement), STATS);
  return ({ status, rates }) => {
    if (status === null) return;
    const { pool, performance, clients } = status;
    show({
      waiting: format.count(waiting(status)),
      busy: pool.capacity === 0 ? format.UNKNOWN : `${pool.checked_out} / ${pool.capacity}`,
      p95: format.milliseconds(performance.acquire_wait_ms?.p95),
      p99: format.milliseconds(performance.acquire_wait_ms?.p99),
      rejected: format.rate(rates.rejected),
      goodput: format.rate(rates.admitted),
      clients: `${clients.in_sync} / ${clients.live}`,
      breaker: status.circuit_breaker.replace("_", "-"),
      fair: status.fair_rate_per_second === null ? "none" : `${fairRate(status.fair_rate_per_second)}/s`,
    });
  };
}

/** @returns {(state: State) => void} */
export function gauges() {
  const pool = track("pool");
  const gate = track("gate");
  const panel = byId("capacity", HTMLElement);
  return ({ status }) => {
    if (status === null) return;
    const { pool: p, gate: g } = status;
    // One scale for both, so that a gate of 25 visibly ends at five sixths of a pool of 30.
    const scale = Math.max(p.capacity, g?.max_concurrent_requests ?? 0, 1);
    const unopened = Math.max(0, p.capacity - p.checked_out - p.idle - p.connecting);
    const share = (/** @type {number} */ connections) => connections / Math.max(1, p.capacity);
    pool.show(p.capacity / scale, {
      busy: share(p.checked_out),
      idle: share(p.idle),
      connecting: share(p.connecting),
    });
    pool.say(
      `${p.checked_out} busy, ${p.idle} idle, ${p.connecting} connecting, ${unopened} unopened of ${p.capacity} ` +
        `(${format.share(p.usage_percent / 100)})`,
    );
    panel.dataset["gate"] = String(g !== null);
    if (g === null) return gate.say(`${format.UNKNOWN} (this server only watches; requests do not pass through it)`);
    gate.show(g.max_concurrent_requests / scale, {
      flight: g.in_flight / Math.max(1, g.max_concurrent_requests),
    });
    gate.say(`${g.in_flight} of ${g.max_concurrent_requests} in flight, ${g.waiting} waiting`);
  };
}

/** @param {Status} status */
export function origin({ pool }) {
  const kind = pool.backend === "postgres" ? "PostgreSQL" : "SQLite";
  return pool.capacity === 0 ? kind : `${kind}, pool of ${pool.pool_size} + ${pool.max_overflow}`;
}

/** @param {"pool" | "gate"} name */
function track(name) {
  const bar = byId(`${name}-track`, HTMLElement);
  const text = byId(`${name}-text`, HTMLElement);
  const marks = document.getElementById(`${name}-marks`);
  return {
    /**
     * @param {number} width of the whole bar, 0 to 1
     * @param {Record<string, number>} parts widths within the bar, 0 to 1
     */
    show(width, parts) {
      for (const element of [bar, marks]) element?.style.setProperty("--width", String(width));
      for (const [part, value] of Object.entries(parts))
        bar.style.setProperty(`--${part}-share`, String(value));
    },
    /** @param {string} words */
    say(words) {
      setText(text, words);
      if (bar.getAttribute("aria-label") !== words) bar.setAttribute("aria-label", words);
    },
  };
}

/** @param {number} value */
function fairRate(value) {
  return value < 1 ? value.toFixed(2) : format.rate(value);
}
