import type { CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel } from "./wire.js";
export type { CircuitState, CleanupReport, Health, ThrottlingConfig, ThrottlingLevel };

/** Starts a client. Rejects with a `TypeError` that names a wrong option. */
export function createClient(options?: ClientOptions): Promise<PoolgateClient>;

/**
 * A `fetch` that can be used at once: it loads the module in the background and passes requests through until it is ready.
 * Throws a `TypeError` that names a wrong option.
 */
export function createThrottledFetch(options?: ClientOptions): ThrottledFetch;

/**
 * Loads the module, once for all clients. `createClient` does so by itself; call `init` to load it earlier or from another
 * address. Rejects when the module does not work here; clients then pass requests through. The next call tries again.
 */
export function init(source?: ModuleSource): Promise<void>;

/** Where the WebAssembly module comes from: its address, its bytes, a response with them, or the compiled module. */
export type ModuleSource = string | URL | BufferSource | Response | WebAssembly.Module;

export interface ClientOptions {
  /**
   * Where the Poolgate server is. Default: the page's origin. If there is none (a server that renders pages, a sandboxed frame,
   * a file), requests pass through unless this option is given.
   */
  baseUrl?: string | URL;
  /** How configs arrive. `"auto"` (default): by the event stream, and by polling while there is no stream. */
  transport?: "auto" | "sse" | "poll";
  /** Milliseconds between two polls, 1000 to 3600000, +-20 %; the interval in the server's config wins. Default 30000. */
  pollIntervalMs?: number;
  /** Which requests are throttled. Default: those to the origin of `baseUrl`, except the health API. */
  throttles?: (url: URL) => boolean;
  /** How many requests may wait, 0 to 10000. Default 256. */
  maxQueue?: number;
  /** How long a request may wait, in milliseconds, 0 to 600000. Default 10000. */
  queueTimeoutMs?: number;
  /** A request while the breaker is open: rejects with `CircuitOpenError` (default), or gets a synthetic 503 with `Retry-After`. */
  onOpen?: "reject" | "respond";
  /** The same for every rejected request; the error's `code` is in the problem document. Default `"reject"`. */
  onReject?: "reject" | "respond";
  /**
   * Credentials of the client's own requests for configs and cleanups. Default `"same-origin"`, as with fetch. `"include"`
   * sends cookies to a server on another origin, also with the event stream; that server must allow credentials.
   */
  credentials?: RequestCredentials;
  /**
   * All tabs and workers of this origin act as one client, with one event stream and one budget. Default true. Without Web
   * Locks (an insecure context) each tab is a client of its own and polls.
   */
  shareAcrossTabs?: boolean;
  /** Asks the server to clean its pool up when severe throttling lasts, at most once in 5 minutes per browser. Default true. */
  autoCleanup?: boolean;
  /**
   * Obeys other limiters than the gate too: `Retry-After` of a 413, 429 or 503 and the `RateLimit` fields (all forms, also
   * `X-RateLimit`) hold back further requests of this page to the same origin and path, for a minute at most. This applies to
   * all requests of this client, throttled or not. Default false.
   */
  honourForeignLimits?: boolean;
  /**
   * Identical GETs in flight share one request. Each call gets a `Response` of its own and can be aborted separately. Calls with
   * members of `init` that fetch does not know are not shared. Default false.
   */
  coalesce?: boolean;
  /**
   * How often a throttled request is retried after a network error, 429, 502, 503 or 504, 0 to 5. Only GET, HEAD, OPTIONS, PUT
   * and DELETE without a body are retried, after a growing random wait or the server's `Retry-After` (30 s at most). At most a
   * tenth of all requests are retries, and there are none above MODERATE. Default 0.
   */
  retries?: number;
  /** The real fetch. Default: `globalThis.fetch` at the moment of each call, so that a later patch of it is used. */
  fetch?: typeof fetch;
  /** The module, if the entry's own cannot be loaded. The first client's option counts. */
  wasm?: ModuleSource;
}

