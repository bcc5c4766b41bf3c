// @ts-check
// When to open the stream and when to ask: the transport's decisions, without clock or I/O.
//
// The stream is preferred; without one, the config route is asked from time to time. Times are in milliseconds. `chance` is a
// random number from 0 to 1 that spreads what many clients would otherwise do at the same moment.

import {
  LEAST_RETURN_MS,
  LONGEST_RETRY_MS,
  LONGEST_RETURN_MS,
  RETRY_MS,
  RETURN_WITHIN_MS,
  SILENCE_ENFORCED_MS,
  SILENCE_MS,
} from "../contract.js";

const SECOND = 1000;

/** How long a new stream may take to deliver its first event before the route is asked instead. */
const STREAM_PATIENCE = 5 * SECOND;
/** After a broken stream a client asks within this part of the time within which clients come back. */
const ASKING = 0.4;
/** After this time a hidden page closes its stream: over HTTP/1.1 a browser has six connections per host for all tabs. */
const HIDDEN_GRACE = 10 * SECOND;
/** A page that is shown again asks at most this often. */
const LOOK_SPACING = 5 * SECOND;
/** A client without a stream that learns of a newer config asks within this time. */
const SOON = 2 * SECOND;
/** Range of `poll_after_seconds`. */
const SHORTEST_INTERVAL = SECOND;
const LONGEST_INTERVAL = 3600 * SECOND;

const NEVER = Infinity;

/** @typedef {"openStream" | "closeStream" | "ask"} Action what the transport is to do now */

/** The deadlines of one transport. They are empty until it leads. */
export class TransportPlan {
  /** @type {"auto" | "sse" | "poll"} */
  #mode;
  /** When the stream, open or opening, is given up. */
  #silentAt = NEVER;
  #isStreaming = false;
  #streamAt = NEVER;
  #askAt = NEVER;
  #hideAt = NEVER;
  #isEnded = false;
  /** Another tab looks for news. */
  #isFollowing = true;
  /** How often to ask: the server's interval, before the first config the app's. */
  #interval;
  #isAsking = false;
  #streamFailures = 0;
  #askFailures = 0;
  #lastNews = -Infinity;
  /** The time within which clients come back when the stream ends. */
  #returnWithin = RETURN_WITHIN_MS;

  /**
   * @param {"auto" | "sse" | "poll"} mode
   * @param {boolean} hasStreams without `EventSource` a client polls in any mode
   * @param {number} interval
   */
  constructor(mode, hasStreams, interval) {
    this.#mode = hasStreams ? mode : "poll";
    this.#interval = interval;
  }

