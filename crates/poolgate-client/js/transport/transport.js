// @ts-check
// How configs arrive: over the event stream, or by asking while there is no stream. (They also come with the header of the
// app's own responses.) The plan decides what to do when; this file does it.

import { EVENTS, Learned, News, THROTTLING_CONFIG } from "../contract.js";
import { isConfig, isVersion, returnWithin } from "../engine/config.js";
import { Timer } from "../host/timer.js";
import { jsonOf, statusOf } from "../requests/answer.js";
import { errorOf } from "../requests/error-of.js";
import { send } from "./own-request.js";
import { TransportPlan } from "./plan.js";

/**
 * @typedef {object} Callbacks
 * @property {(news: unknown) => void} relay hands the server's news on to other tabs
 * @property {() => void} contact configs may arrive in another way now
 */

export class Transport {
  #engine;
  #options;
  #callbacks;
  #plan;
  #eventsUrl;
  /** @type {EventSource | undefined} */
  #stream;
  #timer = new Timer(() => this.#advance());
  #life = new AbortController();

  /**
   * @param {import("../engine/engine.js").Engine} engine
   * @param {import("../client/options.js").Options} options
   * @param {Callbacks} callbacks
   */
  constructor(engine, options, callbacks) {
    const { base, mode, pollIntervalMs } = options;
    this.#engine = engine;
    this.#options = options;
    this.#callbacks = callbacks;
    this.#plan = new TransportPlan(mode, typeof globalThis.EventSource === "function", pollIntervalMs);
    // The id distinguishes this client's stream from others. It is not secret and is sent nowhere else.
    this.#eventsUrl = `${base}${EVENTS}?client=${Math.random().toString(36).slice(2)}`;
    this.#watchPage();
  }

  /** How the client learns of configs. */
  get kind() {
    return this.#plan.kind;
  }

  /** Looks for configs from now on. */
  lead() {
    const now = performance.now();
    this.#plan.lead(now);
    if (globalThis.document?.visibilityState === "hidden") this.#plan.hidden(now);
    this.#advance();
  }

  /** Leaves it to another tab. */
  follow() {
    this.#plan.follow();
    this.#close();
    this.#advance();
  }

  /** That tab has relayed something. */
  heardOf() {
    this.#plan.heardOf(performance.now());
    this.#callbacks.contact();
  }

  /** The server has a newer document. */
  askSoon() {
    this.#plan.askSoon(performance.now(), Math.random());
    this.#advance();
  }

  /** Stops for good: the client is closed, the module has failed, or the server has no config route. */
  end() {
    this.#plan.end();
    this.#close();
    this.#life.abort();
    this.#timer.clear();
  }

  /** Asks now, and takes in the answer. Resolves to the config in force; rejects if there is none. */
  async ask() {
    const engine = this.#engine;
    const problem = await this.#ask();
    if (engine.closed) throw errorOf("client_closed", "the client was closed");
    engine.pump();
    this.#callbacks.contact();
    if (problem || !engine.document) {
      throw errorOf("config_unavailable", problem || "there is no throttling config yet");
    }
    return engine.document;
  }

  /** @returns {Promise<string>} the problem, or nothing */
  async #ask() {
    const engine = this.#engine;
    const { relay } = this.#callbacks;
    // Revalidates the copy in the browser's cache, so that an unchanged config costs a 304.
    const answer = await send(this.#options, THROTTLING_CONFIG, { cache: "no-cache" }).catch(() => undefined);
    const status = statusOf(answer);
    const isRead = status >= 200 && status < 300;
    const document = isRead ? await jsonOf(answer).catch(() => undefined) : undefined;
    const now = performance.now();
    if (engine.closed) return "";
    if (isRead) {
      if (!isConfig(document)) return MALFORMED;
      relay(document);
      return engine.learn(document, now) === Learned.invalid ? MALFORMED : "";
    }
    if (status === 304) {
      const { document } = engine;
      if (!document) return "the server sent 304 to a client without a config";
      relay(document);
      engine.learn({ epoch: document.epoch, version: document.version }, now);
      return "";
    }
    // A server that once had a config still has one: this answer is a proxy's, as while the app is being replaced.
    if ((status === 404 || status === 501) && !engine.document) {
      relay(null);
      this.end();
      engine.learn(News.notFound, now);
      return "the server has no throttling config; requests pass through";
    }
    engine.learn(News.noContact, now);
    return "the throttling config could not be fetched";
  }

