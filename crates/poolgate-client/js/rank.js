// @ts-check
// Which tab leads rather than another.

/** Pages that are looked at lead before workers, and those before pages that are not. */
export const RANK = { hidden: 0, worker: 1, visible: 2 };

/** This realm's, at the moment. */
export function rank() {
  const { document } = globalThis;
  if (!document) return RANK.worker;
  return document.visibilityState === "visible" ? RANK.visible : RANK.hidden;
}
