// Keeps the page's memory across a reload, in the tab's session storage.

const KEY = "poolgate-page";
/** Older memory is discarded. */
const MOST_AGE_MS = 15 * 60_000;

/** @typedef {{ save: () => unknown, restore: (saved: any) => void }} Keeper */

/** @param {Record<string, Keeper>} keepers */
export function keepWhileReloading(keepers) {
  const saved = read();
  if (saved !== null) {
    for (const [name, keeper] of Object.entries(keepers)) keeper.restore(saved[name] ?? null);
  }
  window.addEventListener("pagehide", () => {
    const parts = Object.entries(keepers).map(([name, keeper]) => [name, keeper.save()]);
    write({ at: Date.now(), ...Object.fromEntries(parts) });
  });
}

/** @returns {Record<string, any> | null} */
function read() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return Date.now() - saved?.at < MOST_AGE_MS ? saved : null;
  } catch {
    return null; // Storage is switched off, or holds something else.
  }
}

/** @param {unknown} parts */
function write(parts) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(parts));
  } catch {
    // Storage is disabled or full: the next visit starts empty.
  }
}
