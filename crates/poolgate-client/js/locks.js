// @ts-check
// Web Locks as this package uses them: held for a while, not for a task.

/**
 * Holds a lock until the signal is aborted. Fulfilled with whether it was got.
 * @param {string} name
 * @param {AbortSignal} signal
 * @param {LockOptions} [options]
 * @param {() => void} [lost] it was taken away
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
