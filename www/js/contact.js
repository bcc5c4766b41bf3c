// The header's right side: whether the server is heard, and how old the figures are.

import { byId, setText } from "./dom.js";
import * as format from "./format.js";

/** Figures older than this are stale: they come twice a second. */
const STALE_AFTER_SECONDS = 4;

/**
 * How old the page's knowledge is.
 * @param {number | null} contactAt `performance.now()` of the last sign of life
 * @param {number} now
 */
export function freshness(contactAt, now) {
  if (contactAt === null) return { stale: false, seconds: 0, known: false };
  const seconds = Math.max(0, (now - contactAt) / 1000);
  return { stale: seconds >= STALE_AFTER_SECONDS, seconds, known: true };
}

/** @returns {(fresh: ReturnType<typeof freshness>, transport: string, pausedFor: number | null) => void} */
export function contactLine() {
  const line = byId("contact", HTMLElement);
  const dot = byId("contact-dot", HTMLElement);
  return (fresh, transport, pausedFor) => {
    const age = format.duration(fresh.seconds);
    dot.dataset["state"] = !fresh.known ? "unknown" : fresh.stale ? "stale" : transport;
    if (!fresh.known) setText(line, "connecting");
    else if (fresh.stale) setText(line, `stale ${age}`);
    else if (pausedFor !== null) setText(line, `paused ${format.duration(pausedFor)}`);
    else setText(line, `updated ${age} ago`);
    line.title =
      transport === "stream"
        ? "Figures arrive over one event stream."
        : "No event stream: polling every 2 s.";
  };
}
