/** Starts a client. Rejected with a `TypeError` when an option is wrong. */
export function createClient(options?: ClientOptions): Promise<PoolgateClient>;

/**
 * A `fetch` that can be used at once: it starts loading now and passes requests through until it is ready. What is
 * wrong with an option is said on the console, and requests pass through.
 */
export function createThrottledFetch(options?: ClientOptions): typeof fetch;

/**
 * Loads the module, once for all clients; `createClient` does so by itself. Call it to load early, or from elsewhere.
 * Rejected when the module does not work here; clients then pass requests through. The next call tries again.
 */
export function init(source?: ModuleSource): Promise<void>;

/** Where the WebAssembly module comes from: its address, its bytes, a response with them, or the compiled module. */
export type ModuleSource = string | URL | BufferSource | Response | WebAssembly.Module;

export interface ClientOptions {
  /**
   * Where the Poolgate server is. Default: the page's origin. Where there is none (a server that renders pages, a sandboxed
   * frame, a file), requests pass through unless it is given.
   */
  baseUrl?: string | URL;
  /** `"auto"` (default): the event stream, and polling while there is none. */
  transport?: "auto" | "sse" | "poll";
  /** How often to ask without a stream, 1000 to 3600000, +-20 %; once there is a config, its own word wins. Default 30000. */
  pollIntervalMs?: number;
  /** Which requests count. Default: those to the origin of `baseUrl`, without the health API. */
  throttles?: (url: URL) => boolean;
  /** How many requests may wait, 0 to 10000. Default 256. */
  maxQueue?: number;
  /** How long a request may wait, 0 to 600000. Default 10000. */
  queueTimeoutMs?: number;
  /** While the breaker is open: reject with `CircuitOpenError` (default), or answer with a synthetic 503 and `Retry-After`. */
  onOpen?: "reject" | "respond";
  /** The same for whatever is turned away: its `code` is in the problem document. Default `"reject"`. */
  onReject?: "reject" | "respond";
  /**
   * Of the client's own requests, to the config and for a cleanup. Default `"same-origin"`, as with fetch; `"include"` sends
   * cookies to a server on another origin, with the event stream too, which must allow credentials.
   */
  credentials?: RequestCredentials;
  /**
   * Act as one client with all tabs and workers of this origin: one event stream and one budget. Default true; where it
   * is impossible (an insecure context has no Web Locks) each tab is a client of its own and polls.
   */
  shareAcrossTabs?: boolean;
  /** Ask the server to clean its pool up when severe throttling lasts: once in 5 minutes per browser at most. Default true. */
  autoCleanup?: boolean;
  /**
   * Obey other limiters too: `Retry-After` of a 413, 429 or 503 and the `RateLimit` fields (in all forms that servers send,
   * `X-RateLimit` included) of any response that is not the gate's hold back further requests of this page to the same origin and path, for a minute at most. It concerns whatever
   * goes through this client, throttled or not. Default false.
   */
  honourForeignLimits?: boolean;
  /**
   * Identical GETs in flight share one request; each call gets a `Response` of its own and may be aborted by itself. Calls
   * with members of `init` that fetch does not know are not shared. Default false.
   */
  coalesce?: boolean;
  /**
   * How often a throttled request may be tried again that got no contact or 429, 502, 503 or 504, 0 to 5: only GET, HEAD,
   * OPTIONS, PUT and DELETE without a body, after a growing random wait or the server's `Retry-After` (30 s at most). All
   * retries together are a tenth of the requests at most, and there are none above MODERATE. Default 0.
   */
  retries?: number;
  /** The real fetch. Default: `globalThis.fetch` at the moment of each call, so that whoever patches it later is asked. */
  fetch?: typeof fetch;
  /** The module, where the entry's own cannot be loaded. The first client's counts. */
  wasm?: ModuleSource;
}

