// @ts-check
// A service worker that throttles an app which was not changed at all. A browser may stop it at any time: what it must
// remember is in the Cache, and the module is there to begin with.

import { entry } from "./client.js";
import { CACHES, OWN_CLIENT } from "./own-client.js";

/** An old worker goes on with its own module while a new one is installed. */
const CACHE = "poolgate 0.1.0";
const address = () => new URL("poolgate_client_bg.wasm", import.meta.url);

const { createClient } = entry((given) => given ?? address());

const scope = /** @type {any} */ (globalThis);

/** @param {import("./service-worker.js").ThrottleAppOptions} [options] */
export function throttleApp({ methods = ["GET", "HEAD"], destinations = [""], ...options } = {}) {
  const counts = (/** @type {Request} */ { method, mode, destination, headers }) =>
    mode !== "navigate" &&
    methods.includes(method) &&
    destinations.includes(/** @type {any} */ (destination)) &&
    // An event stream is open for as long as its page, and one that is turned away never comes back.
    !headers.get("accept")?.includes("text/event-stream");
  const own = new OwnClients();
  /** @type {Promise<import("./index.js").PoolgateClient | undefined> | undefined} */
  let starting;
  const start = async () => {
    const wasm = options.wasm ?? (await caches.match(address(), { cacheName: CACHE }).catch(() => undefined));
    return createClient({ onReject: "respond", ...options, wasm });
  };
  let complained = false;
  const failed = (/** @type {any} */ error) => {
    // The next request tries again.
    starting = undefined;
    if (!complained) console.warn(`[poolgate] requests pass through: ${error?.message ?? error}`);
    complained = true;
    return undefined;
  };

  scope.addEventListener("install", (/** @type {any} */ event) => {
    // Even where it stays empty: pages tell by it that the worker is one of ours.
    event.waitUntil(caches.open(CACHE).then((cache) => (options.wasm ? undefined : cache.add(address()))));
  });
  scope.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(forgetOldModules()));
  scope.addEventListener("message", (/** @type {any} */ event) => {
    if (event.data === OWN_CLIENT && event.source) {
      event.waitUntil(own.add(event.source.id).finally(() => event.ports[0]?.postMessage(OWN_CLIENT)));
    }
  });
  scope.addEventListener("fetch", (/** @type {any} */ event) => {
    const { request, clientId } = event;
    // Whatever is not answered here goes its usual way, at no cost.
    if (!counts(request) || own.has(clientId)) return;
    event.respondWith(
      (async () => {
        if (await own.recalls(clientId)) return fetch(request);
        starting ??= start().catch(failed);
        const client = await starting;
        return client ? client.fetch(request) : fetch(request);
      })(),
    );
  });
}

/** Pages that throttle themselves. */
class OwnClients {
  /** @type {Map<string, boolean>} */
  #known = new Map();

  /** @param {string} id */
  has(id) {
    return this.#known.get(id) === true;
  }

  /**
   * Whether it said so before this worker was stopped.
   * @param {string} id
   */
  async recalls(id) {
    if (!this.#known.has(id)) {
      const said = Boolean(await caches.match(keyOf(id), { cacheName: CACHE }).catch(() => undefined));
      // It may have said so meanwhile.
      if (!this.#known.has(id)) this.#known.set(id, said);
    }
    return this.has(id);
  }

  /** @param {string} id */
  async add(id) {
    this.#known.set(id, true);
    const cache = await caches.open(CACHE);
    await cache.put(keyOf(id), new Response());
    const living = new Set((await scope.clients.matchAll({ type: "all" })).map((/** @type {any} */ { id }) => keyOf(id)));
    for (const { url } of await cache.keys()) {
      if (url.startsWith(keyOf("")) && !living.has(url)) await cache.delete(url);
    }
  }
}

/** @param {string} id */
function keyOf(id) {
  return new URL(`poolgate-own-client/${id}`, scope.registration.scope).href;
}

async function forgetOldModules() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(CACHES) && name !== CACHE).map((name) => caches.delete(name)));
}
