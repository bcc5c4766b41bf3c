// @ts-check
// What an app gets: it loads the module, dispatches events and tells core.js when the page comes and goes. tabs.js makes all
// tabs act as one client. Without the module, requests pass straight through. Where the module comes from is up to the entry:
// index.js, inline.js, node.js.

import { Coalescer } from "./coalesce.js";
import { Core } from "./core.js";
import { errorOf } from "./error-of.js";
import { bareFetch } from "./host.js";
import { instantiate } from "./module.js";
import { readOptions } from "./options.js";
import { announce, announceAgain } from "./own-client.js";
import { canShare, tabsOf } from "./tabs.js";
import { warn } from "./values.js";

/** How long `createClient` waits for the module; it goes on loading behind a client that passes requests through. */
const LOAD_PATIENCE_MS = 5000;

/** @type {import("./index.js").ClientState} */
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

/** @typedef {import("./index.js").ModuleSource} ModuleSource */

/**
 * What an entry exports.
 * @param {(given?: ModuleSource) => ModuleSource | Promise<ModuleSource>} moduleOf where the module is, unless somebody knows better
 * @returns {Pick<typeof import("./index.js"), "init" | "createClient" | "createThrottledFetch">}
 */
export function entry(moduleOf) {
  const init = (/** @type {ModuleSource | undefined} */ given) => instantiate(() => moduleOf(given));
  return {
    init,
    async createClient(options) {
      const client = new PoolgateClient(init, options);
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const patience = new Promise((resolve) => (timer = setTimeout(resolve, LOAD_PATIENCE_MS)));
      try {
        await Promise.race([client.started, patience]);
      } finally {
        clearTimeout(timer);
      }
      return client;
    },
    createThrottledFetch(options) {
      const client = new PoolgateClient(init, options);
      client.started.catch((error) => warn(`requests pass through: ${error.message}`));
      return client.fetch;
    },
  };
}

class PoolgateClient extends EventTarget {
  /** @type {Core | undefined} */
  #core;
  /** @type {import("./tabs.js").Tabs | undefined} */
  #tabs;
  /** Ends with the client. */
  #life = new AbortController();
  #bare = bareFetch();
  /** @type {typeof fetch} */
  #host;
  /** @type {Coalescer | undefined} where identical requests are one */
  #coalescer;

  /**
   * @param {(source?: ModuleSource) => Promise<void>} init
   * @param {import("./index.js").ClientOptions} options
   */
  constructor(init, options = {}) {
    super();
    this.#host = typeof options?.fetch === "function" ? options.fetch : this.#bare.fetch;
    if (options?.coalesce === true) this.#coalescer = new Coalescer((input, init) => this.#send(input, init));
    // An own property, so that it can be passed around; a method and with one argument, as the host's is.
    const client = this;
    const { fetch } = {
      /**
       * @param {Parameters<typeof globalThis.fetch>[0]} input
       * @param {[RequestInit?]} rest
       * @returns {Promise<Response>}
       */
      fetch(input, ...rest) {
        // The host's fetch says best what is wrong with a call without arguments.
        if (arguments.length === 0) return client.#passThrough();
        const [init] = rest;
        if (client.#bare.hasComeBack(input)) return client.#passThrough(input, init);
        return client.#coalescer ? client.#coalescer.fetch(input, init) : client.#send(input, init);
      },
    };
    this.fetch = fetch;
    /** Settled once the module works, or is known not to. Rejected only when an option is wrong. */
    this.started = this.#start(init, options);
    // Whoever waits for it hears of the failure; nobody has to.
    this.started.catch(() => {});
    Object.defineProperty(this, "started", { enumerable: false });
  }

  /** @returns {import("./index.js").ClientState} */
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
   * @param {(source?: ModuleSource) => Promise<void>} init
   * @param {import("./index.js").ClientOptions} options
   */
  async #start(init, options) {
    const shared = options?.shareAcrossTabs !== false && canShare();
    // What is wrong with them is said whatever becomes of the module.
    const read = readOptions(options, shared, this.#host);
    if (!read.base) {
      const why = "there is no page with an origin, and no option `baseUrl`";
      this.#unavailable(new Error(why), why);
      return;
    }
    try {
      await init(options?.wasm);
    } catch (error) {
      this.#unavailable(error);
      return;
    }
    // Before the first limit: until it has answered, a worker of ours throttles this page's requests.
    await announce();
    if (this.#closed) return;
    announceAgain(this.#life.signal);
    const core = this.#begin(read, {
      shared,
      relay: (/** @type {unknown} */ news) => this.#tabs?.relay(news),
      demand: (/** @type {[number, number, number, number]} */ ...demand) => this.#tabs?.demand(...demand),
      emit: (/** @type {string} */ type, /** @type {unknown} */ detail) => this.#emit(type, detail),
      failed: (/** @type {unknown} */ error) => this.#failed(error),
    });
    if (!core) return;
    this.#core = core;
    if (shared) {
      this.#tabs = tabsOf(`${read.base}/`, core, (options?.transport ?? "auto") === "auto");
      this.#tabs.join();
    }
    if (globalThis.document) this.#watchPage(core);
  }

  /**
   * @param {import("./options.js").Options} options
   * @param {import("./core.js").Shell} shell
   */
  #begin(options, shell) {
    try {
      const core = new Core(options, shell);
      if (!this.#closed) return core;
      // By a listener of its first events, or because it has failed already.
      core.close();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      this.#unavailable(error);
    }
    return undefined;
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
    // A frozen page runs nothing, and must not be waited for.
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
   * The others must not wait for a client whose module is broken.
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
    if (!complained) warn(`requests pass through: ${why}`);
    complained = true;
    // Later, so that whoever awaits the client can listen first.
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

/** Once is enough for a page with many clients. */
let complained = false;
