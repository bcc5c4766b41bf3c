// The stat row, and the two bars that show pool and gate at the same scale.

import { byId, create, definitionList, explain, setText } from "./dom.js";
import * as format from "./format.js";
import { waiting } from "./words.js";

/** @import { Status } from "../types/wire.js" */
/** @import { State } from "./state.js" */

const STATS = [
  {
    key: "failing",
    name: "Failing",
    period: "10 s",
    title: "Share of the requests that ended: rejected, answered with 5xx, or given up after 5 s without an answer",
  },
  { key: "goodput", name: "Goodput/s", period: "3 s", title: "Requests per second that were answered without an error" },
  { key: "rejected", name: "Rejected/s", period: "3 s", title: "Requests per second that the gate rejected" },
  {
    key: "response",
    name: "Response p95",
    period: "1 min",
    title: "Time from arrival at the gate to the response's head: 95 of 100 requests take no longer",
  },
  { key: "waiting", name: "Waiting", period: "now", title: "Requests waiting for a permit of the gate or a connection" },
  { key: "busy", name: "In use", period: "now", title: "Connections in use, of the most that the pool may open" },
  {
    key: "p95",
    name: "Wait p95",
    period: "1 min",
    title: "Time from arrival at the gate to a connection: 95 of 100 requests wait no longer",
  },
  {
    key: "p99",
    name: "Wait p99",
    period: "1 min",
    title: "Time from arrival at the gate to a connection: 99 of 100 requests wait no longer",
  },
  {
    key: "efficiency",
    name: "Pool efficiency",
    period: "1 min",
    title: "Time that connections were in use, as a share of that time and the time that requests waited for them",
  },
  {
    key: "clients",
    name: "Clients in sync",
    period: "now",
    title: "Clients that were sent the newest config, of all clients that receive it",
  },
  {
    key: "fair",
    name: "Rate per client",
    period: "now",
    title: "Requests that each client may send; off while clients are not limited",
  },
  {
    key: "forecast",
    name: "Expected/s",
    period: "soon",
    title: "Requests per second that are expected to arrive shortly; needs some minutes of load",
  },
];

/** @returns {(state: State) => void} */
export function statRow() {
  const show = definitionList(byId("stats", HTMLElement), STATS);
  explain(byId("stats-meaning", HTMLElement), STATS);
  return (state) => {
    const { status, rates } = state;
    if (status === null) return;
    const { pool, performance, clients, fair_rate_per_second: fair } = status;
    show({
      failing: status.gate === null ? format.UNKNOWN : format.share(state.pain().share),
      goodput: format.rate(rates.succeeded),
      rejected: format.rate(rates.rejected),
      response: format.milliseconds(performance.response_time_ms?.p95),
      waiting: format.count(waiting(status)),
      busy: pool.capacity === 0 ? format.UNKNOWN : `${pool.checked_out} / ${pool.capacity}`,
      p95: format.milliseconds(performance.acquire_wait_ms?.p95),
      p99: format.milliseconds(performance.acquire_wait_ms?.p99),
      efficiency: format.share(performance.pool_efficiency),
      clients: `${clients.in_sync} / ${clients.live}`,
      fair: fair === null ? "off" : format.perTime(fair, "/s", "/min"),
      forecast: format.rate(status.forecast?.arrivals_per_second),
    });
  };
}

/** @returns {(state: State) => void} */
export function gauges() {
  const pool = track("pool");
  const gate = track("gate");
  const panel = byId("capacity", HTMLElement);
  const mark = marks();
  return ({ status }) => {
    if (status === null) return;
    const { pool: p, gate: g, thresholds } = status;
    panel.dataset["read"] = String(p.capacity > 0);
    mark(Object.values(thresholds));
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
      `${p.checked_out} busy, ${p.idle} idle, ${p.connecting} connecting, ${unopened} not opened, of ${p.capacity} ` +
        `(${format.share(p.usage_percent / 100)})`,
    );
    panel.dataset["gate"] = String(g !== null);
    if (g === null) return gate.say(`${format.UNKNOWN} (watch-only: requests do not go through this server)`);
    gate.show(g.max_concurrent_requests / scale, {
      flight: g.in_flight / Math.max(1, g.max_concurrent_requests),
    });
    gate.say(`${g.in_flight} of ${g.max_concurrent_requests} in flight, ${g.waiting} waiting`);
  };
}

/**
 * Which server this is.
 * @param {Status} status
 */
export function origin({ pool, server_version: version, started_at, sampled_at }) {
  const kind = pool.backend === "postgres" ? "PostgreSQL" : "SQLite";
  const size = pool.capacity === 0 ? "" : `, pool of ${pool.pool_size} + ${pool.max_overflow}`;
  const up = (Date.parse(sampled_at) - Date.parse(started_at)) / 1000;
  return `${location.host} · ${kind}${size} · Poolgate ${version}, up ${format.minutes(up)}`;
}

/** Shows where alerts begin on the pool's bar. */
function marks() {
  const [bar, scale] = [byId("pool-track", HTMLElement), byId("pool-marks", HTMLElement)];
  let shown = "";
  return (/** @type {number[]} */ percents) => {
    if (shown === percents.join()) return;
    shown = percents.join();
    for (const old of document.querySelectorAll(".tick, .marks span")) old.remove();
    percents.forEach((percent, index) => {
      const [tick, label] = [create("b", "tick"), create("span", "", String(percent))];
      if (index === percents.length - 1) label.append("%");
      for (const element of [tick, label]) element.style.left = `${percent}%`;
      bar.append(tick);
      scale.append(label);
    });
  };
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
