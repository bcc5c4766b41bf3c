// The right side of the header: contact with the server, and the age of the figures.

import { byId, setText } from "./dom.js";
import * as format from "./format.js";

/** Figures older than this are stale; they normally come twice a second. */
const STALE_AFTER_SECONDS = 4;

/**
 * The age of the figures.
 * @param {number | null} contactAt `performance.now()` of the last message
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
