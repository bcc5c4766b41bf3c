// The routes that the page itself calls. Requests of the panel "This browser" (generator.js) go through the package's
// client instead.

/** @import { CleanupReport, LoadReport, LoadRequest, Problem, Status, ThrottlingConfig } from "../types/wire.js" */

const DATABASE = "/api/v1/health/database";

export const ROUTES = {
  status: `${DATABASE}/status`,
  config: `${DATABASE}/throttling-config`,
  events: `${DATABASE}/events`,
  cleanup: `${DATABASE}/force-cleanup`,
  load: "/api/v1/lab/load",
  hold: "/api/v1/lab/hold",
  shop: "/api/v1/shop",
};

/** Time limit for an answer, in milliseconds. */
const DEADLINE_MS = 10_000;

/** A call answered with a problem or with an unreadable body. */
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
  const response = await send(ROUTES.status);
  const body = await json(response);
  if (isStatus(body)) return body;
  throw problemOf(response, body);
}

/** @returns {Promise<ThrottlingConfig>} */
export function fetchConfig() {
  return call(ROUTES.config);
}

/** @returns {Promise<CleanupReport>} */
export function forceCleanup() {
  return call(ROUTES.cleanup, { method: "POST" });
}

/** @returns {Promise<LoadReport>} */
export function fetchLoad() {
  return call(ROUTES.load);
}

/**
 * @param {LoadRequest} request
 * @returns {Promise<LoadReport>}
 */
export function startLoad(request) {
  return call(ROUTES.load, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
}

/** @returns {Promise<LoadReport>} */
export function stopLoad() {
  return call(ROUTES.load, { method: "DELETE" });
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
    signal: AbortSignal.timeout(DEADLINE_MS),
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
