// @ts-check
// The client's own requests: through the same `fetch` as the app's, but past the throttle.

/** How long the server may take to answer. */
const TIMEOUT_MS = 10_000;

/**
 * @param {Pick<import("./options.js").Options, "base" | "credentials" | "fetch">} options
 * @param {string} name of the route
 * @param {RequestInit} init
 */
export async function send({ base, credentials, fetch }, name, init) {
  // Where the host has no such signal, its own time limit has to do.
  const signal = globalThis.AbortSignal?.timeout?.(TIMEOUT_MS);
  return fetch(`${base}/api/v1/health/database/${name}`, { ...init, credentials, signal });
}
