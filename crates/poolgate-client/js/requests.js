// @ts-check
// The app's requests: submitted, queued, started, settled.
//
// The host's `fetch` gets the app's own arguments and its `Response` is handed on as it is. Only the head is read on the
// way.

import { PROBLEM, headOf, headerOf, isCached, isTheGates, problemOf, wishesOf } from "./answer.js";
import { Detail, News, Outcome, Reason } from "./codes.js";
import { CONFIG_HEADER, readHeader } from "./config.js";
import { errorOf } from "./error-of.js";
import { isPoolgateError } from "./errors.js";
import { Snapshot } from "./snapshot.js";

const REJECTIONS = [
  ["queue_full", "too many requests wait already"],
  ["queue_timeout", "the request waited longer than it may"],
  ["circuit_open", "the database does not answer; requests are held back"],
  ["client_closed", "the client was closed while the request waited"],
];

/**
 * The error of a call that is rejected.
 * @param {number} reason
 * @param {number} [retryAfterMs]
 */
export function rejectionOf(reason, retryAfterMs = Infinity) {
  const [code, message] = REJECTIONS[reason];
  return errorOf(code, message, retryAfterMs < Infinity ? retryAfterMs : null);
}

/** What all requests with `keepalive` together may weigh, in browsers. */
const KEEPALIVE_BYTES = 65_536;

/**
 * @typedef {object} Waiting a call whose promise the app has, and nothing else yet
 * @property {Snapshot} snapshot
 * @property {(answer: unknown) => void} resolve
 * @property {(reason: unknown) => void} reject
 * @property {any} signal
 * @property {() => void} giveUp
 */

export class Requests {
  #core;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  /** The last header, read: most say the same as the one before. */
  #last = { text: "", header: readHeader("") };

  /** @param {import("./core.js").Core} core */
  constructor(core) {
    this.#core = core;
  }

  get queued() {
    return this.#waiting.size;
  }

  /**
   * Sends a request now, queues it, or turns it away.
   * @param {import("./call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  submit(call, input, init) {
    const core = this.#core;
    core.made += 1;
    const now = performance.now();
    const id = core.safely(() => core.throttle.submit(call.priority, call.bypass, call.queueTimeoutMs ?? NaN, now));
    if (id === undefined) return core.pass(input, init);
    const promise =
      id > 0 ? this.#launch(id, call.signal, input, init) : id < 0 ? this.#enqueue(-id, call, input, init) : this.#turnAway();
    core.pump(now);
    return promise;
  }

  /**
   * Ends a call that was aborted before it was made. Its body counts as used all the same, and what is wrong with its
   * arguments is said first.
   * @param {import("./call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  rejectAborted({ signal: { reason } }, input, init) {
    const snapshot = this.#snapshot(input, init);
    snapshot?.cancel(reason);
    return snapshot ? Promise.reject(reason) : this.#core.pass(input, init);
  }

  /**
   * The wait is over: sends the request.
   * @param {number} id
   */
  start(id) {
    const waiting = this.#take(id);
    if (waiting) waiting.resolve(this.#launch(id, waiting.signal, ...waiting.snapshot.arguments()));
    else this.#core.throttle.complete(id, Outcome.aborted, performance.now());
  }

  /**
   * Ends a wait without a request.
   * @param {number} id
   */
  reject(id) {
    const waiting = this.#take(id);
    if (!waiting) return;
    waiting.snapshot.release();
    this.#turnAway().then(waiting.resolve, waiting.reject);
  }

  /**
   * The page is left: requests that may outlive it start now, or would never; as many as the browser takes at a time, and the
   * others after them.
   */
  startKeepalive() {
    const ids = [...this.#waiting.keys()].filter((id) => this.#waiting.get(id)?.snapshot.isKeepalive);
    let sent = 0;
    const next = () => {
      for (let id; (id = ids[0]); ids.shift()) {
        const size = this.#waiting.get(id)?.snapshot.size ?? 0;
        if (sent > 0 && sent + size > KEEPALIVE_BYTES) return;
        this.#core.safely(() => this.#core.throttle.abort(/** @type {number} */ (id), performance.now()));
        sent += size;
        const over = () => {
          sent -= size;
          next();
        };
        // The browser counts until somebody has read the whole answer.
        this.#pass(id)?.then((answer) => answer.clone().arrayBuffer()).then(over, over);
      }
    };
    next();
  }

  /** Whatever waits starts now, past the throttle. */
  passAll() {
    for (const id of this.#waiting.keys()) this.#pass(id);
  }

  /**
   * Pauses everything if it is the gate that has rejected a request; else tells what whoever did wishes.
   * @param {any} answer
   * @param {(wishes: ReturnType<typeof wishesOf>) => void} [otherwise]
   */
  async heed(answer, otherwise) {
    const core = this.#core;
    const problem = problemOf(answer);
    if (!problem && !otherwise) return;
    const wishes = wishesOf(answer);
    if (isTheGates(await problem)) {
      const { retryAfterMs, quota } = wishes;
      const wait = retryAfterMs ?? (quota?.remaining === 0 ? quota.reset * 1000 : undefined);
      const epoch = readHeader(headerOf(answer, CONFIG_HEADER) ?? "")?.epoch ?? 0;
      core.safely(() => core.throttle.turned_away(wait ?? NaN, epoch, performance.now()));
      core.pump();
    } else {
      otherwise?.(wishes);
    }
  }

  /**
   * @param {number} id
   * @param {any} signal the app's
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  #launch(id, signal, input, init) {
    const core = this.#core;
    const { fetch } = core.options;
    let promise;
    try {
      // A custom fetch may give any thenable; a native promise stays the same object.
      promise = Promise.resolve(fetch(input, init));
    } catch (thrown) {
      core.safely(() => core.throttle.complete(id, Outcome.aborted, performance.now()));
      return Promise.reject(thrown);
    }
    return promise.then(
      (answer) => {
        core.safely(() => this.#fulfilled(id, answer));
        return answer;
      },
      (thrown) => {
        const outcome = signal?.aborted ? Outcome.aborted : Outcome.failure;
        core.safely(() => core.throttle.complete(id, outcome, performance.now()));
        core.pump();
        // The host's error, or the reason of the app's own signal.
        throw signal?.aborted ? signal.reason : thrown;
      },
    );
  }

  /**
   * @param {number} id
   * @param {import("./call.js").Call} call
   * @param {any} input
   * @param {any} init
   * @returns {Promise<any>}
   */
  #enqueue(id, { signal }, input, init) {
    const core = this.#core;
    // The app's getters run here and may call the client, which must not start what is not there yet.
    core.pauses += 1;
    const snapshot = this.#snapshot(input, init);
    core.pauses -= 1;
    if (!snapshot) {
      core.safely(() => core.throttle.abort(id, performance.now()));
      // The host says best what is wrong with arguments that cannot be copied.
      return core.pass(input, init);
    }
    return new Promise((resolve, reject) => {
      const giveUp = () => this.#abort(id, signal.reason);
      this.#waiting.set(id, { snapshot, resolve, reject, signal, giveUp });
      signal?.addEventListener?.("abort", giveUp);
      // By one of those getters.
      if (signal?.aborted) giveUp();
    });
  }

  /**
   * @param {any} input
   * @param {any} init
   */
  #snapshot(input, init) {
    try {
      return new Snapshot(input, init);
    } catch {
      return undefined;
    }
  }

  /**
   * @param {number} id
   * @param {unknown} reason
   */
  #abort(id, reason) {
    const waiting = this.#take(id);
    if (!waiting) return;
    waiting.snapshot.cancel(reason);
    waiting.reject(reason);
    this.#core.safely(() => this.#core.throttle.abort(id, performance.now()));
    this.#core.pump();
  }

