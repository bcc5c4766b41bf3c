// @ts-check
// What <poolgate-status> knows of the service, from the server or from a client.

import { ANSWER_TIMEOUT_MS } from "../contract.js";

/** States from good to bad; `unknown` is apart. */
export const ORDER = ["normal", "moderate", "aggressive", "emergency"];

/**
 * @param {string} url of the config or the status document
 * @returns {Promise<import("../status.js").Observation>}
 */
export async function ask(url) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ANSWER_TIMEOUT_MS);
  try {
    const answer = await fetch(url, { cache: "no-cache", signal: controller.signal });
    // While the database does not answer, the status has status 503 and the same members.
    if (!answer.ok && answer.status !== 503) return fromDocument(null);
    return fromDocument(await answer.json());
  } catch {
    return fromDocument(null);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {any} document the config or the status document
 * @returns {import("../status.js").Observation}
 */
function fromDocument(document) {
  const open = document?.circuit_breaker_open === true || document?.circuit_breaker === "open";
  return { state: stateOf(document?.throttling_level), unreachable: open, queued: 0, oldestWaitMs: 0, eta: null };
}

/**
 * @param {import("../status.js").StatusSource["state"]} state
 * @returns {import("../status.js").Observation}
 */
export function fromClient(state) {
  const known = state.transport !== "none" && !state.stale;
  return {
    state: known ? stateOf(state.level) : "unknown",
    unreachable: known && state.breaker === "open",
    queued: state.queued,
    oldestWaitMs: state.oldestWaitMs ?? Infinity,
    eta: state.etaMs ?? null,
  };
}

/**
 * @param {unknown} level
 * @returns {import("../status.js").Observation["state"]}
 */
function stateOf(level) {
  const state = String(level).toLowerCase();
  if (ORDER.includes(state)) return /** @type {any} */ (state);
  // A newer server may send an unknown level: it counts as the most severe one. No level at all counts as unknown.
  return typeof level === "string" ? "emergency" : "unknown";
}
