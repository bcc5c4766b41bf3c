// Waits for a condition, never for a fixed time.

const POLL_MS = 100;

/**
 * Calls `ask` until it returns neither false nor null; returns that value.
 * @template T
 * @param {string} what for the error message
 * @param {number} withinMs
 * @param {() => Promise<T | false | null> | T | false | null} ask
 * @param {() => Promise<unknown> | unknown} [seen] the actual state, for the error message
 * @returns {Promise<T>}
 */
export async function until(what, withinMs, ask, seen) {
  const end = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== null) return answer;
    if (Date.now() > end) {
      const instead = seen === undefined ? "" : `; instead: ${JSON.stringify(await seen())}`;
      throw new Error(`not within ${withinMs} ms: ${what}${instead}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
