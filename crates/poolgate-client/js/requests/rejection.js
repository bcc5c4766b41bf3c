// @ts-check
// What a call that the throttle rejects gets: an error or, if the app prefers that, a response like the gate's.

import { DATABASE_UNAVAILABLE, PROBLEM_JSON, REDUCED_CAPACITY, Reason } from "../contract.js";
import { errorOf } from "./error-of.js";
import { isPoolgateError } from "./errors.js";

const TITLE = "Service Unavailable";

/** By `Reason`. */
const REJECTIONS = [
  ["queue_full", "too many requests are waiting already"],
  ["queue_timeout", "the request waited for its longest time"],
  ["circuit_open", "the database does not answer; requests are held back"],
  ["client_closed", "the client was closed while the request waited"],
];

/**
 * @param {number} reason one of `Reason`
 * @param {number} [retryAfterMs] infinite: unknown
 */
export function rejectionOf(reason, retryAfterMs = Infinity) {
  const [code, message] = REJECTIONS[reason];
  return errorOf(code, message, retryAfterMs < Infinity ? retryAfterMs : null);
}

/**
 * The rejection as a response, with the gate's problem document. Other errors are thrown again.
 * @param {any} error
 */
export function asAnswer(error) {
  if (!isPoolgateError(error)) throw error;
  const { code, message: detail, retryAfterMs } = error;
  const isOpen = code === REJECTIONS[Reason.open][0];
  const problem = {
    type: REDUCED_CAPACITY,
    title: TITLE,
    status: 503,
    detail,
    code: isOpen ? DATABASE_UNAVAILABLE : code,
  };
  const seconds = Math.max(1, Math.ceil((retryAfterMs ?? 1000) / 1000));
  return new Response(JSON.stringify(problem), {
    status: 503,
    statusText: TITLE,
    headers: { "content-type": PROBLEM_JSON, "retry-after": `${seconds}` },
  });
}
