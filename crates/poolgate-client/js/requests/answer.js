// @ts-check
// Reads what a response says about the server. A custom `fetch` may return a response of any class (a polyfill, another
// realm) or no response at all, so the members are read by name, and a member that cannot be read counts as missing.

import {
  CONFIG_HEADER,
  DATABASE_UNAVAILABLE,
  PROBLEM_JSON,
  QUOTA_EXCEEDED,
  QUOTA_EXCEEDED_TYPE,
  REDUCED_CAPACITY,
} from "../contract.js";
import { isObject } from "../host/classes.js";
import { olderQuota, tightest } from "./rate-limit.js";

/**
 * @typedef {object} Wishes what an answer asks the sender of the request to do
 * @property {number} [retryAfterMs]
 * @property {import("./rate-limit.js").Quota} [quota]
 */

/**
 * The status; 0 if there is none.
 * @param {any} answer
 * @returns {number}
 */
export function statusOf(answer) {
  try {
    return Number(answer.status) || 0;
  } catch {
    return 0;
  }
}

/**
 * One header; `null`, as from `Headers.get`, if there is none or it is not a text.
 * @param {any} answer
 * @param {string} name
 * @returns {string | null}
 */
export function headerOf(answer, name) {
  try {
    const text = answer.headers.get(name);
    return typeof text === "string" ? text : null;
  } catch {
    return null;
  }
}

/**
 * The status and the config header of a response: `null` if the header is missing, `undefined` if there are no headers.
 * @param {any} answer
 * @returns {{ status: number, config: string | null | undefined }}
 */
export function headOf(answer) {
  return { status: statusOf(answer), config: hasHeaders(answer) ? headerOf(answer, CONFIG_HEADER) : undefined };
}

/** @param {any} answer */
function hasHeaders(answer) {
  try {
    return isObject(answer) && isObject(answer.headers);
  } catch {
    return false;
  }
}

/** Whether it comes from a cache on the way, so that its headers are old. @param {any} answer */
export function isCached(answer) {
  const age = headerOf(answer, "age");
  return age !== null && age.trim() !== "0";
}

/**
 * @param {any} answer
 * @returns {Promise<any>}
 */
export async function jsonOf(answer) {
  return answer.json();
}

/**
 * `Retry-After` in milliseconds: a number of seconds (the first one, if proxies have joined several) or an HTTP date by the
 * sender's clock. A malformed value is ignored.
 * @param {any} answer
 * @returns {number | undefined}
 */
export function retryAfterOf(answer) {
  const text = headerOf(answer, "retry-after")?.trim() ?? "";
  if (/^\d+(\.\d+)?(\s*,.*)?$/.test(text)) return parseFloat(text) * 1000;
  const wait = dateOf(text) - clockOf(answer);
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** `Date.parse` accepts almost any text; HTTP dates end in GMT, and some servers write UTC. @param {string} text */
const dateOf = (text) => (/ (GMT|UTC)$/.test(text) ? Date.parse(text) : NaN);

/** The sender's time; the local time if the answer has no date. @param {any} answer */
const clockOf = (answer) => dateOf(headerOf(answer, "date") ?? "") || Date.now();

/**
 * What an answer asks the sender of the request to do; nothing if it comes from a cache.
 * @param {any} answer
 * @returns {Wishes}
 */
export function wishesOf(answer) {
  if (isCached(answer)) return {};
  const field = (/** @type {string} */ name) => headerOf(answer, name) ?? "";
  return {
    retryAfterMs: [413, 429, 503].includes(statusOf(answer)) ? retryAfterOf(answer) : undefined,
    quota: tightest(field("ratelimit"), field("ratelimit-policy")) ?? olderQuota(field, clockOf(answer)),
  };
}

/**
 * The document of a response whose head looks like a rejection by the gate; a handler behind the gate may send the same head.
 * It is read from a clone, so the app's own body stays unread.
 * @param {any} answer
 * @returns {Promise<any> | undefined}
 */
export function problemOf(answer) {
  if (![429, 503].includes(statusOf(answer)) || headerOf(answer, CONFIG_HEADER) === null || isCached(answer)) {
    return undefined;
  }
  if (!headerOf(answer, "content-type")?.startsWith(PROBLEM_JSON)) return undefined;
  try {
    return jsonOf(answer.clone()).catch(() => undefined);
  } catch {
    return undefined;
  }
}

/** Whether a problem document has one of the gate's codes. @param {any} problem */
export function isTheGates(problem) {
  if (!isObject(problem)) return false;
  const { code, type } = problem;
  return typeof code === "string"
    ? [DATABASE_UNAVAILABLE, QUOTA_EXCEEDED].includes(code)
    : [REDUCED_CAPACITY, QUOTA_EXCEEDED_TYPE].includes(type);
}
