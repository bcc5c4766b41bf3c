// @ts-check
// How configs arrive: pushed by the event stream, asked for while there is no stream. (The third way is the header of the
// app's own responses.) Which of them when is the plan's decision.

import { jsonOf, statusOf } from "./answer.js";
import { News } from "./codes.js";
import { isConfig, isVersion, returnWithin } from "./config.js";
import { errorOf } from "./error-of.js";
import { send } from "./own-request.js";
import { Timer } from "./timer.js";
import { TransportPlan } from "./transport-plan.js";
import { seed } from "./values.js";

export class Transport {
  #core;
  #plan;
  #eventsUrl;
  /** @type {EventSource | undefined} */
  #stream;
  #timer = new Timer(() => this.#core.safely(() => this.#advance()));
  #life = new AbortController();

  /** @param {import("./core.js").Core} core */
  constructor(core) {
    const { base, mode, pollIntervalMs } = core.options;
    this.#core = core;
    this.#plan = new TransportPlan(mode, typeof globalThis.EventSource === "function", pollIntervalMs);
    // Tells this client's stream from others; no secret, and sent nowhere else.
    this.#eventsUrl = `${base}/api/v1/health/database/events?client=${seed().toString(36)}`;
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

  /** Leaves it to another client of this browser. */
  follow() {
    this.#plan.follow();
    this.#close();
    this.#advance();
  }

  /** That client has said something. */
  heardOf() {
    this.#plan.heardOf(performance.now());
    this.#core.tellContact();
  }

  /** Something newer than the document is known. */
  askSoon() {
    this.#plan.askSoon(performance.now(), Math.random());
    this.#advance();
  }

  /** Stops for good: the client is closed, or the server has no config for anybody. */
  end() {
    this.#plan.end();
    this.abandon();
  }

  /** The same where the module does not work any more. */
  abandon() {
    this.#close();
    this.#life.abort();
    this.#timer.clear();
  }

  /** Asks now, and takes in whatever comes of it. Rejected where no config arrived. */
  async ask() {
    const core = this.#core;
    const message = await this.#ask().catch((error) => core.fail(error));
    if (core.closed) throw errorOf("client_closed", "the client was closed");
    core.pump();
    core.tellContact();
    if (message || !core.document) {
      throw errorOf("config_unavailable", message || "there is no throttling config yet");
    }
    return core.document;
  }

  /** @returns {Promise<string>} what is wrong, if anything */
  async #ask() {
    const core = this.#core;
    // Revalidates what the browser's cache has, so that an unchanged config costs a 304.
    const answer = await send(core.options, "throttling-config", { cache: "no-cache" }).catch(() => undefined);
    const status = statusOf(answer);
    const isRead = status >= 200 && status < 300;
    const document = isRead ? await jsonOf(answer).catch(() => undefined) : undefined;
    const now = performance.now();
    if (core.closed) return "";
    if (isRead) {
      if (!isConfig(document)) return MALFORMED;
      core.relay(document);
      return core.learnDocument(document) ? "" : MALFORMED;
    }
    if (status === 304) {
      const { document } = core;
      if (!document) return "the server sent 304 to a client without a config";
      core.relay(document);
      core.learned(core.throttle.learn_current(document.epoch, document.version, now));
      return "";
    }
    // Once it had one, that is a proxy's word, as while the app is being replaced.
    if ((status === 404 || status === 501) && !core.document) {
      core.relay(null);
      this.end();
      core.learned(core.throttle.learn(News.notFound, now));
      return "the server has no throttling config; requests pass through";
    }
    core.learned(core.throttle.learn(News.noContact, now));
    return "the throttling config could not be fetched";
  }

  /** Does what is due and sets the timer for what comes next. */
  #advance() {
    for (let action; (action = this.#plan.next(performance.now(), Math.random())); ) {
      if (action === "openStream") this.#open();
      else if (action === "closeStream") this.#close();
      else void this.#poll();
    }
    this.#timer.set(this.#plan.nextDeadline, performance.now());
    this.#core.tellContact();
  }

  async #poll() {
    const isAnswered = await this.ask().then(
      () => true,
      () => false,
    );
    const interval = this.#core.document?.poll_after_seconds;
    this.#core.safely(() => {
      this.#plan.asked(isAnswered, interval && interval * 1000, performance.now(), Math.random());
      this.#advance();
    });
  }

  #open() {
    let stream;
    try {
      stream = new EventSource(this.#eventsUrl, { withCredentials: this.#core.options.credentials === "include" });
    } catch {
      this.#lose();
      return;
    }
    this.#stream = stream;
    const on = (/** @type {string} */ type, /** @type {(event: Event) => void} */ act) =>
      stream.addEventListener(type, (event) => this.#core.safely(() => act(event)));
    on("config", (event) => {
      const document = dataOf(event);
      // What is malformed or out of range is ignored; the stream lives all the same.
      if (isConfig(document)) {
        this.#core.relay(document);
        this.#core.learnDocument(document);
      }
      this.#heard();
    });
    on("heartbeat", (event) => {
      const heartbeat = dataOf(event);
      if (isVersion(heartbeat)) {
        this.#comeBackWithin(heartbeat);
        this.#core.relay(heartbeat);
        const { throttle } = this.#core;
        this.#core.learned(throttle.learn_current(heartbeat.epoch, heartbeat.version, performance.now()));
      }
      this.#heard();
    });
    // The server ends it in order.
    on("bye", (event) => {
      this.#comeBackWithin(dataOf(event));
      this.#close();
      this.#plan.streamEnded(performance.now(), Math.random());
      this.#advance();
    });
    // It broke, or was refused. The host would try again without jitter, and not at all after an error status.
    on("error", () => {
      this.#close();
      this.#lose();
      this.#advance();
    });
  }

  #lose() {
    this.#plan.streamLost(performance.now(), Math.random());
  }

  #heard() {
    this.#plan.heard(this.#core.isEnforced, performance.now());
    this.#advance();
    this.#core.pump();
  }

  /** @param {unknown} said by a heartbeat or a goodbye */
  #comeBackWithin(said) {
    const time = returnWithin(said);
    if (time !== undefined) this.#plan.returnWithin(time);
  }

  #close() {
    this.#stream?.close();
    this.#stream = undefined;
  }

  /** Listens for a page that is shown or hidden, and a network that is back. */
  #watchPage() {
    const { signal } = this.#life;
    const { document } = globalThis;
    const look = (/** @type {boolean} */ visible) => this.#core.safely(() => this.#lookedAt(visible));
    document?.addEventListener("visibilitychange", () => look(document.visibilityState !== "hidden"), { signal });
    const back = () => {
      look(true);
      // The network is back; nobody looks at the page for that.
      if (document?.visibilityState === "hidden") look(false);
    };
    // Node's global object is no event target.
    globalThis.addEventListener?.("online", back, { signal });
  }

  /** @param {boolean} visible */
  #lookedAt(visible) {
    const now = performance.now();
    if (visible) this.#plan.shown(now);
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
