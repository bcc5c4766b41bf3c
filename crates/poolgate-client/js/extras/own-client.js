// @ts-check
// A page with its own client tells the service worker of this package, so that its requests are throttled only once.

/** The message, and its answer. */
export const OWN_CLIENT = "poolgate own client";
/** Prefix of the worker's caches, which exist from its installation on. */
export const CACHES = "poolgate ";
/** How long a worker may take to answer. */
const PATIENCE_MS = 1000;

/** Tells the worker that controls this page. Resolves when it has answered, or when it is another package's. */
export async function announce() {
  const worker = container()?.controller;
  if (!worker) return;
  const { port1, port2 } = new MessageChannel();
  const answered = new Promise((resolve) => (port1.onmessage = resolve));
  worker.postMessage(OWN_CLIENT, [port2]);
  // Without access to the caches the worker may be ours.
  const names = await caches.keys().catch(() => [CACHES]);
  if (names.some((name) => name.startsWith(CACHES))) {
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  }
  port1.close();
}

/**
 * Tells each new worker, and tells the worker again when the page returns from the back/forward cache.
 * @param {AbortSignal} signal
 */
export function announceAgain(signal) {
  const workers = container();
  if (!workers) return;
  workers.addEventListener("controllerchange", announce, { signal });
  globalThis.addEventListener("pageshow", ({ persisted }) => void (persisted && announce()), { signal });
}

function container() {
  try {
    return globalThis.navigator?.serviceWorker;
  } catch {
    // A sandboxed frame has no access.
    return undefined;
  }
}
