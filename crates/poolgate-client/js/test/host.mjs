// A host's `fetch` whose answers the test gives, one by one: for orders and failures that no real server brings about.

import { load, until } from "./support.mjs";

const ORIGIN = "http://app.test";

/**
 * A client that polls, and what it asks of its host.
 * @param {import("node:test").TestContext} t
 * @param {object | number} document the config, or the status without one
 * @param {object} [options]
 */
export async function world(t, document, options = {}) {
  const { createClient } = await load();
  /** @type {{ input: any, init: any, receiver: any, resolve: (answer: any) => void, reject: (error: any) => void }[]} */
  const calls = [];
  const host = { asked: 0, document, /** @type {unknown} */ throws: undefined };
  function fetch(input, init) {
    if (String(input).startsWith(`${ORIGIN}/api/v1/health/database/throttling-config`)) {
      host.asked += 1;
      return Promise.resolve(
        typeof host.document === "number" ? new Response(null, { status: host.document }) : Response.json(host.document),
      );
    }
    const call = { input, init, receiver: this, resolve: undefined, reject: undefined };
    calls.push(call);
    const { throws } = host;
    if (throws) throw throws;
    return new Promise((resolve, reject) => Object.assign(call, { resolve, reject }));
  }
  const client = await createClient({ baseUrl: ORIGIN, autoCleanup: false, fetch, ...options });
  t.after(() => client.close());
  await until(() => host.asked > 0 && (typeof document === "number" || client.state.config), "the config");
  /** @type {{ type: string, detail: any }[]} */
  const events = [];
  for (const type of ["config", "levelchange", "breakerchange", "queuechange", "syncchange"]) {
    client.addEventListener(type, ({ detail }) => events.push({ type, detail }));
  }
  return {
    client,
    host,
    calls,
    events,
    /** The paths that the host was asked for, in order. */
    paths: () => calls.map(({ input }) => new URL(input).pathname),
    /** A call of the app; it may be rejected without a handler. */
    ask(path, init) {
      const promise = client.fetch(`${ORIGIN}${path}`, init);
      promise.catch(() => {});
      return promise;
    },
    load: () => ({ queued: client.state.queued, inFlight: client.state.inFlight }),
  };
}

/** A config under which the first request starts and others wait for its end. */
export const ONE_AT_A_TIME = { fair_rate_per_second: 1000, max_concurrent_requests: 1 };
