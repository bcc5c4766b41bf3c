// @ts-check
// A page with a client of its own says so to a service worker of ours, so that its requests are throttled once.

/** What is said, and the answer. */
export const OWN_CLIENT = "poolgate own client";
/** How the names of a worker's caches begin, which it has from its installation on. */
export const CACHES = "poolgate ";
/** How long a worker may take. */
const PATIENCE_MS = 1000;

/** Tells the worker that controls this page, if any. Fulfilled when it has answered, or is not ours and never will. */
export async function announce() {
  const worker = container()?.controller;
  if (!worker) return;
  const { port1, port2 } = new MessageChannel();
  const answered = new Promise((resolve) => (port1.onmessage = resolve));
  worker.postMessage(OWN_CLIENT, [port2]);
  // Where nobody can tell, it may be.
  const names = await caches.keys().catch(() => [CACHES]);
  if (names.some((name) => name.startsWith(CACHES))) {
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  }
  port1.close();
}

/**
 * Tells each further worker too, and a worker again that may have forgotten a page in the back/forward cache.
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
    // A sandboxed frame may not ask.
    return undefined;
  }
}
