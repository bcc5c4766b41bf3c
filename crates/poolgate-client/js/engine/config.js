// @ts-check
// Reads the server's config documents and headers. Malformed ones are ignored here; the module checks the ranges.

import { isObject } from "../host/classes.js";

const MAX_U32 = 0xffff_ffff;

/**
 * @typedef {import("../index.js").ThrottlingConfig} Config
 * @typedef {{ epoch: number, version: number }} Version
 * @typedef {Version & { level: string, interval?: number, concurrency: number, open: boolean }} Header
 */

/**
 * Whether a value has the two members that order configs.
 * @param {any} raw
 * @returns {raw is Version}
 */
export const isVersion = (raw) => isObject(raw) && isLarge(raw.epoch) && isLarge(raw.version);

/**
 * Whether a value is a config document, judged by the types of its members.
 * @param {any} raw
 * @returns {raw is Config}
 */
export function isConfig(raw) {
  if (!isVersion(raw)) return false;
  const config = /** @type {Config} */ (raw);
  return (
    isText(config.throttling_level) &&
    isText(config.health) &&
    isText(config.reason) &&
    [config.circuit_breaker_open, config.emergency_mode_active, config.enforced].every(isFlag) &&
    [config.max_concurrent_requests, config.max_requests_per_minute, config.request_delay_ms].every(isSmall) &&
    [config.poll_after_seconds, config.ttl_seconds, config.retry_after_seconds ?? 0].every(isSmall) &&
    [config.fair_rate_per_second ?? 0, config.probe_fraction ?? 0].every((number) => typeof number === "number")
  );
}

/**
 * The time within which a heartbeat or a goodbye asks clients to come back.
 * @param {any} raw
 * @returns {number | undefined} milliseconds
 */
export const returnWithin = (raw) => (isSmall(raw?.return_within_ms) ? raw.return_within_ms : undefined);

/**
 * The code of a word of the contract; a word of a newer version counts as the most severe one.
 * @param {readonly string[]} words from the least severe to the most severe
 * @param {string} word
 */
export function codeIn(words, word) {
  const code = words.indexOf(word);
  return code < 0 ? words.length - 1 : code;
}

/**
 * Reads the `Poolgate-Config` header, an RFC 9651 dictionary: members come in any order, the last one of a name wins, unknown
 * members and parameters are ignored.
 * @param {string} text
 * @returns {Header | undefined}
 */
export function readHeader(text) {
  const members = new Map(
    text.split(",").map((member) => {
      const [, name, value = "?1"] = /** @type {string[]} */ (/^\s*([^=]*?)(?:=(.*?))?\s*$/s.exec(member));
      return [name, value.split(";")[0].trimEnd()];
    }),
  );
  const number = (/** @type {string} */ name) => (/^\d+$/.test(members.get(name) ?? "") ? Number(members.get(name)) : -1);
  const [epoch, version, concurrency] = ["e", "v", "concurrency"].map(number);
  const interval = members.has("interval") ? number("interval") : undefined;
  const [level, open] = [members.get("level"), members.get("open")];
  const isRead = isLarge(epoch) && isLarge(version) && isSmall(concurrency) && isSmall(interval ?? 0);
  if (!isRead || level === undefined || (open !== "?0" && open !== "?1")) return undefined;
  return { epoch, version, level, interval, concurrency, open: open === "?1" };
}

/**
 * Whether a value is a whole number within a range.
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @returns {value is number}
 */
export const isWhole = (value, least, most) =>
  Number.isInteger(value) && Number(value) >= least && Number(value) <= most;

/** @param {unknown} value */
const isText = (value) => typeof value === "string";
/** @param {unknown} value */
const isFlag = (value) => typeof value === "boolean";
/** @param {unknown} value */
const isSmall = (value) => isWhole(value, 0, MAX_U32);
/** @param {unknown} value */
const isLarge = (value) => isWhole(value, 0, Number.MAX_SAFE_INTEGER);
