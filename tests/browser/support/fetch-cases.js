// fetch calls as apps make them, run in a page, with results that two runs can compare. The same code runs with the
// browser's fetch and with a client's.

/**
 * @typedef {object} Tools
 * @property {(path: string) => string} at the URL of an app route for this case
 * @property {(path: string) => string} elsewhere the same on another origin
 * @property {() => Promise<unknown>} goOn makes the server send what it holds back
 * @property {typeof globalThis.fetch} native
 * @typedef {(fetch: typeof globalThis.fetch, tools: Tools) => unknown} Run
 */

const SHA256 = "sha256-";

/** @type {(name: string, init?: RequestInit) => [string, Run]} */
const post = (name, init) => [name, (fetch, { at }) => fetch(at("/app/echo"), { method: "POST", ...init })];
/** @type {(name: string, init: any) => [string, Run]} */
const get = (name, init) => [name, (fetch, { at }) => fetch(at("/app/echo"), init)];

/** @type {Record<string, Run>} */
export const CASES = Object.fromEntries([
  ["a relative address", (fetch, { at }) => fetch(at("/app/echo"))],
  ["a relative address without a slash", (fetch, { at }) => fetch(at("/app/echo").slice(1))],
  ["an absolute address with a fragment", (fetch, { at }) => fetch(new URL(`${at("/app/echo")}#part`, location.href).href)],
  ["a URL", (fetch, { at }) => fetch(new URL(at("/app/echo"), location.href))],
  ["an object that says its address", (fetch, { at }) => fetch(/** @type {any} */ ({ toString: () => at("/app/echo") }))],
  ["a Request", (fetch, { at }) => fetch(new Request(at("/app/echo"), { headers: { "x-a": "1" } }))],
  ["a Request with a body", used((at) => new Request(at("/app/echo"), { method: "POST", body: "of the request" }))],
  ["a Request with a body and other headers", used((at) => new Request(at("/app/echo"), { method: "POST", body: "of the request" }), { headers: { "x-a": "2" } })],
  ["a Request with a body and another body", used((at) => new Request(at("/app/echo"), { method: "POST", body: "of the request" }), { body: new URLSearchParams("a=1") })],
  ["a Request and another method", used((at) => new Request(at("/app/echo"), { headers: { "x-a": "1" } }), { method: "PUT", body: "new" })],
  ["a Request as init", (fetch, { at }) => fetch(at("/app/echo"), new Request(at("/app/other"), { method: "POST", headers: { "x-a": "1" } }))],
  ["a clone of a Request", async (fetch, { at }) => {
    const request = new Request(at("/app/echo"), { method: "POST", body: "twice" });
    return [await tell(fetch(request.clone())), await tell(fetch(request))];
  }],
  ["data:", (fetch) => fetch("data:text/plain,inline")],
  ["blob:", (fetch) => fetch(URL.createObjectURL(new Blob(["in memory"], { type: "text/x" })))],

  ...["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "post", "patch"].map((method) => get(method, { method })),

  get("headers as a record", { headers: { "X-A": "1", "x-b": "ü" } }),
  get("headers as a list", { headers: [["x-a", "1"], ["x-a", "2"]] }),
  get("headers", { headers: new Headers({ "x-a": "1" }) }),
  get("headers that a page may not set", { headers: { cookie: "a=1", host: "x", "x-a": "1" } }),
  get("an empty init", {}),
  get("no init", undefined),
  get("null as init", null),
  ["an init with inherited members", (fetch, { at }) => fetch(at("/app/echo"), Object.create({ method: "POST", body: "inherited" }))],

  post("a string", { body: "text ü" }),
  post("an empty string", { body: "" }),
  post("a number", { body: /** @type {any} */ (42) }),
  post("no body", { body: null }),
  post("a Blob with a type", { body: new Blob(["blob"], { type: "text/x-own" }) }),
  post("a Blob without", { body: new Blob([new Uint8Array([0, 255, 10])]) }),
  post("URLSearchParams", { body: new URLSearchParams([["a", "1"], ["a", "ü&"]]) }),
  post("an ArrayBuffer", { body: Uint8Array.of(1, 2, 3).buffer }),
  post("a typed array", { body: new Uint16Array([1, 2, 3, 4]).subarray(1, 3) }),
  post("a DataView", { body: new DataView(Uint8Array.of(1, 2, 3, 4).buffer, 1, 2) }),
  ["a form with a file", (fetch, { at }) => {
    const body = new FormData();
    body.append("a", "1\r\n2");
    body.append("a", "ü");
    body.append("file", new File(["content"], 'na"me.txt', { type: "text/plain" }));
    return fetch(at("/app/echo"), { method: "POST", body });
  }],
  post("a body with a type of its own", { body: "{}", headers: { "content-type": "application/json" } }),
  post("keepalive", { body: "outlives", keepalive: true }),

  ["302 is followed", (fetch, { at }) => fetch(at("/app/redirect?code=302&to=/app/echo"), { method: "POST", body: "lost" })],
  ["307 keeps the body", (fetch, { at }) => fetch(at("/app/redirect?code=307&to=/app/echo"), { method: "POST", body: "kept" })],
  ["a redirect is an error", (fetch, { at }) => fetch(at("/app/redirect?code=302&to=/app/echo"), { redirect: "error" })],
  ["a redirect by hand", (fetch, { at }) => fetch(at("/app/redirect?code=302&to=/app/echo"), { redirect: "manual" })],
  ["a redirect elsewhere", (fetch, { at, elsewhere }) => fetch(at(`/app/redirect?code=302&to=${encodeURIComponent(elsewhere("/app/echo"))}`))],
  ["redirects in a circle", (fetch, { at }) => fetch(at("/app/redirect?code=302&to=/app/redirect?code=302"))],

  ...["omit", "same-origin", "include"].map((credentials) => /** @type {[string, Run]} */ ([
    `credentials: ${credentials}`,
    async (fetch, { at, native }) => {
      await native(at("/app/cookie"));
      return fetch(at("/app/echo"), { credentials: /** @type {any} */ (credentials) });
    },
  ])),
  ...["default", "no-store", "reload", "no-cache", "force-cache"].map((cache) => /** @type {[string, Run]} */ ([
    `cache: ${cache}`,
    async (fetch, { at, native }) => {
      await (await native(at("/app/cached"))).text();
      return fetch(at("/app/cached"), { cache: /** @type {any} */ (cache) });
    },
  ])),
  ["cache: only-if-cached, without one", (fetch, { at }) => fetch(at("/app/echo"), { cache: "only-if-cached", mode: "same-origin" })],
  ["good integrity", async (fetch, { at }) => fetch(at("/app/echo"), { integrity: await hash("the same every time") })],
  ["bad integrity", async (fetch, { at }) => fetch(at("/app/echo"), { integrity: await hash("another") })],
  get("priority: high", { priority: "high" }),
  get("priority: low", { priority: "low" }),
  ["mode: cors", (fetch, { elsewhere }) => fetch(elsewhere("/app/echo"), { headers: { "x-a": "1" } })],
  ["mode: no-cors", (fetch, { elsewhere }) => fetch(elsewhere("/app/echo"), { mode: "no-cors" })],
  ["mode: same-origin", (fetch, { elsewhere }) => fetch(elsewhere("/app/echo"), { mode: "same-origin" })],
  get("no referrer", { referrer: "" }),
  get("another referrer", { referrer: "/another/page", referrerPolicy: "unsafe-url" }),
  get("members that fetch does not know", { next: { revalidate: 1 }, unknown: () => {} }),

  ["aborted before", (fetch, { at }) => fetch(at("/app/echo"), { signal: AbortSignal.abort() })],
  ["aborted before, with a reason", (fetch, { at }) => fetch(at("/app/echo"), { signal: AbortSignal.abort({ own: "reason" }) })],
  ["aborted before, with a body", used((at) => new Request(at("/app/echo"), { method: "POST", body: "x", signal: AbortSignal.abort("why") }))],
  ["aborted before, and wrong", (fetch, { at }) => fetch(at("/app/echo"), { signal: AbortSignal.abort("why"), body: "with GET" })],
  ["aborted at once", (fetch, { at }) => {
    const controller = new AbortController();
    const promise = fetch(at("/app/slow"), { signal: controller.signal });
    controller.abort();
    return promise;
  }],
  ...[["on its way", { own: "reason" }], ["on its way, with undefined", undefined], ["on its way, with a string", "why"]].map(
    ([name, reason]) => /** @type {[string, Run]} */ ([`aborted ${name}`, async (fetch, { at }) => {
      const controller = new AbortController();
      const told = tell(fetch(at("/app/slow"), { signal: controller.signal }), () => controller.signal.reason);
      setTimeout(() => controller.abort(reason), 150);
      return told;
    }]),
  ),
  ["timed out", (fetch, { at }) => fetch(at("/app/slow"), { signal: AbortSignal.timeout(150) })],
  ["aborted by the signal of a Request", async (fetch, { at }) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort("why"), 150);
    return fetch(new Request(at("/app/slow"), { signal: controller.signal }));
  }],
  ["a signal that init takes away", async (fetch, { at }) => {
    const controller = new AbortController();
    const promise = fetch(new Request(at("/app/echo"), { signal: controller.signal }), { signal: null });
    controller.abort("why");
    return promise;
  }],
  ["aborted while the body comes", async (fetch, { at }) => {
    const controller = new AbortController();
    const response = await fetch(at("/app/parts"), { signal: controller.signal });
    const text = response.text().then(String, (error) => `${error?.name ?? error}`);
    controller.abort();
    return text;
  }],
  ["aborted after the end", async (fetch, { at }) => {
    const controller = new AbortController();
    const response = await fetch(at("/app/echo"), { signal: controller.signal });
    const text = await response.text();
    controller.abort();
    return text;
  }],

  ["a Request of another realm", (fetch, { at }) => {
    const { Request } = another();
    return fetch(new Request(new URL(at("/app/echo"), location.href), { method: "POST", body: "of a frame", headers: { "x-a": "1" } }));
  }],
  ["a Request of another realm, for elsewhere", (fetch, { elsewhere }) => fetch(new (another().Request)(elsewhere("/app/echo")))],
  ["bodies of another realm that change later", async (fetch, { at }) => {
    const { FormData, URLSearchParams, Uint8Array } = another();
    const [form, query, bytes] = [new FormData(), new URLSearchParams("a=1"), Uint8Array.of(49, 50)];
    form.append("a", "1");
    const statuses = [];
    for (const [body, change] of /** @type {[any, () => void][]} */ ([
      [form, () => form.append("a", "2")],
      [query, () => query.append("a", "2")],
      [bytes, () => bytes.fill(51)],
      [bytes.buffer, () => bytes.fill(52)],
    ])) {
      const promise = fetch(at("/app/echo"), { method: "POST", body });
      change();
      statuses.push((await promise).status);
    }
    return statuses;
  }],
  ["a body that is a list, and grows", (fetch, { at }) => {
    const body = [1, 2];
    const promise = fetch(at("/app/echo"), /** @type {any} */ ({ method: "POST", body }));
    body.push(3);
    return promise;
  }],
  ["a body that is a URL, and changes", (fetch, { at }) => {
    const body = new URL("http://app.test/before");
    const promise = fetch(at("/app/echo"), /** @type {any} */ ({ method: "POST", body }));
    body.pathname = "/after";
    return promise;
  }],
  get("names of headers in capitals", { headers: { SOAPAction: "a", "X-AA-Mixed": "1" } }),
  get("a list of names in capitals", { headers: [["SOAPAction", "a"], ["X-AA-Mixed", "1"]] }),
  ["a page that is another one a moment later", async (fetch, { at }) => {
    const before = location.href;
    const promise = fetch(at("/app/echo"));
    const request = fetch(new Request(at("/app/echo?request")));
    history.pushState(0, "", "/later");
    await Promise.all([promise, request]);
    history.replaceState(0, "", before);
    return [(await promise).status, (await request).status];
  }],
  ["a relative referrer", async (fetch, { at }) => {
    const before = location.href;
    const promise = fetch(at("/app/echo"), { referrer: "rr", referrerPolicy: "unsafe-url" });
    history.pushState(0, "", "/another/page");
    await promise;
    history.replaceState(0, "", before);
    return promise;
  }],
  ["blob: that is revoked at once", (fetch) => {
    const address = URL.createObjectURL(new Blob(["in memory"], { type: "text/x" }));
    const promise = fetch(address);
    URL.revokeObjectURL(address);
    return promise;
  }],
  ["an init that is used again for another call", (fetch, { at }) => {
    const init = { method: "POST", signal: new AbortController().signal };
    const promise = fetch(at("/app/reset"), init);
    init.signal = AbortSignal.abort("of the other call");
    return promise;
  }],

  ["no arguments", (fetch) => /** @type {any} */ (fetch)()],
  ["a broken address", (fetch) => fetch("http://[broken")],
  ["an address with a password", (fetch) => fetch("http://user:secret@localhost/")],
  ["a Symbol", (fetch) => fetch(/** @type {any} */ (Symbol("x")))],
  ["an address that throws", (fetch) => fetch(/** @type {any} */ ({ toString() { throw new RangeError("own"); } }))],
  get("GET with a body", { body: "x" }),
  get("a forbidden method", { method: "CONNECT" }),
  get("a broken method", { method: "A B" }),
  get("a broken header name", { headers: { "a b": "1" } }),
  get("a broken header value", { headers: { a: "1\n2" } }),
  get("headers that are none", { headers: 5 }),
  get("mode: navigate", { mode: "navigate" }),
  get("a word that is none", { credentials: "some" }),
  get("a signal that is none", { signal: {} }),
  get("a priority that is none", { priority: "urgent" }),
  get("an init that is none", 5),
  ["an init that throws", (fetch, { at }) => fetch(at("/app/echo"), { get method() { throw new RangeError("own"); } })],
  ["a signal that throws", (fetch, { at }) => fetch(at("/app/echo"), { get signal() { throw new RangeError("own"); } })],
  ["a used Request", async (fetch, { at }) => {
    const request = new Request(at("/app/echo"), { method: "POST", body: "x" });
    await request.text();
    return fetch(request);
  }],
  ["a stream without duplex", (fetch, { at }) => fetch(at("/app/echo"), { method: "POST", body: streamOf("x") })],
  ["a locked stream", (fetch, { at }) => {
    const body = streamOf("x");
    body.getReader();
    return fetch(at("/app/echo"), /** @type {any} */ ({ method: "POST", body, duplex: "half" }));
  }],

  ["unbound", (fetch, { at }) => Reflect.apply(fetch, { another: "this" }, [at("/app/echo")])],
  ...[200, 201, 400, 401, 404, 500].map((code) => /** @type {[string, Run]} */ ([
    `status ${code}`, (fetch, { at }) => fetch(at(`/app/status?code=${code}`))])),
  ["no content", (fetch, { at }) => fetch(at("/app/empty"))],
  ["a body in parts", async (fetch, { at, goOn }) => {
    const response = await fetch(at("/app/parts"));
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    await goOn();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) rest += new TextDecoder().decode(part.value);
    return [first, rest, response.bodyUsed];
  }],
  ["a clone of the response", async (fetch, { at }) => {
    const response = await fetch(at("/app/echo"));
    const clone = response.clone();
    return [await response.text(), await clone.text(), response.bodyUsed];
  }],
  ["every way to read", async (fetch, { at }) => {
    const ways = [];
    for (const way of /** @type {const} */ (["arrayBuffer", "blob", "text", "formData"])) {
      const read = await (await fetch(at(way === "formData" ? "/app/form" : "/app/echo")))[way]();
      ways.push(read instanceof FormData ? [...read] : read instanceof Blob ? [read.type, read.size] : typeof read === "string" ? read : read.byteLength);
    }
    return ways;
  }],
  ["a body that is no JSON", async (fetch, { at }) => tell((await fetch(at("/app/echo"))).json())],

  ["a connection that breaks", (fetch, { at }) => fetch(at("/app/reset"), { method: "POST" })],
  ["a closed port", (fetch) => fetch("http://127.0.0.1:1/")],
  ["an unknown scheme", (fetch) => fetch("unheard-of://x/")],
]);

