// @ts-check
// The app's client: loads the module, dispatches events, and follows the page as it comes and goes. Without the module all
// requests pass. Each entry (index.js, inline.js, node.js) says where its module is.

import { instantiate } from "../engine/module.js";
import { Coalescer } from "../extras/coalesce.js";
import { announce, announceAgain } from "../extras/own-client.js";
import { warn } from "../host/console.js";
import { bareFetch } from "../host/fetch.js";
import { errorOf } from "../requests/error-of.js";
import { canShare, tabsOf } from "../tabs/tabs.js";
import { Core } from "./core.js";
import { readOptions } from "./options.js";

/** How long `createClient` waits for the module, which goes on loading while the client passes requests through. */
const LOAD_PATIENCE_MS = 5000;

/** @type {import("../index.js").ClientState} */
const UNKNOWN = Object.freeze({
  level: "NORMAL",
  health: "HEALTHY",
  breaker: "closed",
  enforced: false,
  config: null,
  inFlight: 0,
  queued: 0,
  oldestWaitMs: 0,
  etaMs: null,
  stale: false,
  transport: "none",
  ratePerSecond: null,
});

/** @typedef {import("../index.js").ModuleSource} ModuleSource */

/**
 * The exports of an entry.
 * @param {(given?: ModuleSource) => ModuleSource | Promise<ModuleSource>} moduleOf where the module is; `given`: what the app
 *   says
 * @returns {Pick<typeof import("../index.js"), "init" | "createClient" | "createThrottledFetch">}
 */
export function entry(moduleOf) {
  const init = (/** @type {ModuleSource | undefined} */ given) => instantiate(() => moduleOf(given));
  return {
    init,
    createClient: (options) => PoolgateClient.create(init, options),
    createThrottledFetch: (options) => new PoolgateClient(init, options).fetch,
  };
}

class PoolgateClient extends EventTarget {
  /** @type {Core | undefined} */
  #core;
  /** @type {import("../tabs/tabs.js").Tabs | undefined} */
  #tabs;
  /** Ends with the client. */
  #life = new AbortController();
  #bare = bareFetch();
  /** @type {typeof fetch} */
  #host;
  /** @type {Coalescer | undefined} with the option `coalesce` */
  #coalescer;
  /** Resolves when the module works, or has failed. */
  #started;

  /**
   * Throws a `TypeError` that names a wrong option.
   * @param {(source?: ModuleSource) => Promise<void>} init
   * @param {import("../index.js").ClientOptions} [options]
   */
  constructor(init, options) {
    super();
    const shared = options?.shareAcrossTabs !== false && canShare();
    const read = readOptions(options, shared, this.#bare.fetch);
    this.#host = read.fetch;
    if (options?.coalesce) this.#coalescer = new Coalescer((input, init) => this.#send(input, init));
    // An own property, so that it can be passed around; a method with one parameter, as the host's is.
    const client = this;
    const { fetch } = {
      /**
       * @param {Parameters<typeof globalThis.fetch>[0]} input
       * @returns {Promise<Response>}
       */
      fetch(input) {
        // The host's fetch reports a call without arguments.
        if (arguments.length === 0) return client.#passThrough();
        const init = arguments[1];
        if (client.#bare.hasComeBack(input)) return client.#passThrough(input, init);
        return client.#coalescer ? client.#coalescer.fetch(input, init) : client.#send(input, init);
      },
    };
    this.fetch = fetch;
    this.#started = this.#start(() => init(options?.wasm), read, shared).catch((error) => this.#unavailable(error));
  }

  /**
   * A client whose module works, or has failed, or is slow to load.
   * @param {(source?: ModuleSource) => Promise<void>} init
   * @param {import("../index.js").ClientOptions} [options]
   */
  static async create(init, options) {
    const client = new PoolgateClient(init, options);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const patience = new Promise((resolve) => (timer = setTimeout(resolve, LOAD_PATIENCE_MS)));
    await Promise.race([client.#started, patience]);
    clearTimeout(timer);
    return client;
  }

  /** @returns {import("../index.js").ClientState} */
  get state() {
    return this.#core?.state() ?? UNKNOWN;
  }

  async refresh() {
    return this.#need().refresh();
  }

  async cleanup() {
    return this.#need().cleanup();
  }

  close() {
    this.#life.abort();
    this.#tabs?.leave();
    this.#core?.close();
  }

  /**
   * Rejects when the module does not work here.
   * @param {() => Promise<void>} load
   * @param {import("./options.js").Options} options
   * @param {boolean} shared
   */
  async #start(load, options, shared) {
    if (!options.base) {
      const why = "there is no page with an origin, and no option `baseUrl`";
      this.#unavailable(new Error(why), why);
      return;
    }
    await load();
    // Before the first limit: until a worker of ours has answered, it throttles this page's requests.
    await announce();
    if (this.#closed) return;
    announceAgain(this.#life.signal);
    const core = new Core(options, {
      shared,
      relay: (news) => this.#tabs?.relay(news),
      demand: (...demand) => this.#tabs?.demand(...demand),
      emit: (type, detail) => this.#emit(type, detail),
      failed: (error) => this.#failed(error),
    });
    // A listener of its first events has closed the client, or the module has failed already.
    if (this.#closed) return core.close();
    this.#core = core;
    if (shared) {
      this.#tabs = tabsOf(`${options.base}/`, core, options.mode === "auto");
      this.#tabs.join();
    }
    if (globalThis.document) this.#watchPage(core);
  }

  /**
   * A page that is left gives back what it has, and takes part again if it returns from the back/forward cache.
   * @param {Core} core
   */
  #watchPage(core) {
    const { signal } = this.#life;
    const on = (/** @type {EventTarget} */ target, /** @type {string} */ type, /** @type {() => void} */ act) =>
      target.addEventListener(type, act, { signal });
    const join = () => (this.#tabs ? void this.#tabs.join() : core.lead(true));
    on(globalThis, "pagehide", () => {
      core.leave();
      this.#tabs?.leave();
    });
    on(globalThis, "pageshow", join);
    // A frozen page runs no script, so the other tabs must not wait for it.
    on(document, "freeze", () => this.#tabs?.leave());
    on(document, "resume", join);
    on(document, "visibilitychange", () => this.#tabs?.look());
  }

  get #closed() {
    return this.#life.signal.aborted;
  }

  /**
   * @param {Parameters<typeof fetch>[0]} input
   * @param {RequestInit} [init]
   */
  #send(input, init) {
    this.#tabs?.wake();
    return this.#core ? this.#core.fetch(input, init) : this.#passThrough(input, init);
  }

  /** @param {any[]} args */
  async #passThrough(...args) {
    return Reflect.apply(this.#host, undefined, args);
  }

  /**
   * The other tabs must not wait for a client whose module has failed.
   * @param {unknown} error
   */
  #failed(error) {
    this.#core = undefined;
    this.#life.abort();
    this.#tabs?.leave();
    this.#unavailable(error);
  }

  #need() {
    if (!this.#core) {
      throw this.#closed
        ? errorOf("client_closed", "the client is closed")
        : errorOf("wasm_unavailable", "the wasm module is not loaded");
    }
    return this.#core;
  }

  /**
   * @param {unknown} error
   * @param {string} [why]
   */
  #unavailable(error, why = `the wasm module does not work here: ${error}`) {
    if (!hasWarned) warn(`requests pass through: ${why}`);
    hasWarned = true;
    // Later, so that an app that awaits the client can listen first.
    setTimeout(() => this.#emit("syncchange", { stale: false, transport: "none", error }), 0);
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** One warning is enough for a page with many clients. */
let hasWarned = false;
