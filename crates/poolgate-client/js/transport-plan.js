// @ts-check
// When to open the stream and when to ask: the transport's decisions, without clock or I/O.
//
// The stream is preferred; while it is not there, the config route is asked from time to time. Times are in milliseconds.
// `chance` is a random number from 0 to 1: what many clients would do at the same moment is spread by it.

const SECOND = 1000;

/** How long a new stream may take to deliver its first event, before the route is asked instead. */
const STREAM_PATIENCE = 5 * SECOND;
/** Heartbeats that may be missed before a stream counts as dead, times their spacing: 5 s while limits act, else 15 s. */
const SILENCE_ENFORCED = 15 * SECOND;
const SILENCE = 45 * SECOND;
/** Shortest and longest wait after a failure; it doubles in between. */
const SHORTEST_BACKOFF = SECOND;
const LONGEST_BACKOFF = 30 * SECOND;
/**
 * The clients of a stream that is over come back within this time, as long as the server has not said another, and at the
 * most.
 */
const RETURN_WITHIN = 2.5 * SECOND;
const LONGEST_RETURN = 600 * SECOND;
/** Least wait before. */
const LEAST_RETURN = 0.5 * SECOND;
/** If it broke, they ask within this part of that time. */
const ASKING = 0.4;
/** A page that stays hidden gives its stream back: over HTTP/1.1 a browser has six connections per host for all tabs. */
const HIDDEN_GRACE = 10 * SECOND;
/** Looking at a page again asks at most this often. */
const LOOK_SPACING = 5 * SECOND;
/** While limits act, a client without a stream that learns of a newer config asks within this time. */
const SOON = 2 * SECOND;
/** Limits for `poll_after_seconds`. */
const SHORTEST_INTERVAL = SECOND;
const LONGEST_INTERVAL = 3600 * SECOND;

/** No time at all. */
const NEVER = Infinity;

/** @typedef {"openStream" | "closeStream" | "ask"} Action what the transport is to do now */

/** The deadlines of one transport. It has nothing to do before it leads. */
export class TransportPlan {
  /** @type {"auto" | "sse" | "poll"} */
  #mode;
  /** When the stream, open or opening, counts as dead. */
  #silentAt = NEVER;
  #isStreaming = false;
  #streamAt = NEVER;
  #askAt = NEVER;
  #hideAt = NEVER;
  #isEnded = false;
  /** Another client of this browser looks for news. */
  #isFollowing = true;
  /** How often to ask; the server's word, else the app's. */
  #interval;
  #isAsking = false;
  #streamFailures = 0;
  #askFailures = 0;
  #lastNews = -Infinity;
  /** Within which time to come back when the stream is over. */
  #returnWithin = RETURN_WITHIN;

  /**
   * @param {"auto" | "sse" | "poll"} mode
   * @param {boolean} hasStreams without `EventSource` a client polls, whatever the mode
   * @param {number} interval
   */
  constructor(mode, hasStreams, interval) {
    this.#mode = hasStreams ? mode : "poll";
    this.#interval = interval;
  }

  /** How the client learns of configs. @returns {import("./index.js").ClientState["transport"]} */
  get kind() {
    if (this.#isStreaming) return "sse";
    if (this.#isEnded || this.#lastNews === -Infinity) return "none";
    return this.#isFollowing ? "shared" : "poll";
  }

  /** When `next` has something again. */
  get nextDeadline() {
    return Math.min(this.#hideAt, this.#silentAt, this.#streamAt, this.#isAsking ? NEVER : this.#askAt);
  }

  /** Looks for news from now on. @param {number} now */
  lead(now) {
    if (this.#isEnded) return;
    this.#isFollowing = false;
    if (this.#mode !== "poll") this.#streamAt = now;
    // What is known may be old, and a stream can take its time.
    if (this.#mode === "poll" || (this.#lastNews > -Infinity && this.#isOld(now))) this.#askAt = now;
  }

  /** Leaves it to another client. */
  follow() {
    this.#isFollowing = true;
    this.#stop();
  }

  /** The other client has news. @param {number} now */
  heardOf(now) {
    this.#lastNews = now;
    if (this.#isFollowing) this.#askAt = NEVER;
  }

  /**
   * The next thing to do; call it until there is nothing.
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
   * @param {boolean} enforced limits act
   * @param {number} now
   */
  heard(enforced, now) {
    if (this.#silentAt === NEVER) return;
    if (!this.#isStreaming) {
      // It does what the asking was for.
      this.#askAt = NEVER;
      this.#streamFailures = this.#askFailures = 0;
    }
    this.#isStreaming = true;
    this.#silentAt = now + (enforced ? SILENCE_ENFORCED : SILENCE);
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
    const more = Math.max(this.#returnWithin - RETURN_WITHIN, 0) * chance;
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
    this.#streamAt = now + LEAST_RETURN + this.#returnWithin * chance;
  }

  /**
   * The server says within which time to come back when the stream is over: the more clients it has, the longer.
   * @param {number} time
   */
  returnWithin(time) {
    this.#returnWithin = Math.min(time, LONGEST_RETURN);
  }

  /**
   * The route was asked.
   * @param {boolean} isAnswered
   * @param {number | undefined} interval what the server says about the next time
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
   * There is news that this client does not have, and no stream brings it.
   * @param {number} now
   * @param {number} chance
   */
  askSoon(now, chance) {
    if (this.#isEnded || this.#isAsking) return;
    this.#askAt = Math.min(this.#askAt, now + SOON * chance);
  }

  /** The page is not looked at any more. @param {number} now */
  hidden(now) {
    if (this.#mode === "auto" && !this.#isEnded && !this.#isFollowing) this.#hideAt = now + HIDDEN_GRACE;
  }

  /**
   * The page is looked at again, or the network is back. A stream may have died unnoticed, so ask in any case.
   * @param {number} now
   */
  shown(now) {
    if (this.#isEnded || this.#isFollowing) return;
    this.#hideAt = NEVER;
    this.#streamFailures = 0;
    if (this.#mode !== "poll" && this.#silentAt === NEVER) this.#streamAt = now;
    if (this.#isOld(now)) this.#askAt = now;
  }

  /** Nothing more to do: the client is closed, or the server has no such route. */
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
    // 20 % to either side.
    this.#askAt = now + this.#interval * (0.8 + 0.4 * chance);
  }
}

/**
 * Doubles with each failure, and is drawn from the upper half.
 * @param {number} failures
 * @param {number} chance
 */
function backoff(failures, chance) {
  return Math.min(SHORTEST_BACKOFF * 2 ** (failures - 1), LONGEST_BACKOFF) * (0.5 + 0.5 * chance);
}
