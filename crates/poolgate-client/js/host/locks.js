// @ts-check
// Web Locks that are held for a while, not for the duration of one task.

/**
 * Holds a lock until the signal is aborted. Resolves to whether the lock was granted.
 * @param {string} name
 * @param {AbortSignal} signal
 * @param {LockOptions} [options]
 * @param {() => void} [lost] called when another tab steals the lock
 * @returns {Promise<boolean>}
 */
export function hold(name, signal, options = { signal }, lost = () => {}) {
  return new Promise((resolve) => {
    let got = false;
    const held = () =>
      new Promise((release) => {
        got = true;
        signal.addEventListener("abort", release);
        if (signal.aborted) release(undefined);
        resolve(true);
      });
    navigator.locks.request(name, options, held).catch(() => (got ? lost() : resolve(false)));
  });
}
