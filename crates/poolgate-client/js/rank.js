// @ts-check
// Which tab leads rather than another.

/** Pages that are looked at lead before workers, and those before pages that are not. */
export const HIDDEN = 0;
const WORKER = 1;
export const VISIBLE = 2;

/** This realm's, at the moment. */
export function rank() {
  const { document } = globalThis;
  if (!document) return WORKER;
  return document.visibilityState === "visible" ? VISIBLE : HIDDEN;
}