/** HTTP/2 only. @type {Record<string, Run>} */
export const STREAM_CASES = {
  "a stream": async (fetch, { at }) => {
    const body = streamOf("one ", "two ", "three");
    const promise = fetch(at("/app/echo"), /** @type {any} */ ({ method: "POST", body, duplex: "half" }));
    return [body.locked, await tell(promise)];
  },
  "a Request with a stream": used((at) =>
    new Request(at("/app/echo"), /** @type {any} */ ({ method: "POST", body: streamOf("one ", "two"), duplex: "half" })),
  ),
  "a stream that fails": (fetch, { at }) => {
    const body = new ReadableStream({ pull: () => Promise.reject(new RangeError("own")) });
    return fetch(at("/app/echo"), /** @type {any} */ ({ method: "POST", body, duplex: "half" }));
  },
  "a stream that is not needed any more": async (fetch, { at }) => {
    const controller = new AbortController();
    const cancelled = Promise.withResolvers();
    const body = new ReadableStream({ cancel: (reason) => cancelled.resolve(String(reason)) });
    const init = { method: "POST", body, duplex: "half", signal: controller.signal };
    const told = tell(fetch(at("/app/echo"), /** @type {any} */ (init)), () => controller.signal.reason);
    controller.abort("why");
    return [await told, await cancelled.promise];
  },
};

