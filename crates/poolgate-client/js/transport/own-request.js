// @ts-check
// The client's own requests: they use the app's `fetch`, past the throttle.

import { ANSWER_TIMEOUT_MS } from "../contract.js";

/**
 * @param {{ base: string, credentials: RequestCredentials, fetch: typeof globalThis.fetch }} options
 * @param {string} path
 * @param {RequestInit} init
 */
export async function send({ base, credentials, fetch }, path, init) {
  // Hosts without this signal have a time limit of their own.
  const signal = globalThis.AbortSignal?.timeout?.(ANSWER_TIMEOUT_MS);
  return fetch(base + path, { ...init, credentials, signal });
}