  /** Does what is due, and sets the timer for the next deadline. */
  #advance() {
    for (let action; (action = this.#plan.next(performance.now(), Math.random())); ) {
      if (action === "openStream") this.#open();
      else if (action === "closeStream") this.#close();
      else void this.#poll();
    }
    this.#timer.set(this.#plan.nextDeadline, performance.now());
    this.#callbacks.contact();
  }

  async #poll() {
    const isAnswered = await this.ask().then(
      () => true,
      () => false,
    );
    const interval = this.#engine.document?.poll_after_seconds;
    if (this.#engine.closed) return;
    this.#plan.asked(isAnswered, interval && interval * 1000, performance.now(), Math.random());
    this.#advance();
  }

  #open() {
    let stream;
    try {
      stream = new EventSource(this.#eventsUrl, { withCredentials: this.#options.credentials === "include" });
    } catch {
      this.#lose();
      return;
    }
    this.#stream = stream;
    const { relay } = this.#callbacks;
    stream.addEventListener("config", (event) => {
      const document = dataOf(event);
      // A document that is malformed or out of range is ignored; the stream lives all the same.
      if (isConfig(document)) {
        relay(document);
        this.#engine.learn(document);
      }
      this.#heard();
    });
    stream.addEventListener("heartbeat", (event) => {
      const heartbeat = dataOf(event);
      if (isVersion(heartbeat)) {
        this.#comeBackWithin(heartbeat);
        relay(heartbeat);
        this.#engine.learn(heartbeat);
      }
      this.#heard();
    });
    // The server ends the stream in order.
    stream.addEventListener("bye", (event) => {
      this.#comeBackWithin(dataOf(event));
      this.#close();
      this.#plan.streamEnded(performance.now(), Math.random());
      this.#advance();
    });
    // The stream broke or was refused. The host would try again without jitter, and not at all after an error status.
    stream.addEventListener("error", () => {
      this.#close();
      this.#lose();
      this.#advance();
    });
  }

  #lose() {
    this.#plan.streamLost(performance.now(), Math.random());
  }

  #heard() {
    const reading = this.#engine.read();
    if (!reading) return;
    this.#plan.heard(reading.enforced, performance.now());
    this.#advance();
    this.#engine.pump();
  }

  /** @param {unknown} message a heartbeat or a goodbye */
  #comeBackWithin(message) {
    const time = returnWithin(message);
    if (time !== undefined) this.#plan.returnWithin(time);
  }

  #close() {
    this.#stream?.close();
    this.#stream = undefined;
  }

  /** Watches the page's visibility and the network. */
  #watchPage() {
    const { signal } = this.#life;
    const { document } = globalThis;
    document?.addEventListener("visibilitychange", () => this.#look(document.visibilityState !== "hidden"), { signal });
    const online = () => {
      this.#look(true);
      if (document?.visibilityState === "hidden") this.#look(false);
    };
    // Node's global object is no event target.
    globalThis.addEventListener?.("online", online, { signal });
  }

  /** @param {boolean} isVisible */
  #look(isVisible) {
    const now = performance.now();
    if (isVisible) this.#plan.shown(now);
    else this.#plan.hidden(now);
    this.#advance();
  }
}

const MALFORMED = "the server's throttling config is malformed and is ignored";

/** @param {Event} event */
function dataOf(event) {
  try {
    return JSON.parse(/** @type {MessageEvent} */ (event).data);
  } catch {
    return undefined;
  }
}
