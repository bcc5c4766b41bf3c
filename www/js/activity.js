// Who and what uses the pool: routes, connections in use and clients, the worst first.

import { fetchActivity } from "./api.js";
import * as format from "./format.js";
import { table } from "./table.js";

/** @import { Activity, ClientActivity, LeaseActivity, RouteActivity } from "../types/wire.js" */
/** @import { State } from "./state.js" */
/** @import { Column } from "./table.js" */

/** The server makes the document once a second. */
const POLL_MS = 2_000;
/** The oldest are enough to see who holds connections. */
const MOST_LEASES = 8;
/** Clients that are up to date need no row each. */
const FEWEST_CLIENTS = 5;

/** @type {readonly Column<RouteActivity>[]} */
const ROUTES = [
  { name: "Route", title: "Method and route", text: ({ route }) => route },
  { name: "Requests", title: "Requests that arrived in the last minute", text: ({ requests }) => format.count(requests) },
  {
    name: "Failing",
    title: "Share of them that were rejected, answered with 5xx, or given up after 5 s without an answer",
    text: ({ error_rate: rate }) => format.share(rate),
    isBad: ({ error_rate: rate }) => (rate ?? 0) >= 0.01,
  },
  time("p50"),
  time("p95"),
  time("p99"),
  {
    name: "With a connection",
    title: "Time with a connection of the pool, of all its requests together",
    text: ({ connection_seconds: seconds }) => (seconds === null ? format.UNKNOWN : format.milliseconds(seconds * 1000)),
  },
  {
    name: "Of the pool",
    title: "The same as a share of the whole pool",
    text: ({ pool_share: share }) => format.share(share),
  },
];

/** @type {readonly Column<LeaseActivity>[]} */
const LEASES = [
  {
    name: "In use for",
    title: "Time since it was acquired",
    text: ({ age_seconds: age }) => format.milliseconds(age * 1000),
    isBad: ({ age_seconds: age }) => age >= 10,
  },
  { name: "Route", title: "The route that it is used for", text: ({ route }) => route ?? "outside a request" },
  { name: "Taken at", title: "The file and line that acquired it", text: ({ location }) => location },
  { name: "Trace", title: "The distributed trace", text: ({ trace_id: trace }) => trace?.slice(0, 8) ?? format.UNKNOWN },
];

/** @type {readonly Column<ClientActivity>[]} */
const CLIENTS = [
  {
    name: "Client",
    title: "The beginning of the id that it sends",
    text: ({ id, polls }) => id ?? (polls ? "polling address" : "without id"),
  },
  {
    name: "Since",
    title: "Since when its stream has been open; for a polling address, its last poll",
    text: ({ since }) => format.clock(since),
  },
  { name: "Config", title: "Version of the config that it was sent last", text: ({ version }) => (version === null ? "none" : `v${version}`) },
  {
    name: "Behind",
    title: "For how long there has been a newer config that it was not sent",
    text: ({ lag_seconds: lag }) => (lag === 0 ? "up to date" : format.milliseconds(lag * 1000)),
    isBad: ({ lag_seconds: lag }) => lag >= 5,
  },
];

/**
 * Reads the document while the page is seen.
 * @param {(activity: Activity) => void} use
 */
export function followActivity(use) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let next;
  const read = async () => {
    clearTimeout(next);
    if (document.hidden) return;
    try {
      const activity = await fetchActivity();
      if (Array.isArray(activity?.routes)) use(activity);
    } catch {
      // No contact: the header shows it, and the next poll follows.
    }
    next = setTimeout(read, POLL_MS);
  };
  document.addEventListener("visibilitychange", read);
  read();
}

/** @returns {(state: State) => void} */
export function activityPanels() {
  const routes = table("routes", ROUTES, "No request has passed the gate in the last minute.");
  const leases = table("leases", LEASES, "No connection is in use.");
  const clients = table("clients", CLIENTS, "No client receives the config: open an app that uses the client, or poll the config.");
  return ({ status, activity }) => {
    if (activity === null) return;
    const watches = status?.gate === null;
    routes(activity.routes, watches ? "Requests do not go through this server: it does not see their routes." : undefined);
    leases(activity.leases.slice(0, MOST_LEASES), watches ? "These connections are not Poolgate's: it does not see who uses them." : undefined);
    const behind = activity.clients.filter(({ lag_seconds: lag }) => lag > 0).length;
    const shown = activity.clients.slice(0, Math.max(behind, FEWEST_CLIENTS));
    const more = (status?.clients.live ?? 0) - shown.length;
    clients(shown, undefined, more > 0 && shown.length > 0 ? `and ${format.count(more)} more` : "");
  };
}

/** @param {"p50" | "p95" | "p99"} name @returns {Column<RouteActivity>} */
function time(name) {
  return {
    name,
    title: `Time from arrival at the gate to the response's head: ${name.slice(1)} of 100 requests take no longer`,
    text: ({ response_time_ms: times }) => format.milliseconds(times?.[name]),
  };
}
