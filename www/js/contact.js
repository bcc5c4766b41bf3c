// The right side of the header: contact with the server, and the age of the figures.

import { byId, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * The age of the figures. They are stale when they are older than `patience`; a page that was just opened or has come
 * back into view has as long to get its first ones.
 * @param {number | null} contactAt `performance.now()` of the last message
 * @param {number} now
 * @param {number} patience in seconds
 * @param {number} seenAt when the page came into view (`performance.now()`)
 */
export function freshness(contactAt, now, patience, seenAt = 0) {
  const since = (/** @type {number} */ at) => Math.max(0, (now - at) / 1000);
  const seconds = since(contactAt ?? seenAt);
  const stale = Math.min(seconds, since(seenAt)) >= patience;
  return { stale, seconds, known: contactAt !== null, late: !stale && seconds >= patience };
}

/** @typedef {ReturnType<typeof freshness>} Freshness */

/** @returns {(fresh: Freshness, transport: string, pausedFor: number | null) => void} */
export function contactLine() {
  const line = byId("contact", HTMLElement);
  const dot = byId("contact-dot", HTMLElement);
  return (fresh, transport, pausedFor) => {
    const paused = pausedFor !== null;
    dot.dataset["state"] = fresh.stale ? "stale" : paused ? "paused" : !fresh.known ? "unknown" : transport;
    if (fresh.stale) setText(line, `No data for ${format.duration(fresh.seconds)}`);
    else if (paused) setText(line, `Paused for ${format.duration(pausedFor)}`);
    else if (!fresh.known || fresh.late) setText(line, "Connecting");
    else setText(line, transport === "stream" ? "Live" : "Live, every 2 s");
  };
}