  /** @param {number} id */
  #take(id) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.signal?.removeEventListener?.("abort", waiting.giveUp);
    return waiting;
  }

  /** @param {number} id */
  #pass(id) {
    const waiting = this.#take(id);
    const sent = waiting && this.#core.pass(...waiting.snapshot.arguments());
    waiting?.resolve(sent);
    return sent;
  }

  /**
   * @param {number} id
   * @param {any} answer
   */
  #fulfilled(id, answer) {
    const core = this.#core;
    const { status, config } = headOf(answer);
    const now = performance.now();
    let outcome = Outcome.success;
    if (config === null) {
      // A gateway in front of the server did not reach it.
      if (status === 502 || status === 504) outcome = Outcome.failure;
      else if (status >= 200 && status < 300) core.learned(core.throttle.learn(News.headerMissing, now));
    } else if (config !== undefined && !isCached(answer)) {
      if (this.#last.text !== config) this.#last = { text: config, header: readHeader(config) };
      // Whoever divides the limits must know them: the header of one tab's answer is news to all.
      if (core.learnHeader(this.#last.header, now)) core.relay(config);
      if (!core.listensToOthers && (status === 429 || status === 503)) void this.heed(answer);
    }
    core.throttle.complete(id, outcome, now);
    core.pump(now);
  }

  /** What the call that was rejected last is told. */
  async #turnAway() {
    const { throttle } = this.#core;
    throw rejectionOf(throttle.detail(Detail.reason), throttle.detail(Detail.retryAfter));
  }
}

/**
 * What the server's gate would say, where the app wants no error of ours.
 * @param {any} error
 */
export function asAnswer(error) {
  if (!isPoolgateError(error)) throw error;
  const { code, message: detail, retryAfterMs } = error;
  const isOpen = code === REJECTIONS[Reason.open][0];
  const problem = {
    type: `${PROBLEM}temporary-reduced-capacity`,
    title: "Service Unavailable",
    status: 503,
    detail,
    code: isOpen ? "database_unavailable" : code,
  };
  const seconds = Math.max(1, Math.ceil((retryAfterMs ?? 1000) / 1000));
  return new Response(JSON.stringify(problem), {
    status: 503,
    statusText: problem.title,
    headers: { "content-type": "application/problem+json", "retry-after": `${seconds}` },
  });
}
