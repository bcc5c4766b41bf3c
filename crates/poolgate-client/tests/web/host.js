// The host of a client under test: a shell that remembers, a fetch whose answers the test gives, an event stream that
// the test speaks through.

import { errorOf, isPoolgateError } from "../../js/errors.js";

export class World {
  constructor() {
    this.events = [];
    this.warnings = [];
    this.calls = [];
    this.config = 404;
    this.asked = 0;
    this.onEvent = undefined;
    this.shell = {
      emit: (type, detail) => {
        this.events.push({ type, detail });
        this.onEvent?.(type);
      },
      error: errorOf,
      made: isPoolgateError,
      warn: (message) => this.warnings.push(message),
    };
    this.fetch = (input, init) => {
      if (String(input).endsWith("/throttling-config")) {
        this.asked += 1;
        return Promise.resolve(
          typeof this.config === "number"
            ? new Response(null, { status: this.config })
            : new Response(JSON.stringify(this.config)),
        );
      }
      const call = { input, init };
      this.calls.push(call);
      if (this.throws) {
        throw this.throws;
      }
      return new Promise((resolve, reject) => Object.assign(call, { resolve, reject }));
    };
  }

  get count() {
    return this.calls.length;
  }

  input(index) {
    return this.calls[index].input;
  }

  init(index) {
    return this.calls[index].init;
  }

  initOrEmpty(index) {
    return this.calls[index].init ?? {};
  }

  answer(index, answer) {
    this.calls[index].resolve(answer);
  }

  fail(index, error) {
    this.calls[index].reject(error);
  }

  details(type) {
    return JSON.stringify(this.events.filter((event) => event.type === type).map((event) => event.detail));
  }
}

export function response(status, headers) {
  return new Response(null, { status, headers: JSON.parse(headers) });
}

export function responseWith(body, status, headers) {
  return new Response(body, { status, headers: JSON.parse(headers) });
}

/** What a fetch of the app's own might answer, and nothing in it is what it should be. */
export function oddRejection() {
  const head = { "poolgate-config": "e=1, v=1", "content-type": "application/problem+json", "retry-after": "60" };
  const headers = { get: (name) => head[name] ?? null };
  return { status: 503, headers, clone: () => ({ json: () => "no promise" }) };
}

/** A signal that counts its listeners. */
export function countingSignal(controller) {
  const { signal } = controller;
  signal.listeners = 0;
  for (const [name, step] of [["addEventListener", 1], ["removeEventListener", -1]]) {
    const original = signal[name].bind(signal);
    signal[name] = (...args) => {
      signal.listeners += step;
      original(...args);
    };
  }
  return signal;
}

/** Replaces `EventSource` by one that says what the test wants. Gives the list of those that were opened. */
export function fakeEventSource() {
  const opened = [];
  globalThis.EventSource = class extends EventTarget {
    constructor(url) {
      super();
      this.url = url;
      this.closed = false;
      opened.push(this);
    }
    close() {
      this.closed = true;
    }
  };
  return opened;
}

export function speak(source, type, data) {
  source.dispatchEvent(data === undefined ? new Event(type) : new MessageEvent(type, { data }));
}
