// @ts-check
// What a call that must wait keeps: the arguments as native `fetch` would have read them at the moment of the call.
//
// An app may change a URL, a header list or a buffer after it has called `fetch`, or navigate and so give a relative
// address another meaning; none of it may reach a request that starts later.

import { urlOf } from "./scope.js";
import { isObject, isRequest } from "./values.js";

/** Members that native `fetch` reads even where they are inherited, as those of a `Request` used as `init` are. */
export const MEMBERS = [
  "method",
  "headers",
  "body",
  "referrer",
  "referrerPolicy",
  "mode",
  "credentials",
  "cache",
  "redirect",
  "integrity",
  "keepalive",
  "signal",
  "duplex",
  "priority",
];

/** Sending these twice does no more than sending them once (RFC 9110, 9.2.2). */
const IDEMPOTENT = /^(get|head|options|put|delete)$/i;

/** Arguments for the host's `fetch`, independent of everything that the app still holds. */
export class Snapshot {
  #input;
  #init;
  /** Nobody else may read a stream that is the body of a call, whether that waits or not. */
  #lock;

  /**
   * Throws what the platform says to wrong arguments, or what a getter threw.
   * @param {any} input
   * @param {any} init
   */
  constructor(input, init) {
    this.#init = isObject(init) ? copyInit(init) : init;
    if (isRequest(input)) {
      this.#input = new Request(input, this.#init);
      if (isObject(init)) {
        // Header list and body are in the request now, with the content type that belongs to the body.
        for (const name of ["headers", "body", "duplex"]) delete this.#init[name];
      }
    } else {
      this.#input = urlOf(input)?.href ?? input;
      judge(this.#input, this.#init);
      const body = this.#init?.body;
      if (isStream(body)) this.#lock = body.getReader();
    }
  }

  /**
   * The arguments, for the host. What has a body that can be used up, or a stream, can be sent once.
   * @returns {[any, any]}
   */
  arguments() {
    this.release();
    return [this.#input, this.#init];
  }

  /** The call ends without a request: a stream of the app's is the app's again. */
  release() {
    this.#lock?.releaseLock();
    this.#lock = undefined;
  }

  /**
   * The call was aborted: nobody will read its body, and a stream is told.
   * @param {unknown} reason
   */
  cancel(reason) {
    if (this.#lock) {
      forget(this.#lock.cancel(reason));
      this.release();
    } else {
      cancelBody(this.#input, reason);
    }
  }

  /** Sending it twice does no more than sending it once, and it has no body that would be used up. */
  get isRepeatable() {
    const plain = typeof this.#input === "string";
    const method = this.#init?.method ?? this.#input.method ?? "GET";
    const body = plain ? this.#init?.body ?? null : this.#input.body;
    // A platform that does not say whether a Request has a body: then it may.
    return IDEMPOTENT.test(method) && (body === null || /^(get|head)$/i.test(method));
  }

  /** The request may outlive its page. */
  get isKeepalive() {
    return Boolean(this.#init?.keepalive || this.#input.keepalive);
  }
}

/**
 * Fails as native fetch would with these arguments. The body is not read, a stream not even locked.
 * @param {any} input
 * @param {any} init
 */
export function judge(input, init) {
  new Request(input, init);
}

/**
 * Tells the body of a request or a response that nobody wants it.
 * @param {any} owner
 * @param {unknown} [reason]
 */
export function cancelBody(owner, reason) {
  if (isStream(owner?.body)) forget(owner.body.cancel(reason));
}

/** What a stream says to its end is nobody's business, as in native fetch. @param {Promise<unknown>} cancelled */
function forget(cancelled) {
  cancelled.catch(() => {});
}

/** @param {unknown} value @returns {value is ReadableStream} */
const isStream = (value) => value instanceof ReadableStream;

/** @param {any} init */
function copyInit(init) {
  const copy = Object.assign({}, init);
  for (const name of MEMBERS) {
    if (!Object.hasOwn(copy, name)) {
      const value = init[name];
      if (value !== undefined) copy[name] = value;
    }
  }
  // A list, a record or `Headers`: the constructor reads them all, and refuses what fetch refuses.
  if (copy.headers !== undefined) copy.headers = new Headers(copy.headers);
  if (copy.body !== undefined) copy.body = copyBody(copy.body);
  return copy;
}

/** Copies what can change; strings and blobs cannot, and a stream is taken over as it is. @param {any} body */
function copyBody(body) {
  if (body instanceof ArrayBuffer) return body.slice(0);
  // What is shared with others fetch refuses.
  if (ArrayBuffer.isView(body) && body.buffer instanceof ArrayBuffer) {
    return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  }
  if (body instanceof URLSearchParams) return new URLSearchParams(body);
  if (!(body instanceof FormData)) return body;
  const copy = new FormData();
  for (const [name, value] of body) copy.append(name, value);
  return copy;
}
