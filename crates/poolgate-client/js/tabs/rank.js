// @ts-check
// Which tab is preferred as the leader.

/** Visible pages come before workers, and workers before hidden pages. */
export const HIDDEN = 0;
const WORKER = 1;
export const VISIBLE = 2;

/** The rank of this page or worker now. */
export function rank() {
  const { document } = globalThis;
  if (!document) return WORKER;
  return document.visibilityState === "visible" ? VISIBLE : HIDDEN;
}