export interface PoolgateClient extends EventTarget {
  /** `fetch` with limits. Bound: it can be passed around. */
  readonly fetch: ThrottledFetch;
  /** A snapshot. */
  readonly state: ClientState;
  /** Asks the server for its config now. Resolves to the config in force. */
  refresh(): Promise<ThrottlingConfig>;
  /** Asks the server to clean its connection pool up. Resolves to its report. */
  cleanup(): Promise<CleanupReport>;
  /** Rejects the requests that wait, stops timers and streams. `fetch` then passes straight through. */
  close(): void;

  addEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: (this: PoolgateClient, event: ClientEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: (this: PoolgateClient, event: ClientEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** `fetch` with limits. */
export type ThrottledFetch = (
  input: RequestInfo | URL,
  init?: RequestInit & { poolgate?: RequestOptions },
) => Promise<Response>;

/** Options of one request. */
export interface RequestOptions {
  /** Default `"normal"`, or the standard `priority` of the request. */
  priority?: "critical" | "high" | "normal" | "low";
  /** How long this request may wait, in milliseconds, 0 to 600000. */
  queueTimeoutMs?: number;
  /** Starts the request at once, even if limits are in force. */
  bypass?: boolean;
  /** How often this request is retried, 0 to 5, under the conditions of the client's `retries`. */
  retries?: number;
}

export interface ClientState {
  level: ThrottlingLevel;
  health: Health;
  breaker: CircuitState;
  /** Limits are in force. */
  enforced: boolean;
  /** The newest config document; the header of a response may have been newer. */
  config: ThrottlingConfig | null;
  inFlight: number;
  queued: number;
  /** How long the oldest queued request has waited, in milliseconds. */
  oldestWaitMs: number;
  /**
   * How long a new request of normal priority will wait, if the limits stay as they are and no request of higher priority
   * comes. `null`: unknown, because it depends on requests in flight, on the breaker or on later requests; or the request would
   * be rejected.
   */
  etaMs: { earliest: number; latest: number } | null;
  /** The config is older than its time to live. */
  stale: boolean;
  /**
   * How configs arrive. `"shared"`: another tab receives them and hands them on. `"none"`: before the first one, after `close`,
   * and if the server has none.
   */
  transport: "sse" | "poll" | "shared" | "none";
  /** Requests that this client, all tabs together, may start per second; `null`: any number. */
  ratePerSecond: number | null;
}

export interface ClientEventMap {
  /** A new config. */
  config: CustomEvent<ThrottlingConfig>;
  levelchange: CustomEvent<{ from: ThrottlingLevel; to: ThrottlingLevel }>;
  breakerchange: CustomEvent<{ from: CircuitState; to: CircuitState }>;
  /** The number of waiting requests has changed. */
  queuechange: CustomEvent<{ queued: number; inFlight: number }>;
  /** `state.stale` or `state.transport` has changed. With `error`: the wasm module does not work here. */
  syncchange: CustomEvent<{ stale: boolean; transport: ClientState["transport"]; error?: unknown }>;
}

/** Base of all errors of this library. */
export class PoolgateError extends Error {
  constructor(code: string, message: string, retryAfterMs?: number | null);
  /** `circuit_open`, `queue_full`, `queue_timeout`, `client_closed`, `config_unavailable`, `wasm_unavailable`, or the server's. */
  readonly code: string;
  /** Milliseconds after which another attempt may succeed, if that is known. */
  readonly retryAfterMs: number | null;
}
/** The database does not answer, so requests are held back until it does. */
export class CircuitOpenError extends PoolgateError {}
/** The queue is full. */
export class QueueFullError extends PoolgateError {}
/** The request waited for its longest time. */
export class QueueTimeoutError extends PoolgateError {}
/** The client was closed while the request waited. */
export class ClientClosedError extends PoolgateError {}

/** Whether a value is an error of this library, from any copy of it and any realm. */
export function isPoolgateError(value: unknown): value is PoolgateError;
