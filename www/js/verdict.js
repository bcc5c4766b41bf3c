// The verdict at the top, and the tab's title and icon, which follow it.

import { condition } from "./condition.js";
import { byId, setText } from "./dom.js";
import * as words from "./words.js";

/** @import { Condition, Tone } from "./condition.js" */
/** @import { State } from "./state.js" */

/** The tab's icon by tone: shape and color, as in the page. @type {Record<Tone, [shape: string, color: string]>} */
const ICONS = {
  unknown: ['<circle cx="8" cy="8" r="6" fill="none" stroke="COLOR" stroke-width="2"/>', "#6b7785"],
  calm: ['<circle cx="8" cy="8" r="7" fill="COLOR"/>', "#0072b2"],
  limited: ['<circle cx="8" cy="8" r="6" fill="none" stroke="COLOR" stroke-width="2"/><path d="M8 2a6 6 0 0 1 0 12z" fill="COLOR"/>', "#c08600"],
  hurt: ['<path d="m8 1 7.500 14H.5z" fill="COLOR"/>', "#b3261e"],
  down: ['<path d="M1 1h14v14H1z" fill="COLOR"/>', "#8b1a4f"],
};

/** @returns {(state: State, fresh: { stale: boolean, seconds: number, known: boolean }) => Condition} */
export function verdictPanel() {
  const panel = byId("verdict", HTMLElement);
  const icon = byId("verdict-icon", SVGUseElement);
  const tabIcon = linkToIcon();
  const lines = /** @type {const} */ (["headline", "cause", "todo", "mode"]).map((name) => ({
    name,
    element: byId(`verdict-${name}`, HTMLElement),
  }));

  return (state, fresh) => {
    const found = condition(state, fresh);
    const level = fresh.stale || state.status === null ? "UNKNOWN" : words.level(state.status.throttling_level);
    panel.dataset["level"] = level;
    if (panel.dataset["tone"] !== found.tone) {
      panel.dataset["tone"] = found.tone;
      icon.setAttribute("href", `#tone-${found.tone}`);
      tabIcon.href = address(...ICONS[found.tone]);
    }
    for (const { name, element } of lines) setText(element, found[name] || "\u00a0");
    const title = found.short === "" ? "Poolgate" : `${found.short} – Poolgate`;
    if (document.title !== title) document.title = title;
    return found;
  };
}

/** The page's link to its icon, by its kind: the release page keeps no other attribute of it. */
function linkToIcon() {
  const link = document.querySelector('link[rel="icon"]');
  if (link instanceof HTMLLinkElement) return link;
  throw new Error("the page has no link to its icon");
}

/**
 * @param {string} shape
 * @param {string} color
 */
function address(shape, color) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${shape.replaceAll("COLOR", color)}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
