// @ts-check
// The client's own requests: through the same `fetch` as the app's, but past the throttle.

/** How long the server may take to answer. */
const TIMEOUT_MS = 10_000;

/**
 * @param {typeof globalThis.fetch} fetch the host's
 * @param {string} url
 * @param {RequestInit} init
 */
export async function send(fetch, url, init) {
  // Where the host has no such signal, its own time limit has to do.
  const signal = globalThis.AbortSignal?.timeout?.(TIMEOUT_MS);
  return fetch(url, { ...init, signal });
}
