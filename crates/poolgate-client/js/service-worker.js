// @ts-check
// A service worker that throttles an app without a change to the app's code. A browser may stop it at any time, so the module
// and the list of pages with their own client are in a Cache.

import { entry } from "./client/client.js";
import { CACHES, OWN_CLIENT } from "./extras/own-client.js";
import { warn } from "./host/console.js";

/** Each version has its own module: an old worker runs on while a new one is installed. */
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
    // An event stream is open as long as its page, and one that is rejected never comes back.
    !headers.get("accept")?.includes("text/event-stream");
  const own = new OwnClients();
  /** @type {Promise<import("./index.js").PoolgateClient | undefined> | undefined} */
  let starting;
  const start = async () => {
    const wasm = options.wasm ?? (await caches.match(address(), { cacheName: CACHE }).catch(() => undefined));
    return createClient({ onReject: "respond", ...options, wasm });
  };
  let hasWarned = false;
  const failed = (/** @type {any} */ error) => {
    // The next request tries again.
    starting = undefined;
    if (!hasWarned) warn(`requests pass through: ${error?.message ?? error}`);
    hasWarned = true;
    return undefined;
  };

  scope.addEventListener("install", (/** @type {any} */ event) => {
    // Created even if it stays empty: by its name pages recognize this worker.
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
    // A request that is not answered here takes its usual way, at no cost.
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

/** Pages with a client of their own. */
class OwnClients {
  /** @type {Map<string, boolean>} */
  #known = new Map();

  /** @param {string} id */
  has(id) {
    return this.#known.get(id) === true;
  }

  /**
   * Whether a page has said that it has its own client, maybe before this worker was stopped.
   * @param {string} id
   */
  async recalls(id) {
    if (!this.#known.has(id)) {
      const said = Boolean(await caches.match(keyOf(id), { cacheName: CACHE }).catch(() => undefined));
      // The page may have said so meanwhile.
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
