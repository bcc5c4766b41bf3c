// The browser of a client under test: a fetch whose answers the test gives, and an event stream that it speaks through.
// Each world has a base address of its own, so that the client of another test does not reach it.

const real = globalThis.fetch;
/** @type {Map<string, World>} */
const worlds = new Map();

globalThis.fetch = (input, init) => {
  const url = String(input.url ?? input);
  for (const [base, world] of worlds) {
    if (url.startsWith(`${base}/`)) return world.fetch(url.slice(base.length), input, init);
  }
  return real(input, init);
};

export class World {
  /** What the config route answers: a document, or a status. */
  config = 404;
  asked = 0;
  calls = [];

  constructor() {
    this.base = `${location.origin}/world-${worlds.size}`;
    worlds.set(this.base, this);
  }

  setConfig(text) {
    this.config = JSON.parse(text);
  }

  fetch(path, input, init) {
    if (path === "/api/v1/health/database/throttling-config") {
      this.asked += 1;
      const { config } = this;
      return Promise.resolve(
        typeof config === "number" ? new Response(null, { status: config }) : new Response(JSON.stringify(config)),
      );
    }
    const call = { path, input, init };
    this.calls.push(call);
    return new Promise((resolve, reject) => {
      Object.assign(call, { resolve, reject });
      const signal = init?.signal ?? input.signal;
      signal?.addEventListener("abort", () => {
        call.aborted = true;
        reject(signal.reason);
      });
    });
  }

  get count() {
    return this.calls.length;
  }

  path(index) {
    return this.calls[index].path;
  }

  aborted(index) {
    return this.calls[index].aborted === true;
  }

  answer(index, status, headers, body) {
    this.calls[index].resolve(new Response(body, { status, headers: JSON.parse(headers) }));
  }

  fail(index, value) {
    this.calls[index].reject(value);
  }
}

const realEventSource = globalThis.EventSource;

/** Replaces `EventSource` by one that says what the test wants. Gives the list of those that were opened. */
export function fakeEventSource() {
  const opened = [];
  globalThis.EventSource = class extends EventTarget {
    constructor(url) {
      super();
      Object.assign(this, { url, closed: false });
      opened.push(this);
    }
    close() {
      this.closed = true;
    }
  };
  return opened;
}

export function restoreEventSource() {
  globalThis.EventSource = realEventSource;
}

export function speak(source, type, data) {
  source.dispatchEvent(data === undefined ? new Event(type) : new MessageEvent(type, { data }));
}

/** As much of the npm package's client as a page would hand over. */
export function scriptClient() {
  return Object.assign(new EventTarget(), {
    calls: [],
    rejection: undefined,
    state: {
      level: "MODERATE", health: "HEALTHY", breaker: "closed", enforced: true, config: null, inFlight: 1, queued: 4,
      oldestWaitMs: 12.5, etaMs: null, stale: false, transport: "shared", ratePerSecond: 2.5,
    },
    async fetch(input, init) {
      this.calls.push({ url: input.url, ...init.poolgate });
      if (this.rejection) throw this.rejection;
      return new Response("adopted");
    },
    async refresh() {},
    async cleanup() {},
    close() {
      this.closed = true;
    },
  });
}

export function poolgateError(code, retryAfterMs) {
  return Object.assign(new Error("no"), { code, retryAfterMs });
}