export interface PoolgateClient extends EventTarget {
  /** `fetch` with limits. Bound: it can be passed around. */
  readonly fetch: ThrottledFetch;
  /** A snapshot. */
  readonly state: ClientState;
  /** Asks the server for its config now; fulfilled with the one in force. */
  refresh(): Promise<ThrottlingConfig>;
  /** Asks the server to clean its connection pool up. */
  cleanup(): Promise<CleanupReport>;
  /** Rejects what waits, stops timers and streams; `fetch` then passes straight through. */
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

export type ThrottledFetch = (
  input: RequestInfo | URL,
  init?: RequestInit & { poolgate?: RequestOptions },
) => Promise<Response>;

/** What one request says about its place in the queue. */
export interface RequestOptions {
  /** Default `"normal"`, or the standard `priority` of the request. */
  priority?: "critical" | "high" | "normal" | "low";
  /** How long this request may wait, 0 to 600000. */
  queueTimeoutMs?: number;
  /** Start at once, whatever is in force. */
  bypass?: boolean;
  /** How often this request may be tried again, 0 to 5; the conditions of the client's `retries` hold. */
  retries?: number;
}

export interface ClientState {
  level: ThrottlingLevel;
  health: Health;
  breaker: CircuitState;
  /** Limits act. */
  enforced: boolean;
  /** The newest whole config; a response's header may have been newer. */
  config: ThrottlingConfig | null;
  inFlight: number;
  queued: number;
  /** How long the oldest of them has waited for its turn. */
  oldestWaitMs: number;
  /**
   * How long a request of normal priority that is made now will wait, if what is in force stays so and nothing more important
   * comes. `null`: nobody can know, because it depends on requests in flight, on the breaker, or on what comes later; or it
   * would be turned away.
   */
  etaMs: { earliest: number; latest: number } | null;
  /** The config has outlived its time to live. */
  stale: boolean;
  /**
   * How configs arrive; `"shared"`: another tab hears them and hands them on; `"none"`: before the first one, after
   * `close`, and where the server has none.
   */
  transport: "sse" | "poll" | "shared" | "none";
  /** Requests this client, all tabs together, may start per second; `null`: any number. */
  ratePerSecond: number | null;
}

export interface ClientEventMap {
  /** A new config. */
  config: CustomEvent<ThrottlingConfig>;
  levelchange: CustomEvent<{ from: ThrottlingLevel; to: ThrottlingLevel }>;
  breakerchange: CustomEvent<{ from: CircuitState; to: CircuitState }>;
  /** The number of waiting requests has changed. */
  queuechange: CustomEvent<{ queued: number; inFlight: number }>;
  /** How well the client is informed has changed; with `error` when the wasm module does not work here. */
  syncchange: CustomEvent<{ stale: boolean; transport: ClientState["transport"]; error?: unknown }>;
}

export type ThrottlingLevel = "NORMAL" | "MODERATE" | "AGGRESSIVE" | "EMERGENCY";
export type Health = "HEALTHY" | "DEGRADED" | "CRITICAL";
export type CircuitState = "closed" | "open" | "half_open";

/** The server's document, the same for every client. */
export interface ThrottlingConfig {
  throttling_level: ThrottlingLevel;
  max_concurrent_requests: number;
  max_requests_per_minute: number;
  request_delay_ms: number;
  circuit_breaker_open: boolean;
  emergency_mode_active: boolean;
  epoch: number;
  version: number;
  health: Health;
  enforced: boolean;
  fair_rate_per_second: number | null;
  poll_after_seconds: number;
  ttl_seconds: number;
  retry_after_seconds: number | null;
  probe_fraction: number | null;
  reason: string;
}

export interface CleanupReport {
  trigger: "manual" | "automatic";
  started_at: string;
  duration_ms: number;
  checked_out_before: number;
  checked_out_after: number;
  idle_closed: number;
  freed: number;
  leases_flagged: number;
  revoked: number;
  cancelled: number;
  terminated: number;
  skipped: string[];
  summary: string;
}

/** Base of all errors of this library. */
export class PoolgateError extends Error {
  constructor(code: string, message: string, retryAfterMs?: number | null);
  /** `circuit_open`, `queue_full`, `queue_timeout`, `client_closed`, `config_unavailable`, `wasm_unavailable`, or the server's. */
  readonly code: string;
  /** When another attempt may succeed, if that is known. */
  readonly retryAfterMs: number | null;
}
/** The database does not answer; requests are held back until it does. */
export class CircuitOpenError extends PoolgateError {}
/** As many requests wait as may wait. */
export class QueueFullError extends PoolgateError {}
/** The request waited as long as it may. */
export class QueueTimeoutError extends PoolgateError {}
/** The client was closed while the request waited. */
export class ClientClosedError extends PoolgateError {}

/** Whether a value is an error of this library, of whichever copy or realm. */
export function isPoolgateError(value: unknown): value is PoolgateError;
