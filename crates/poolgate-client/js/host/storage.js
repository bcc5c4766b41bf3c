// @ts-check

/**
 * Storage that all tabs of an origin share and that outlives a page. Workers have none, and a browser may forbid it.
 * @returns {Storage | undefined}
 */
export function storage() {
  try {
    return globalThis.localStorage ?? undefined;
  } catch {
    return undefined;
  }
}
