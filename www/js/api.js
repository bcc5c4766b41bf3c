// The routes that the page itself calls. Requests of the panel "This browser" (generator.js) go through the package's
// client instead.

/** @import { Activity, CleanupReport, History, LoadReport, LoadRequest, Problem, Status, ThrottlingConfig } from "../types/wire.js" */

import { ACTIVITY, ANSWER_TIMEOUT_MS, FORCE_CLEANUP, HISTORY, LAB_LOAD, STATUS, THROTTLING_CONFIG } from "./contract.js";

/** A call that was answered with a problem, or with an answer that cannot be read. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status
   * @param {string} message for people
   * @param {Problem | null} problem
   */
  constructor(status, message, problem) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
  }
}

/**
 * The status document. A database that does not answer gives 503 with the same members, which is no error here.
 * @returns {Promise<Status>}
 */
export async function fetchStatus() {
  const response = await send(STATUS);
  const body = await json(response);
  if (isStatus(body)) return body;
  throw problemOf(response, body);
}

/**
 * @param {number} [seconds] how far back; from 900 on in steps of half a minute. Default: a quarter of an hour
 * @returns {Promise<History>}
 */
export function fetchHistory(seconds) {
  return call(seconds === undefined ? HISTORY : `${HISTORY}?seconds=${seconds}`);
}

/** @returns {Promise<ThrottlingConfig>} */
export function fetchConfig() {
  return call(THROTTLING_CONFIG);
}

/** @returns {Promise<Activity>} */
export function fetchActivity() {
  return call(ACTIVITY);
}

/**
 * @param {string} token the admin token; empty for the steps that need none
 * @returns {Promise<CleanupReport>}
 */
export function forceCleanup(token) {
  const headers = token === "" ? undefined : { authorization: `Bearer ${token}` };
  return call(FORCE_CLEANUP, { method: "POST", ...(headers && { headers }) });
}

/**
 * Why a call failed, for people.
 * @param {unknown} error
 */
export function inWords(error) {
  if (error instanceof ApiError) {
    if (error.status === 401) return "Sign-in required: the server, or a proxy in front of it, answers 401.";
    if (error.status === 403) return "Access refused: the server, or a proxy in front of it, answers 403.";
    return error.problem === null ? `The server answers ${error.status}.` : error.message;
  }
  const isLate = error instanceof DOMException && error.name === "TimeoutError";
  return isLate ? "The server does not answer in time." : "The server cannot be reached.";
}

/** @returns {Promise<LoadReport>} */
export function fetchLoad() {
  return call(LAB_LOAD);
}

/**
 * @param {LoadRequest} request
 * @returns {Promise<LoadReport>}
 */
export function startLoad(request) {
  return call(LAB_LOAD, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
}

/** @returns {Promise<LoadReport>} */
export function stopLoad() {
  return call(LAB_LOAD, { method: "DELETE" });
}

/**
 * Whether a document is a status: checks the members that the page needs.
 * @param {any} body
 * @returns {body is Status}
 */
export function isStatus(body) {
  return (
    typeof body?.throttling_level === "string" &&
    Number.isFinite(body.pool?.capacity) &&
    (body.gate === null || Number.isFinite(body.gate?.max_concurrent_requests)) &&
    typeof body.performance === "object" &&
    Array.isArray(body.alerts) &&
    !Number.isNaN(Date.parse(body.sampled_at))
  );
}

/**
 * Whether a document is a config: checks the members that the page needs.
 * @param {any} body
 * @returns {body is ThrottlingConfig}
 */
export function isConfig(body) {
  return (
    typeof body?.throttling_level === "string" &&
    typeof body.enforced === "boolean" &&
    Number.isFinite(body.version) &&
    Number.isFinite(body.max_concurrent_requests)
  );
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function call(path, init) {
  const response = await send(path, init);
  const body = await json(response);
  if (!response.ok) throw problemOf(response, body);
  return body;
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
function send(path, init) {
  // High priority: a click on Stop must not queue behind this browser's own load on its six connections.
  return fetch(path, {
    cache: "no-store",
    priority: "high",
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    ...init,
  });
}

/**
 * @param {Response} response
 * @returns {Promise<any>} null when the body is not JSON
 */
async function json(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

/**
 * @param {Response} response
 * @param {any} body
 */
function problemOf(response, body) {
  const problem = typeof body?.title === "string" ? /** @type {Problem} */ (body) : null;
  const words = problem === null ? `answered ${response.status}` : problem.detail || problem.title;
  return new ApiError(response.status, words, problem);
}
