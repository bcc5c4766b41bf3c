// @ts-check
// The arguments of a call that must wait, as native `fetch` would have read them at the moment of the call.
//
// An app may change a URL, a header list or a buffer after the call, or navigate and so change what a relative address means.
// None of this may affect a request that starts later.

import { isA, isForeignRequest, isObject, isRequest } from "../host/classes.js";
import { baseAddress, urlOf } from "./scope.js";

/** Members that native `fetch` reads even if they are inherited, as those of a `Request` that is used as `init` are. */
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
  // `dispatcher` is Node's.
  "dispatcher",
  "window",
];

/** Idempotent methods (RFC 9110, 9.2.2). */
const IDEMPOTENT = /^(get|head|options|put|delete)$/i;

/** Assumed size of a body whose size the platform does not tell, in bytes. */
const UNKNOWN_SIZE = 65_536;

/** Arguments for the host's `fetch` that the app cannot change any more. */
export class Snapshot {
  #input;
  #init;
  /** Locks a stream that is the body, as native `fetch` does at once. */
  #lock;

  /**
   * Throws the platform's error for wrong arguments, or what a getter threw.
   * @param {any} input
   * @param {any} init
   */
  constructor(input, init) {
    this.#init = isObject(init) ? copyInit(init) : init;
    if (isRequest(input)) {
      this.#input = new Request(input, this.#init);
      if (isObject(init)) {
        // The request has the headers and the body now, with the content type that belongs to the body.
        for (const name of ["headers", "body", "duplex"]) delete this.#init[name];
      }
      const { referrer, referrerPolicy } = this.#input;
      if (referrer === "about:client") this.#init = addReferrer({ ...this.#init, referrerPolicy });
    } else if (!(input instanceof URL) && isForeignRequest(input)) {
      this.#input = input;
    } else {
      this.#input = urlOf(input)?.href ?? input;
      this.#init = addReferrer(this.#init);
      judge(this.#input, this.#init);
      const body = this.#init?.body;
      if (isStream(body)) this.#lock = body.getReader();
    }
  }

  /**
   * The arguments for the host. A body that is a stream, or a Request with a body, can be sent once.
   * @returns {[any, any]}
   */
  arguments() {
    this.release();
    return [this.#input, this.#init];
  }

  /** The call ends without a request: the app may use its stream again. */
  release() {
    this.#lock?.releaseLock();
    this.#lock = undefined;
  }

  /**
   * The call was aborted: cancels its stream.
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

  /** Whether it can be sent again: the method is idempotent, and there is no body that the first attempt has used up. */
  get isRepeatable() {
    const plain = typeof this.#input === "string";
    const method = this.#init?.method ?? this.#input.method ?? "GET";
    const body = plain ? this.#init?.body ?? null : this.#input.body;
    // Some platforms do not say whether a Request has a body; then it may have one.
    return IDEMPOTENT.test(method) && (body === null || /^(get|head)$/i.test(method));
  }

  /** Approximate size of the body in bytes. */
  get size() {
    if (typeof this.#input !== "string") return this.#input.body ? UNKNOWN_SIZE : 0;
    const body = this.#init?.body ?? "";
    // `Blob` accepts texts, bytes and other blobs.
    return isStream(body) || isA("FormData", "has", body) ? UNKNOWN_SIZE : new Blob([body]).size;
  }

  /** The request may outlive its page. */
  get isKeepalive() {
    return Boolean(this.#init?.keepalive || this.#input.keepalive);
  }
}

/**
 * Throws what native fetch would throw for these arguments, without reading the body or locking a stream.
 * @param {any} input
 * @param {any} init
 */
function judge(input, init) {
  if (!isObject(init)) return void new Request(input, init);
  const judged = { ...init };
  // In Node each Request listens to its signal until it is collected.
  if (typeof judged.signal?.aborted === "boolean") delete judged.signal;
  // The host must be the only one to ask for its iterator.
  if (isIterable(judged.body)) judged.body = "";
  new Request(input, judged);
}

/**
 * Cancels the body of a request or a response.
 * @param {any} owner
 * @param {unknown} [reason]
 */
export function cancelBody(owner, reason) {
  if (isStream(owner?.body)) forget(owner.body.cancel(reason));
}

/** Ignores a stream's error when it is cancelled, as native fetch does. @param {Promise<unknown>} cancelled */
function forget(cancelled) {
  cancelled.catch(() => {});
}

/** @param {unknown} value @returns {value is ReadableStream} */
const isStream = (value) => isA("ReadableStream", "locked", value);

/** An async iterable, which Node accepts as a body, but not a stream. @param {any} value */
const isIterable = (value) => isObject(value) && Symbol.asyncIterator in value && !isStream(value);

/**
 * Fixes the referrer: by default the page that makes the call, even if another one is shown when the request starts. A
 * relative referrer is resolved against this page.
 * @param {any} init
 */
function addReferrer(init) {
  const { document } = globalThis;
  const { referrer = "about:client" } = init ?? {};
  if (!document || !referrer || !isObject(init ?? {})) return init;
  try {
    return { ...init, referrer: referrer === "about:client" ? document.URL : new URL(referrer, baseAddress()).href };
  } catch {
    return init;
  }
}

/** @param {any} init */
function copyInit(init) {
  const copy = Object.assign({}, init);
  for (const name of MEMBERS) {
    if (!Object.hasOwn(copy, name)) {
      const value = init[name];
      if (value !== undefined) copy[name] = value;
    }
  }
  if (isObject(copy.headers)) copy.headers = copyHeaders(copy.headers);
  if (isObject(copy.body)) copy.body = copyBody(copy.body);
  return copy;
}

/**
 * A list of pairs, because `Headers` changes the case of the names.
 * @param {any} headers a list, a record or `Headers`
 */
function copyHeaders(headers) {
  const pairs = typeof headers[Symbol.iterator] === "function" ? headers : Object.entries(headers);
  return Array.from(pairs, (pair) => Array.from(pair, (text) => `${text}`));
}

/** Copies a body that can change; strings and blobs cannot, and a stream stays as it is. @param {any} body */
function copyBody(body) {
  const isBuffer = (/** @type {unknown} */ value) => isA("ArrayBuffer", "byteLength", value);
  if (isBuffer(body)) return body.slice(0);
  // The host's fetch refuses shared memory.
  if (ArrayBuffer.isView(body) && isBuffer(body.buffer)) {
    return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  }
  if (isA("URLSearchParams", "has", body)) return new URLSearchParams(String(body));
  if (!isA("FormData", "has", body)) {
    // The host's fetch converts any other object to a text. Libraries have bodies of their own, for their own fetch.
    const isText = / (Object|Array|URL)\]$/.test(Object.prototype.toString.call(body)) && !isIterable(body) && !body.pipe;
    return isText ? `${body}` : body;
  }
  const copy = new FormData();
  for (const [name, value] of body) copy.append(name, value);
  return copy;
}