/**
 * Runs a case and returns its results as JSON.
 * @param {Run} run
 * @param {typeof globalThis.fetch} fetch
 * @param {Tools} tools
 */
export async function outcome(run, fetch, tools) {
  /** @type {typeof globalThis.fetch} */
  const watched = function (...args) {
    try {
      const promise = Reflect.apply(fetch, undefined, args);
      // Errors that the case does not await are ignored.
      promise.catch(() => {});
      return promise;
    } catch (error) {
      throw new Error(`thrown, not rejected: ${error}`);
    }
  };
  return JSON.parse(JSON.stringify(await tell((async () => run(watched, tools))())));
}

/**
 * All that an app can see of a promise.
 * @param {PromiseLike<unknown>} promise
 * @param {() => unknown} [reason] the expected rejection, if any
 */
async function tell(promise, reason) {
  try {
    const value = await promise;
    return value instanceof Response ? await tellResponse(value) : value;
  } catch (error) {
    const same = reason && { isTheReason: error === reason() };
    if (!(error instanceof Error || error instanceof DOMException)) return { rejected: error, ...same };
    const { name, message } = error;
    return { rejected: Object.prototype.toString.call(error), constructor: error.constructor.name, name, message, ...same };
  }
}

/** @param {Response} response */
async function tellResponse(response) {
  const { status, statusText, ok, url, redirected, type, bodyUsed } = response;
  const prototype = Object.getPrototypeOf(response) === Response.prototype;
  const body = response.body === null ? null : Object.prototype.toString.call(response.body);
  const before = { status, statusText, ok, url, redirected, type, bodyUsed, prototype, body, headers: [...response.headers] };
  return { ...before, text: await response.text(), used: response.bodyUsed };
}

/**
 * A call with a Request; records whether the Request is used right after it.
 * @param {(at: Tools["at"]) => Request} make
 * @param {RequestInit} [init]
 * @returns {Run}
 */
function used(make, init) {
  return async (fetch, { at }) => {
    const request = make(at);
    const promise = fetch(request, init);
    return [request.bodyUsed, await tell(promise), request.bodyUsed];
  };
}

/** @param {string[]} parts */
function streamOf(...parts) {
  return new ReadableStream({
    pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(part));
    },
  });
}

/** @param {string} text */
async function hash(text) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return `${SHA256}${btoa(String.fromCharCode(...digest))}`;
}

/** Another realm of this page. @returns {any} */
function another() {
  const frame = document.querySelector("iframe") ?? document.body.appendChild(document.createElement("iframe"));
  return frame.contentWindow;
}
