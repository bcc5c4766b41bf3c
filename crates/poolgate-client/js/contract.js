// @ts-check
// What the client, its module and the server agree on.
// Written by `cargo xtask contract` from the Rust types. Do not edit.

// Paths of the server, and its header.
export const HEALTH_PREFIX = "/api/v1/health/";
export const THROTTLING_CONFIG = "/api/v1/health/database/throttling-config";
export const EVENTS = "/api/v1/health/database/events";
export const FORCE_CLEANUP = "/api/v1/health/database/force-cleanup";
export const CONFIG_HEADER = "poolgate-config";

// Problem documents of the gate.
export const PROBLEM_JSON = "application/problem+json";
export const REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
export const QUOTA_EXCEEDED_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded";
export const DATABASE_UNAVAILABLE = "database_unavailable";
export const QUOTA_EXCEEDED = "quota_exceeded";

// Times in milliseconds; crates/poolgate-types/src/timing.rs explains them.
export const POLL_MS = 30000;
export const HEARTBEAT_MS = 15000;
export const SILENCE_ENFORCED_MS = 15000;
export const SILENCE_MS = 45000;
export const RETURN_WITHIN_MS = 2500;
export const LEAST_RETURN_MS = 500;
export const LONGEST_RETURN_MS = 600000;
export const RETRY_MS = 1000;
export const LONGEST_RETRY_MS = 30000;
export const ANSWER_TIMEOUT_MS = 10000;

// Words whose places in these lists are their codes in the module.
/** @type {import("./wire.js").ThrottlingLevel[]} */
export const LEVELS = ["NORMAL", "MODERATE", "AGGRESSIVE", "EMERGENCY"];
/** @type {import("./wire.js").Health[]} */
export const HEALTHS = ["HEALTHY", "DEGRADED", "CRITICAL"];
/** @type {import("./wire.js").CircuitState[]} */
export const CIRCUITS = ["closed", "open", "half_open"];
export const PRIORITIES = ["low", "normal", "high", "critical"];
export const NORMAL = 1;
export const AGGRESSIVE = 2;

// Codes of the module.
/** What the throttle tells; 0 is nothing. */
export const Event = { start: 1, reject: 2, level: 3, breaker: 4, stale: 5, ask: 6, other: 7 };
/** Places of the details. */
export const Detail = { subject: 0, reason: 1, retryAfter: 2, reading: 3 };
/** News without content. */
export const News = { noContact: 0, notFound: 1, headerMissing: 2, closed: 3 };
/** Why a request is rejected. */
export const Reason = { full: 0, timeout: 1, open: 2, closed: 3 };
/** How a request has ended. */
export const Outcome = { success: 0, failure: 1, aborted: 2 };
/** What became of news. */
export const Learned = { applied: 0, missed: 1, unchanged: 2, invalid: 3 };
