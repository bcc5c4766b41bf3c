// Waiting for what must happen, never for a while.

const POLL_MS = 100;

/**
 * Asks again and again until the answer is not false or null; gives it.
 * @template T
 * @param {string} what for the message when it does not happen
 * @param {number} withinMs
 * @param {() => Promise<T | false | null> | T | false | null} ask
 * @param {() => Promise<unknown> | unknown} [seen] what there is instead, for the message
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
