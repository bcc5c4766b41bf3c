// @ts-check
// What the server says about its config: documents and headers, checked before the module sees them. What is malformed is
// ignored; ranges are the module's matter.

import { HEALTHS, LEVELS } from "./codes.js";
import { isObject, isWhole } from "./values.js";

/** Name of the header. */
export const CONFIG_HEADER = "poolgate-config";

const MOST = 0xffff_ffff;

/**
 * @typedef {import("./index.js").ThrottlingConfig} Config
 * @typedef {{ epoch: number, version: number }} Version
 * @typedef {Version & { level: string, interval?: number, concurrency: number, open: boolean }} Header
 */

/**
 * Whether these two members order configs.
 * @param {any} raw
 * @returns {raw is Version}
 */
export const isVersion = (raw) => isObject(raw) && isLarge(raw.epoch) && isLarge(raw.version);

/**
 * Whether it is a config document, as far as types go.
 * @param {any} raw
 * @returns {raw is Config}
 */
export function isConfig(raw) {
  if (!isVersion(raw)) return false;
  const config = /** @type {Config} */ (raw);
  return (
    isText(config.throttling_level) &&
    isText(config.reason) &&
    HEALTHS.includes(config.health) &&
    [config.circuit_breaker_open, config.emergency_mode_active, config.enforced].every(isFlag) &&
    [config.max_concurrent_requests, config.max_requests_per_minute, config.request_delay_ms].every(isSmall) &&
    [config.poll_after_seconds, config.ttl_seconds, config.retry_after_seconds ?? 0].every(isSmall) &&
    [config.fair_rate_per_second ?? 0, config.probe_fraction ?? 0].every((number) => typeof number === "number")
  );
}

/**
 * What a heartbeat or a goodbye says about coming back.
 * @param {any} raw
 * @returns {number | undefined} milliseconds
 */
export const returnWithin = (raw) => (isSmall(raw?.return_within_ms) ? raw.return_within_ms : undefined);

/** A level's code; a word that is not known counts as the last one. @param {string} word */
export const levelOf = (word) => LEVELS.indexOf(/** @type {any} */ (word)) & (LEVELS.length - 1);

/**
 * The `Poolgate-Config` header, an RFC 9651 dictionary: members may come in any order, the last of a name wins, and what is
 * not known, parameters included, is ignored.
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

/** @param {unknown} value */
const isText = (value) => typeof value === "string";
/** @param {unknown} value */
const isFlag = (value) => typeof value === "boolean";
/** @param {unknown} value */
const isSmall = (value) => isWhole(value, 0, MOST);
/** @param {unknown} value */
const isLarge = (value) => isWhole(value, 0, Number.MAX_SAFE_INTEGER);
