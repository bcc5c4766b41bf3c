// @ts-check
// What a call that must wait keeps: the arguments as native `fetch` would have read them at the moment of the call.
//
// An app may change a URL, a header list or a buffer after it has called `fetch`, or navigate and so give a relative
// address another meaning; none of it may reach a request that starts later.

import { baseAddress, urlOf } from "./scope.js";
import { isA, isForeignRequest, isObject, isRequest } from "./values.js";

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
  // Node's and the specification's own.
  "dispatcher",
  "window",
];

/** Sending these twice does no more than sending them once (RFC 9110, 9.2.2). */
const IDEMPOTENT = /^(get|head|options|put|delete)$/i;

/** What a Request's body may weigh; nobody says. */
const UNKNOWN_SIZE = 65_536;

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

  /** What the body weighs, about. */
  get size() {
    if (typeof this.#input !== "string") return this.#input.body ? UNKNOWN_SIZE : 0;
    const body = this.#init?.body ?? "";
    // Texts, bytes and what has a text make a Blob.
    return isStream(body) || isA("FormData", "has", body) ? UNKNOWN_SIZE : new Blob([body]).size;
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
function judge(input, init) {
  if (!isObject(init)) return void new Request(input, init);
  const judged = { ...init };
  // In Node each Request listens to its signal, until it is collected.
  if (typeof judged.signal?.aborted === "boolean") delete judged.signal;
  // Whoever is asked for its iterator twice gives two.
  if (isIterable(judged.body)) judged.body = "";
  new Request(input, judged);
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
const isStream = (value) => isA("ReadableStream", "locked", value);

/** A body in Node, but not a stream of the platform's. @param {any} value */
const isIterable = (value) => isObject(value) && Symbol.asyncIterator in value && !isStream(value);

/**
 * The page that makes the call is the referrer, also when another one is shown later. It is that one where nothing else is
 * said; what is relative is so to this page.
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
 * A list of pairs: `Headers` would forget how the names are written.
 * @param {any} headers a list, a record or `Headers`
 */
function copyHeaders(headers) {
  const pairs = typeof headers[Symbol.iterator] === "function" ? headers : Object.entries(headers);
  return Array.from(pairs, (pair) => Array.from(pair, (text) => `${text}`));
}

/** Copies what can change; strings and blobs cannot, and a stream is taken over as it is. @param {any} body */
function copyBody(body) {
  const isBuffer = (/** @type {unknown} */ value) => isA("ArrayBuffer", "byteLength", value);
  if (isBuffer(body)) return body.slice(0);
  // What is shared with others fetch refuses.
  if (ArrayBuffer.isView(body) && isBuffer(body.buffer)) {
    return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  }
  if (isA("URLSearchParams", "has", body)) return new URLSearchParams(String(body));
  if (!isA("FormData", "has", body)) {
    // Anything else is a text to fetch, as it is now. Libraries have bodies of their own, for a fetch of their own.
    const isText = / (Object|Array|URL)\]$/.test(Object.prototype.toString.call(body)) && !isIterable(body) && !body.pipe;
    return isText ? `${body}` : body;
  }
  const copy = new FormData();
  for (const [name, value] of body) copy.append(name, value);
  return copy;
}
