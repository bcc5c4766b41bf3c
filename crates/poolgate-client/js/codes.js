// @ts-check
// Words as they cross the border to the module: as their places in these lists. The other side is `src/codes.rs`.

/** @type {import("./index.js").ThrottlingLevel[]} */
export const LEVELS = ["NORMAL", "MODERATE", "AGGRESSIVE", "EMERGENCY"];
/** @type {import("./index.js").Health[]} */
export const HEALTHS = ["HEALTHY", "DEGRADED", "CRITICAL"];
/** @type {import("./index.js").CircuitState[]} */
export const CIRCUITS = ["closed", "open", "half_open"];
export const PRIORITIES = ["low", "normal", "high", "critical"];

export const NORMAL = 1;
export const AGGRESSIVE = 2;

/** What the throttle tells; 0 is nothing. */
export const Event = { start: 1, reject: 2, level: 3, breaker: 4, stale: 5, ask: 6 };
/** Places of details. */
export const Detail = { subject: 0, reason: 1, retryAfter: 2, reading: 3 };
/** News without content. */
export const News = { noContact: 0, notFound: 1, headerMissing: 2, closed: 3 };
/** Why a request is rejected. */
export const Reason = { full: 0, timeout: 1, open: 2, closed: 3 };
/** What became of a request. */
export const Outcome = { success: 0, failure: 1, aborted: 2 };
/** What became of a config. */
export const Learned = { applied: 0, missed: 1, unchanged: 2, invalid: 3 };
