// @ts-check
// What a response says about the server. It may be of any class (a polyfill, another realm), or no response at all: so it
// is read by the names of its members, never by type, and what fails says nothing.

import { CONFIG_HEADER } from "./config.js";
import { tightest } from "./rate-limit.js";
import { isObject } from "./values.js";

const PROBLEM = "https://iana.org/assignments/http-problem-types#";

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
 * One header; `null` where there is none, as with `Headers.get`.
 * @param {any} answer
 * @param {string} name
 * @returns {string | null}
 */
export function headerOf(answer, name) {
  try {
    return answer.headers.get(name) ?? null;
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
  const hasHeaders = isObject(answer) && isObject(answer.headers);
  return { status: statusOf(answer), config: hasHeaders ? headerOf(answer, CONFIG_HEADER) : undefined };
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
 * `Retry-After` in milliseconds: seconds, or an HTTP date; what is malformed is ignored.
 * @param {any} answer
 * @returns {number | undefined}
 */
export function retryAfterOf(answer) {
  const text = headerOf(answer, "retry-after")?.trim() ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  // The engine's parser takes almost anything for a date; HTTP's end in GMT.
  const date = text.endsWith(" GMT") ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/**
 * What an answer asks whoever sent the request to do, unless it comes from a cache.
 * @param {any} answer
 * @returns {{ retryAfterMs?: number, quota?: import("./rate-limit.js").Quota }}
 */
export function wishesOf(answer) {
  if (isCached(answer)) return {};
  const limit = headerOf(answer, "ratelimit");
  return {
    retryAfterMs: [413, 429, 503].includes(statusOf(answer)) ? retryAfterOf(answer) : undefined,
    quota: limit === null ? undefined : tightest(limit, headerOf(answer, "ratelimit-policy") ?? ""),
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