  /** How the client learns of configs. @returns {import("../index.js").ClientState["transport"]} */
  get kind() {
    if (this.#isStreaming) return "sse";
    if (this.#isEnded || this.#lastNews === -Infinity) return "none";
    return this.#isFollowing ? "shared" : "poll";
  }

  /** When `next` is to be called again. */
  get nextDeadline() {
    return Math.min(this.#hideAt, this.#silentAt, this.#streamAt, this.#isAsking ? NEVER : this.#askAt);
  }

  /** Looks for news from now on. @param {number} now */
  lead(now) {
    if (this.#isEnded) return;
    this.#isFollowing = false;
    if (this.#mode !== "poll") this.#streamAt = now;
    // The known config may be old, and a stream can be slow to open.
    if (this.#mode === "poll" || (this.#lastNews > -Infinity && this.#isOld(now))) this.#askAt = now;
  }

  /** Leaves it to another tab. */
  follow() {
    this.#isFollowing = true;
    this.#stop();
  }

  /** The other tab has relayed news. @param {number} now */
  heardOf(now) {
    this.#lastNews = now;
    if (this.#isFollowing) this.#askAt = NEVER;
  }

  /**
   * The next action; to be called until there is none.
   * @param {number} now
   * @param {number} chance
   * @returns {Action | undefined}
   */
  next(now, chance) {
    if (this.#hideAt <= now) {
      this.#stop();
      this.#askLater(now, chance);
      return "closeStream";
    }
    if (this.#silentAt <= now) {
      this.streamLost(now, chance);
      return "closeStream";
    }
    if (this.#streamAt <= now) {
      this.#streamAt = NEVER;
      this.#silentAt = now + STREAM_PATIENCE;
      return "openStream";
    }
    if (this.#askAt <= now && !this.#isAsking) {
      this.#askAt = NEVER;
      this.#isAsking = true;
      return "ask";
    }
    return undefined;
  }

  /**
   * The stream delivered something.
   * @param {boolean} enforced whether limits are in force
   * @param {number} now
   */
  heard(enforced, now) {
    if (this.#silentAt === NEVER) return;
    if (!this.#isStreaming) {
      // The stream replaces the asking.
      this.#askAt = NEVER;
      this.#streamFailures = this.#askFailures = 0;
    }
    this.#isStreaming = true;
    this.#silentAt = now + (enforced ? SILENCE_ENFORCED_MS : SILENCE_MS);
    this.#lastNews = now;
  }

  /**
   * The stream broke, or never began.
   * @param {number} now
   * @param {number} chance
   */
  streamLost(now, chance) {
    if (this.#isEnded) return;
    this.#dropStream();
    this.#streamFailures += 1;
    const more = Math.max(this.#returnWithin - RETURN_WITHIN_MS, 0) * chance;
    this.#streamAt = now + backoff(this.#streamFailures, chance) + more;
    this.#askAt = Math.min(this.#askAt, now + this.#returnWithin * ASKING * chance);
  }

  /**
   * The server ended the stream in order.
   * @param {number} now
   * @param {number} chance
   */
  streamEnded(now, chance) {
    if (this.#isEnded) return;
    this.#dropStream();
    this.#streamAt = now + LEAST_RETURN_MS + this.#returnWithin * chance;
  }

  /**
   * The server sets the time within which clients come back when the stream ends. It grows with their number.
   * @param {number} time
   */
  returnWithin(time) {
    this.#returnWithin = Math.min(time, LONGEST_RETURN_MS);
  }

  /**
   * The route was asked.
   * @param {boolean} isAnswered
   * @param {number | undefined} interval the server's interval
   * @param {number} now
   * @param {number} chance
   */
  asked(isAnswered, interval, now, chance) {
    this.#isAsking = false;
    if (this.#isEnded) return;
    if (interval !== undefined) this.#interval = Math.min(Math.max(interval, SHORTEST_INTERVAL), LONGEST_INTERVAL);
    this.#askFailures = isAnswered ? 0 : this.#askFailures + 1;
    if (isAnswered) this.#lastNews = now;
    if (this.#isStreaming || this.#mode === "sse" || this.#isFollowing || this.#askAt < NEVER) return;
    if (isAnswered) this.#askLater(now, chance);
    else this.#askAt = now + Math.min(backoff(this.#askFailures, chance), this.#interval);
  }

  /**
   * The server has a newer config, and no stream brings it.
   * @param {number} now
   * @param {number} chance
   */
  askSoon(now, chance) {
    if (this.#isEnded || this.#isAsking) return;
    this.#askAt = Math.min(this.#askAt, now + SOON * chance);
  }

  /** The page is hidden. @param {number} now */
  hidden(now) {
    if (this.#mode === "auto" && !this.#isEnded && !this.#isFollowing) this.#hideAt = now + HIDDEN_GRACE;
  }

  /**
   * The page is shown again, or the network is back. The stream may have died unnoticed, so the route is asked as well.
   * @param {number} now
   */
  shown(now) {
    if (this.#isEnded || this.#isFollowing) return;
    this.#hideAt = NEVER;
    this.#streamFailures = 0;
    if (this.#mode !== "poll" && this.#silentAt === NEVER) this.#streamAt = now;
    if (this.#isOld(now)) this.#askAt = now;
  }

  /** Ends for good: the client is closed, or the server has no such route. */
  end() {
    this.#stop();
    this.#isEnded = true;
  }

  #stop() {
    this.#dropStream();
    this.#streamAt = this.#askAt = this.#hideAt = NEVER;
  }

  #dropStream() {
    this.#silentAt = NEVER;
    this.#isStreaming = false;
  }

  /** @param {number} now */
  #isOld(now) {
    return this.#lastNews + LOOK_SPACING <= now;
  }

  /**
   * @param {number} now
   * @param {number} chance
   */
  #askLater(now, chance) {
    // +-20 %.
    this.#askAt = now + this.#interval * (0.8 + 0.4 * chance);
  }
}

/**
 * The wait after some failures: it doubles with each, and jitter takes up to half of it away.
 * @param {number} failures
 * @param {number} chance
 */
function backoff(failures, chance) {
  return Math.min(RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS) * (0.5 + 0.5 * chance);
}
