// @ts-check
// What a response says about the server. It may be of any class (a polyfill, another realm), or no response at all: so it
// is read by the names of its members, never by type, and what fails says nothing.

import { CONFIG_HEADER } from "./config.js";
import { olderQuota, tightest } from "./rate-limit.js";
import { isObject } from "./values.js";

/** What the types of problems begin with. */
export const PROBLEM = "https://iana.org/assignments/http-problem-types#";

/**
 * The status, 0 where there is none.
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
 * One header; `null` where there is none, as with `Headers.get`, or one that is no text.
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
 * What a head says: `config` is the header, `null` where there is none, `undefined` where there are no headers.
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

/** It comes from a cache on the way, so what it says is not news. @param {any} answer */
export function isCached(answer) {
  const age = headerOf(answer, "age");
  return age !== null && age.trim() !== "0";
}

/**
 * The body, parsed. @param {any} answer
 * @returns {Promise<any>}
 */
export async function jsonOf(answer) {
  return answer.json();
}

/**
 * `Retry-After` in milliseconds: seconds, the first of several that proxies have put together, or an HTTP date by the clock of
 * whoever says it; what is malformed is ignored.
 * @param {any} answer
 * @returns {number | undefined}
 */
export function retryAfterOf(answer) {
  const text = headerOf(answer, "retry-after")?.trim() ?? "";
  if (/^\d+(\.\d+)?(\s*,.*)?$/.test(text)) return parseFloat(text) * 1000;
  const wait = dateOf(text) - clockOf(answer);
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** The engine's parser takes almost anything for a date; HTTP's end in GMT, and some say UTC. @param {string} text */
const dateOf = (text) => (/ (GMT|UTC)$/.test(text) ? Date.parse(text) : NaN);

/** What time it is where the answer comes from; where it does not say so, here. @param {any} answer */
const clockOf = (answer) => dateOf(headerOf(answer, "date") ?? "") || Date.now();

/**
 * What an answer asks whoever sent the request to do, unless it comes from a cache.
 * @param {any} answer
 * @returns {{ retryAfterMs?: number, quota?: import("./rate-limit.js").Quota }}
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
 * The document of what may be a rejection by the gate, as far as the head says; a handler behind the gate may answer the
 * same. It is read from a clone: the app's own copy of the body stays unread.
 * @param {any} answer
 * @returns {Promise<any> | undefined}
 */
export function problemOf(answer) {
  if (![429, 503].includes(statusOf(answer)) || headerOf(answer, CONFIG_HEADER) === null || isCached(answer)) {
    return undefined;
  }
  if (!headerOf(answer, "content-type")?.startsWith("application/problem+json")) return undefined;
  try {
    return jsonOf(answer.clone()).catch(() => undefined);
  } catch {
    return undefined;
  }
}

/** Whether it is: the document has one of the gate's codes. @param {any} problem */
export function isTheGates(problem) {
  if (!isObject(problem)) return false;
  const { code, type } = problem;
  return typeof code === "string"
    ? ["database_unavailable", "quota_exceeded"].includes(code)
    : [`${PROBLEM}temporary-reduced-capacity`, `${PROBLEM}quota-exceeded`].includes(type);
}
