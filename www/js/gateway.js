// The app behind a gateway, and what goes through to it.

import { byId, definitionList, explain } from "./dom.js";
import * as format from "./format.js";

/** @import { GatewayStatus } from "../types/wire.js" */
/** @import { State } from "./state.js" */

const ROWS = [
  { key: "upstream", name: "App", title: "Where the app listens (upstream.url)" },
  { key: "trouble", name: "State", title: "Whether the app can be used, and if not, why" },
  { key: "answered", name: "Answered", title: "Requests since the start that the app has answered, with any status" },
  { key: "failed", name: "Not answered", title: "Requests since the start that the app failed to answer: their clients got 502 or 504" },
  { key: "failure", name: "Last failure", title: "How the app failed to answer last, as in the answer's Proxy-Status" },
  { key: "streams", name: "Streams", title: "Open event streams and WebSockets; they hold no permit of the gate" },
  { key: "buffered", name: "Buffered", title: "Answers that were taken from the app and wait for slow readers" },
  { key: "lingering", name: "Left behind", title: "Permits that stay with the app's work for clients that have left" },
];

/** The panel is shown while the server is a gateway. @returns {(state: State) => void} */
export function gatewayPanel() {
  const panel = byId("gateway-panel", HTMLElement);
  const show = definitionList(byId("gateway", HTMLElement), ROWS);
  explain(byId("gateway-meaning", HTMLElement), ROWS);
  return ({ status }) => {
    const gateway = status?.gateway ?? null;
    panel.hidden = gateway === null;
    if (gateway !== null) show(figures(gateway));
  };
}

/** @param {GatewayStatus} gateway */
function figures({ upstream, trouble, answered_total, failed_total, last_failure, streams, max_streams, buffered_bytes, lingering_permits }) {
  return {
    upstream,
    trouble: trouble ?? "can be used",
    answered: format.count(answered_total),
    failed: format.count(failed_total),
    failure: last_failure === null ? "none" : `${last_failure.kind}, ${format.minutes(last_failure.seconds_ago)} ago`,
    streams: `${format.count(streams)} of at most ${format.count(max_streams)}`,
    buffered: format.bytes(buffered_bytes),
    lingering: format.plural(lingering_permits, "permit"),
  };
}
