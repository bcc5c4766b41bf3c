// @ts-check
// Tells screen readers, for all <poolgate-status> elements of a page together.

const SPACING_MS = 20_000;

let lastAnnounced = -SPACING_MS;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let announcing;

/**
 * Announces a text. A text that comes too soon after another one is announced later, unless a newer one replaces it.
 * @param {string} text
 */
export function announce(text) {
  clearTimeout(announcing);
  const wait = lastAnnounced + SPACING_MS - performance.now();
  // Screen readers notice a new region only after a moment.
  announcing = setTimeout(() => {
    lastAnnounced = performance.now();
    announcer().textContent = text;
  }, Math.max(wait, 100));
}

/**
 * The live region that all elements share. It is outside of shadow roots, where screen readers find it, and must be in the page
 * before the first message.
 */
export function announcer() {
  const existing = document.querySelector("[data-poolgate-announcer]");
  if (existing) return existing;
  const region = document.createElement("div");
  region.setAttribute("data-poolgate-announcer", "");
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  region.setAttribute("aria-atomic", "true");
  Object.assign(region.style, {
    position: "absolute",
    inlineSize: "1px",
    blockSize: "1px",
    overflow: "hidden",
    clipPath: "inset(50%)",
    whiteSpace: "nowrap",
  });
  (document.body ?? document.documentElement).append(region);
  return region;
}
