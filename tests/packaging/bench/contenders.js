// Runs in the page: calls the same immediately resolved function through each library. No limit is reached, so only the
// library is measured.

import { AsyncQueuer } from "@tanstack/pacer";
import Bottleneck from "bottleneck";
import { bulkhead } from "cockatiel";
import pLimit from "p-limit";
import PQueue from "p-queue";

/** More than are ever in flight here. */
const ROOM = 20_000;
const ADDRESS = "/app/x";
const answer = new Response("{}");
const work = async () => answer;

/** @typedef {() => Promise<unknown>} Call */

/** @type {Record<string, () => Promise<Call> | Call>} */
const CONTENDERS = {
  "no library": () => work,
  "@poolgate/client": async () => {
    const client = await poolgate();
    return () => client.fetch(ADDRESS);
  },
  "@poolgate/client, a limit in force": async () => {
    const client = await poolgate();
    await waitUntil(() => client.state.enforced);
    return () => client.fetch(ADDRESS);
  },
  "cockatiel bulkhead": () => {
    const policy = bulkhead(ROOM, 0);
    return () => policy.execute(work);
  },
  "p-limit": () => {
    const limit = pLimit(ROOM);
    return () => limit(work);
  },
  "TanStack Pacer AsyncQueuer": () => {
    // This library calls a function with an item and passes the result to a callback.
    const queuer = new AsyncQueuer(async (/** @type {(answer: unknown) => void} */ settle) => settle(await work()), {
      concurrency: ROOM,
      maxSize: Infinity,
    });
    return () => new Promise((settle) => queuer.addItem(settle));
  },
  "p-queue": () => {
    const queue = new PQueue({ concurrency: ROOM });
    return () => queue.add(work);
  },
  bottleneck: () => {
    const limiter = new Bottleneck({ maxConcurrent: ROOM });
    return () => limiter.schedule(work);
  },
};

async function poolgate() {
  const { createClient } = await import(/** @type {any} */ ("/pkg/index.js"));
  /** @param {string} input @param {RequestInit} init */
  const host = (input, init) => (input === ADDRESS ? work() : fetch(input, init));
  const client = await createClient({ fetch: host, shareAcrossTabs: false });
  await client.refresh();
  return client;
}

/** @type {Map<string, Promise<Call>>} */
const calls = new Map();

/**
 * Microseconds per call.
 * @param {string} name
 * @param {number} count
 * @param {boolean} burst all at once instead of one after another
 */
async function measure(name, count, burst) {
  if (!calls.has(name)) calls.set(name, Promise.resolve(CONTENDERS[name]?.() ?? work));
  const call = /** @type {Call} */ (await calls.get(name));
  const start = performance.now();
  if (burst) {
    const all = [];
    for (let index = 0; index < count; index += 1) all.push(call());
    await Promise.all(all);
  } else {
    for (let index = 0; index < count; index += 1) await call();
  }
  return ((performance.now() - start) * 1000) / count;
}

/** @param {() => boolean} condition */
async function waitUntil(condition) {
  while (!condition()) await new Promise((later) => setTimeout(later, 10));
}

Object.assign(globalThis, { measure, contenders: Object.keys(CONTENDERS) });
