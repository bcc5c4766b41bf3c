// @ts-check
// What the page and the server agree on.
// Written by `cargo xtask contract` from the Rust types. Do not edit.

// Paths of the server.
export const STATUS = "/api/v1/health/database/status";
export const THROTTLING_CONFIG = "/api/v1/health/database/throttling-config";
export const HISTORY = "/api/v1/health/database/history";
export const ACTIVITY = "/api/v1/health/database/activity";
export const EVENTS = "/api/v1/health/database/events";
export const FORCE_CLEANUP = "/api/v1/health/database/force-cleanup";
export const LAB_LOAD = "/api/v1/lab/load";
export const LAB_HOLD = "/api/v1/lab/hold";
export const SHOP_PREFIX = "/api/v1/shop";

// Times in milliseconds; crates/poolgate-types/src/timing.rs explains them.
export const SILENCE_ENFORCED_MS = 15000;
export const RETRY_MS = 1000;
export const LONGEST_RETRY_MS = 30000;
export const ANSWER_TIMEOUT_MS = 10000;
