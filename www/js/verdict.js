// The verdict: one sentence about the state and two about its causes.

import { byId, setText } from "./dom.js";
import * as format from "./format.js";
import * as words from "./words.js";

/** @import { State } from "./state.js" */

/** @returns {(state: State, fresh: { stale: boolean, seconds: number }) => void} */
export function verdictPanel() {
  const panel = byId("verdict", HTMLElement);
  const line = byId("verdict-line", HTMLElement);
  const reason = byId("verdict-reason", HTMLElement);
  const breaker = byId("verdict-breaker", HTMLElement);
  const icon = byId("verdict-icon", SVGUseElement);

  /**
   * @param {string} level
   * @param {[string, string, string]} sentences
   */
  const show = (level, [first, second, third]) => {
    if (panel.dataset["level"] !== level) {
      panel.dataset["level"] = level;
      icon.setAttribute("href", `#level-${level.toLowerCase()}`);
    }
    setText(line, first);
    setText(reason, second);
    setText(breaker, third);
  };

  return (state, fresh) => {
    const { status } = state;
    if (fresh.stale) {
      const last = status === null ? "" : `${words.verdict(status, state.since)}.`;
      const seen =
        status === null
          ? ""
          : `The figures below are the last it sent, at ${format.clock(status.sampled_at)}.`;
      show("UNKNOWN", [`No contact with the server for ${format.duration(fresh.seconds)}`, seen, last]);
    } else if (status !== null) {
      show(words.level(status.throttling_level), [
        words.verdict(status, state.since),
        words.reason(state.config),
        words.breaker(status.circuit_breaker),
      ]);
    }
  };
}
