// Asking for a cleanup by itself, in mocked time: severe throttling lasts for minutes here.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { config, load } from "./support.mjs";

const MINUTE = 60_000;
const { createClient } = await load();
// Loads the module while time still runs.
(await createClient({ baseUrl: "http://app.test", fetch: async () => new Response(null, { status: 404 }) })).close();

let storage;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_763_880_000_000 });
  mock.method(performance, "now", () => Date.now() - 1_763_880_000_000);
  const values = new Map();
  storage = { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value) };
  globalThis.localStorage = storage;
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
  delete globalThis.localStorage;
});

/** A client of a server at a level, and what it is asked. */
async function world(level, { status = 200, options = {} } = {}) {
  const seen = { cleanups: 0, level };
  let version = 100;
  const fetch = async (url, init) => {
    if (init?.method === "POST") {
      seen.cleanups += 1;
      return new Response("{}", { status });
    }
    version += 1;
    return Response.json(config("moderate", { throttling_level: seen.level, version }));
  };
  // `createClient` has a timer of its own, which is cleared once the module is there.
  const client = await createClient({ baseUrl: "http://app.test", fetch, ...options });
  await pass(100);
  return { seen, client };
}

/** Lets time pass in steps of a second, with what is awaited in between. */
async function pass(milliseconds) {
  for (let left = milliseconds; left > 0; left -= 1000) {
    mock.timers.tick(Math.min(left, 1000));
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

test("asks once severe throttling has lasted, and not again for five minutes", async () => {
  const { seen, client } = await world("EMERGENCY");
  await pass(29_000);
  assert.equal(seen.cleanups, 0, "thirty seconds at least");
  await pass(32_000);
  assert.equal(seen.cleanups, 1);
  await pass(4 * MINUTE);
  assert.equal(seen.cleanups, 1);
  await pass(10 * MINUTE);
  assert.equal(seen.cleanups, 2, "the wait doubles");
  client.close();
});

test("throttling that passes, or is not severe, is no reason", async () => {
  const brief = await world("AGGRESSIVE");
  await pass(20_000);
  brief.seen.level = "MODERATE";
  await pass(10 * MINUTE);
  assert.equal(brief.seen.cleanups, 0);
  brief.client.close();
});

test("the tabs of a browser ask once between them", async () => {
  const tabs = await Promise.all([world("EMERGENCY"), world("EMERGENCY"), world("EMERGENCY")]);
  await pass(4 * MINUTE);
  assert.equal(tabs.reduce((sum, tab) => sum + tab.seen.cleanups, 0), 1);
  tabs.forEach((tab) => tab.client.close());
});

test("storage that throws is done without", async () => {
  storage.getItem = storage.setItem = () => {
    throw new Error("SecurityError");
  };
  const { seen, client } = await world("EMERGENCY");
  await pass(5 * MINUTE);
  assert.equal(seen.cleanups, 1);
  client.close();
});

for (const [status, expected] of [
  [401, 1],
  [403, 1],
  [429, 4],
  [500, 4],
]) {
  test(`after a ${status} it ${expected === 1 ? "stops" : "goes on"}`, async () => {
    const { seen, client } = await world("EMERGENCY", { status });
    await pass(45 * MINUTE);
    assert.equal(seen.cleanups, expected);
    client.close();
  });
}

test("not by itself where the app does not want it, nor after close", async () => {
  const off = await world("EMERGENCY", { options: { autoCleanup: false } });
  const closed = await world("EMERGENCY");
  closed.client.close();
  await pass(10 * MINUTE);
  assert.deepEqual([off.seen.cleanups, closed.seen.cleanups], [0, 0]);
  off.client.close();
});
