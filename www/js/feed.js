// Live documents: one event stream, and polling while there is none.

import { fetchConfig, fetchStatus, inWords, isConfig, isStatus } from "./api.js";
import { EVENTS, LONGEST_RETRY_MS, RETRY_MS, SILENCE_ENFORCED_MS } from "./contract.js";

/** @import { Status, ThrottlingConfig } from "../types/wire.js" */

/** Poll interval without a stream. */
const POLL_MS = 2_000;
/** Figures older than this, in seconds, are stale: a stream has an event every half second, and a poll comes late at times. */
const STREAM_PATIENCE = 4;
const POLL_PATIENCE = 6;
/** Polling while the page is hidden: it leaves its connection, one of the browser's six, to other pages. */
const HIDDEN_POLL_MS = 5_000;
const HIDDEN_AFTER_MS = 30_000;

/**
 * @typedef {object} Listener
 * @property {(status: Status) => void} onStatus
 * @property {(config: ThrottlingConfig) => void} onConfig
 * @property {() => void} onContact the server has sent something
 * @property {(why: string) => void} onTrouble a poll has failed
 */

export class Feed {
  #listener;
  /** @type {EventSource | null} */
  #stream = null;
  #streaming = false;
  #retryMs = RETRY_MS;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #nextPoll;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hide;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** `stream` or `poll`. */
  get transport() {
    return this.#streaming ? "stream" : "poll";
  }

  /** For how many seconds the newest figures count; a hidden page has its timers late, and is judged when it is seen. */
  get patience() {
    if (document.hidden) return Infinity;
    return this.#streaming ? STREAM_PATIENCE : POLL_PATIENCE;
  }

  start() {
    document.addEventListener("visibilitychange", () => this.#visibilityChanged());
    // A page in the back/forward cache must not keep its connection.
    window.addEventListener("pagehide", () => this.#leave());
    window.addEventListener("pageshow", (event) => event.persisted && this.#connect());
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#close();
    const stream = new EventSource(`${EVENTS}?topics=config,status`);
    this.#stream = stream;
    stream.addEventListener("open", () => {
      this.#streaming = true;
      this.#retryMs = RETRY_MS;
      clearTimeout(this.#nextPoll);
      this.#contact();
    });
    stream.addEventListener("status", (event) => this.#read(event, isStatus, this.#listener.onStatus));
    stream.addEventListener("config", (event) => this.#read(event, isConfig, this.#listener.onConfig));
    stream.addEventListener("heartbeat", () => this.#contact());
    stream.addEventListener("bye", () => this.#lost());
    // After any answer but 200 the browser does not connect again, so this class always does it itself.
    stream.addEventListener("error", () => this.#lost());
    this.#watch();
  }

  /**
   * @template T
   * @param {MessageEvent<string>} event
   * @param {(body: any) => body is T} fits
   * @param {(body: T) => void} use
   */
  #read(event, fits, use) {
    this.#contact();
    const body = parse(event.data);
    if (fits(body)) use(body);
    else console.warn(`ignored a malformed ${event.type} event`);
  }

  #contact() {
    this.#watch();
    this.#listener.onContact();
  }

  /**
   * (Re)starts the wait after which a silent stream is given up. It is the short one in any case: a stream with statuses has
   * an event every half second.
   */
  #watch() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(), SILENCE_ENFORCED_MS);
  }

  #lost() {
    this.#close();
    const wait = this.#retryMs * (0.5 + Math.random());
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
    this.#retry = setTimeout(() => this.#connect(), wait);
    this.#poll();
  }

  #close() {
    this.#stream?.close();
    this.#stream = null;
    this.#streaming = false;
    clearTimeout(this.#silence);
  }

  #leave() {
    this.#close();
    clearTimeout(this.#retry);
    clearTimeout(this.#nextPoll);
  }

  async #poll() {
    clearTimeout(this.#nextPoll);
    this.#nextPoll = setTimeout(() => this.#poll(), document.hidden ? HIDDEN_POLL_MS : POLL_MS);
    try {
      const [status, config] = await Promise.all([fetchStatus(), fetchConfig()]);
      if (this.#streaming) return;
      this.#listener.onContact();
      if (isConfig(config)) this.#listener.onConfig(config);
      this.#listener.onStatus(status);
    } catch (error) {
      // The next poll follows anyway.
      if (!this.#streaming) this.#listener.onTrouble(inWords(error));
    }
  }

  #visibilityChanged() {
    clearTimeout(this.#hide);
    if (document.hidden) {
      this.#hide = setTimeout(() => {
        this.#leave();
        this.#poll();
      }, HIDDEN_AFTER_MS);
    } else if (this.#stream === null) {
      clearTimeout(this.#nextPoll);
      this.#retryMs = RETRY_MS;
      this.#connect();
    }
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
