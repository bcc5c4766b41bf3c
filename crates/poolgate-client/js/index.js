// @ts-check
// The shell around the wasm module: it loads it, dispatches its events and makes its errors. Polling, the event stream,
// the queue and every decision are in the module. Without it, requests pass straight through.

import initialize, { Client } from "./poolgate_client.js";
import { errorOf } from "./errors.js";

export {
  CircuitOpenError,
  ClientClosedError,
  PoolgateError,
  QueueFullError,
  QueueTimeoutError,
  isPoolgateError,
} from "./errors.js";

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
  stale: false,
  transport: "none",
  ratePerSecond: null,
});

/** @param {import("./index.js").ClientOptions} [options] */
export async function createClient(options) {
  const client = new PoolgateClient(options);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, LOAD_PATIENCE_MS)));
  try {
    await Promise.race([client.started, patience]);
  } finally {
    clearTimeout(timer);
  }
  return client;
}

/** @param {import("./index.js").ClientOptions} [options] */
export function createThrottledFetch(options) {
  const client = new PoolgateClient(options);
  client.started.catch((error) => warn(`requests pass through: ${error.message}`));
  return client.fetch;
}

class PoolgateClient extends EventTarget {
  /** @type {Client | undefined} */
  #core;
  #closed = false;
  /** @type {typeof fetch} */
  #host;

  /** @param {import("./index.js").ClientOptions} options */
  constructor(options = {}) {
    super();
    this.#host = options?.fetch ?? globalThis.fetch;
    // An own property and not a method, so that it can be passed around.
    const client = this;
    /** @type {typeof fetch} */
    this.fetch = function fetch(input, init) {
      // The host's fetch says best what is wrong with a call without arguments.
      return arguments.length === 0 ? client.#passThrough() : client.#fetch(input, init);
    };
    /** Settled once the module works, or is known not to. Rejected only when an option is wrong. */
    this.started = this.#start(options);
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
    this.#closed = true;
    this.#core?.close();
  }

  /** @param {import("./index.js").ClientOptions} options */
  async #start(options) {
    try {
      await load(options?.wasm);
    } catch (error) {
      this.#unavailable(error);
      return;
    }
    if (!this.#closed) {
      this.#core = new Client(options, {
        emit: (/** @type {string} */ type, /** @type {unknown} */ detail) => this.#emit(type, detail),
        error: errorOf,
        warn,
      });
    }
  }

  /**
   * @param {Parameters<typeof fetch>[0]} input
   * @param {RequestInit} [init]
   */
  #fetch(input, init) {
    if (!this.#core) {
      return this.#passThrough(input, init);
    }
    try {
      return this.#core.fetch(input, init);
    } catch (error) {
      // The module trapped. This call may have been sent, so it is not sent again; later ones pass straight through.
      this.#core = undefined;
      this.#unavailable(error);
      return Promise.reject(error);
    }
  }

  /** @param {any[]} args */
  async #passThrough(...args) {
    return Reflect.apply(this.#host, undefined, args);
  }

  #need() {
    if (!this.#core) {
      throw this.#closed
        ? errorOf("client_closed", "the client is closed")
        : errorOf("wasm_unavailable", "the wasm module is not loaded");
    }
    return this.#core;
  }

  /** @param {unknown} error */
  #unavailable(error) {
    warn(`the wasm module does not work here, requests pass through: ${error}`);
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

/** @type {Promise<unknown> | undefined} */
let loading;

/**
 * Loads the module once for all clients; after a failure the next client tries again.
 * @param {import("./index.js").ClientOptions["wasm"]} source
 */
function load(source) {
  loading ??= instantiate(source).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

/** @param {import("./index.js").ClientOptions["wasm"]} source */
async function instantiate(source = new URL("poolgate_client_bg.wasm", import.meta.url)) {
  const local = source instanceof URL && source.protocol === "file:" && globalThis.process?.versions?.node;
  return initialize({ module_or_path: local ? await readFile(source) : source });
}

/**
 * Node's fetch does not read files. The name stands in a variable so that no bundler follows it into a browser.
 * @param {URL} url
 */
async function readFile(url) {
  const name = "node:fs/promises";
  const fs = await import(/* webpackIgnore: true */ /* @vite-ignore */ name);
  return fs.readFile(url);
}

/** @param {string} message */
function warn(message) {
  console.warn(`[poolgate] ${message}`);
}
