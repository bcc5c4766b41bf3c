// The last fifteen minutes as a band of levels, with the share of each level.

import { byId, create, setText } from "./dom.js";
import * as format from "./format.js";
import { SPAN_SECONDS } from "./history.js";
import { LEVELS } from "./words.js";

/** @import { State } from "./state.js" */

/** @returns {(state: State) => void} */
export function levelStrip() {
  const strip = byId("strip", HTMLElement);
  const shares = LEVELS.map((level) => {
    const share = create("b", "", format.UNKNOWN);
    const swatch = create("i", "swatch");
    swatch.dataset["level"] = level;
    byId("shares", HTMLElement).append(create("li", "", swatch, level, " ", share));
    return share;
  });

  return (state) => {
    const percent = state.levelShares();
    const texts = LEVELS.map((_, index) => format.share(percent?.[index]));
    shares.forEach((share, index) => setText(share, texts[index] ?? ""));
    strip.setAttribute(
      "aria-label",
      `Level over the last 15 minutes: ${LEVELS.map((level, index) => `${level} ${texts[index]}`).join(
        ", ",
      )}`,
    );
    drawRuns(strip, state);
  };
}

/**
 * One element per period; they are reused, since most periods only grow.
 * @param {HTMLElement} strip
 * @param {State} state
 */
function drawRuns(strip, { history }) {
  const runs = history.runs("level").filter(({ value }) => value !== null);
  while (strip.childElementCount < runs.length) strip.append(create("i", "run"));
  while (strip.childElementCount > runs.length) strip.lastElementChild?.remove();
  const from = (history.newest ?? 0) - SPAN_SECONDS + 1;
  runs.forEach(({ value, begin, end }, index) => {
    const run = /** @type {HTMLElement} */ (strip.children[index]);
    const level = LEVELS[value ?? 0] ?? "EMERGENCY";
    run.dataset["level"] = level;
    run.style.left = `${(begin / SPAN_SECONDS) * 100}%`;
    run.style.width = `${((end - begin) / SPAN_SECONDS) * 100}%`;
    run.title = `${level} ${format.clock((from + begin) * 1000)} to ${format.clock((from + end) * 1000)}`;
  });
}
