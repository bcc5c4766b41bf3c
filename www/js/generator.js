// This browser's own load: an open loop of requests with counted results. It does not touch the document.

/** Time limit of a request from the attempt to send, in milliseconds; the same as for the driver's native users. */
const PATIENCE_MS = 10_000;
/** Requests that may be in flight or queued at once; further ones count as given up. */
const MOST_PENDING = 300;
/** Number of latencies for the median. */
const LATENCIES = 50;

/**
 * @typedef {object} Tally
 * @property {number} wanted
 * @property {number} pending sent or queued, and not ended
 * @property {number} succeeded answered 2xx
 * @property {number} rejected answered 503 or 429
 * @property {number} givenUp rejected by the client before they were sent
 * @property {number} failed the rest: other answers, timeouts, network errors
 *
 * @typedef {(input: string, init: RequestInit) => Promise<Response>} Send
 */

export class Generator {
  #send;
  #isGivenUp;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {AbortController | null} */
  #stop = null;
  /** @type {number[]} */
  #latencies = [];
  /** @type {Tally} */
  tally = emptyTally();

  /**
   * @param {Send} send called for each request, so that it follows a switch
   * @param {(error: unknown) => boolean} isGivenUp whether an error means that the request was never sent
   */
  constructor(send, isGivenUp) {
    this.#send = send;
    this.#isGivenUp = isGivenUp;
  }

  get running() {
    return this.#stop !== null;
  }

  /** Median latency of the last successes in milliseconds, or null. */
  get latencyMs() {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? null;
  }

  /**
   * Starts counting from zero.
   * @param {() => [url: string, init?: RequestInit]} next creates a request
   * @param {number} requestsPerSecond
   */
  start(next, requestsPerSecond) {
    this.stop();
    this.tally = emptyTally();
    this.#latencies = [];
    const stop = new AbortController();
    this.#stop = stop;
    let due = performance.now();
    const tick = () => {
      // A late timer, as in a hidden page, catches up with a bounded number of requests.
      const now = performance.now();
      due = Math.max(due, now - 1_000);
      for (; due <= now; due += gap(requestsPerSecond)) this.#request(next(), stop.signal);
      this.#timer = setTimeout(tick, due - now);
    };
    tick();
  }

  /** Ends the loop and aborts requests in flight or queued. */
  stop() {
    clearTimeout(this.#timer);
    this.#stop?.abort();
    this.#stop = null;
  }

  /**
   * @param {[url: string, init?: RequestInit]} request
   * @param {AbortSignal} stop
   */
  async #request([url, init], stop) {
    const { tally } = this;
    tally.wanted += 1;
    if (tally.pending >= MOST_PENDING) {
      tally.givenUp += 1;
      return;
    }
    tally.pending += 1;
    const begin = performance.now();
    try {
      const signal = AbortSignal.any([stop, AbortSignal.timeout(PATIENCE_MS)]);
      const response = await this.#send(url, { ...init, signal });
      await response.arrayBuffer();
      this.#count(tally, response, performance.now() - begin);
    } catch (error) {
      if (stop.aborted)
        tally.wanted -= 1; // Taken back, not failed.
      else if (this.#isGivenUp(error)) tally.givenUp += 1;
      else tally.failed += 1;
    } finally {
      tally.pending -= 1;
    }
  }

  /**
   * @param {Tally} tally
   * @param {Response} response
   * @param {number} latencyMs
   */
  #count(tally, response, latencyMs) {
    if (response.ok) {
      tally.succeeded += 1;
      this.#latencies.push(latencyMs);
      if (this.#latencies.length > LATENCIES) this.#latencies.shift();
    } else if (response.status === 503 || response.status === 429) {
      tally.rejected += 1;
    } else {
      tally.failed += 1;
    }
  }
}

/** @returns {Tally} */
function emptyTally() {
  return { wanted: 0, pending: 0, succeeded: 0, rejected: 0, givenUp: 0, failed: 0 };
}

/**
 * Milliseconds to the next request: half to one and a half times the mean, so that many pages do not send in step.
 * @param {number} requestsPerSecond
 */
function gap(requestsPerSecond) {
  return (1000 / requestsPerSecond) * (0.5 + Math.random());
}
