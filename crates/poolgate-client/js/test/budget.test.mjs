// What is left of the budget, from one life of a page to the next.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { load } from "./support.mjs";

const { Budget } = await load("engine/budget.js");
const KEY = "poolgate-budget http://app.test";
const NOW = 1_763_880_000_000;

/** @type {Map<string, string>} */
let values;
/** @type {any} */
let storage;

beforeEach(() => {
  mock.timers.enable({ apis: ["Date"], now: NOW });
  values = new Map();
  storage = {
    getItem: (/** @type {string} */ key) => values.get(key) ?? null,
    setItem: mock.fn((/** @type {string} */ key, /** @type {string} */ value) => void values.set(key, value)),
    removeItem: mock.fn((/** @type {string} */ key) => void values.delete(key)),
  };
  globalThis.localStorage = storage;
});

afterEach(() => {
  mock.timers.reset();
  // @ts-expect-error Node has none of its own
  delete globalThis.localStorage;
});

/** An engine with savings, which tells what it is given. @param {number[]} savings */
const engine = (savings = []) => ({
  savings: mock.fn(() => (savings.length > 0 ? savings : undefined)),
  restore: mock.fn(),
});
const budget = () => new Budget("http://app.test");
const given = (/** @type {ReturnType<typeof engine>} */ engine) => engine.restore.mock.calls.map((call) => call.arguments);

test("what one saves the next goes on with, and is told how old it is", () => {
  budget().save(engine([1.5, 2, 3, 4, NOW]), 100);
  mock.timers.tick(5000);
  const next = engine();
  budget().restore(next, 7);
  assert.deepEqual(given(next), [[1.5, 2, 3, 4, NOW, 5000, 7]]);
});

test("storage is written at most once a second", () => {
  const saver = budget();
  const saveIfDue = (/** @type {number} */ now) => saver.isDue(now) && saver.save(engine([1, 2, 3, 4, 5]), now);
  for (let now = 0; now < 5000; now += 10) saveIfDue(now);
  assert.equal(storage.setItem.mock.callCount(), 5);
  saver.save(engine([9, 2, 3, 4, 5]), 4991);
  assert.equal(storage.setItem.mock.callCount(), 6, "but whenever the page is left");
  saveIfDue(5500);
  assert.equal(storage.setItem.mock.callCount(), 6, "and not soon after");
});

test("who has what a newcomer has stores nothing, and removes what is there", () => {
  const saver = budget();
  saver.save(engine(), 0);
  assert.deepEqual([storage.setItem.mock.callCount(), storage.removeItem.mock.callCount()], [0, 0]);
  saver.save(engine([1, 2, 3, 4, 5]), 0);
  saver.save(engine(), 0);
  assert.equal(values.size, 0);
  saver.save(engine(), 0);
  assert.equal(storage.removeItem.mock.callCount(), 1);

  values.set(KEY, JSON.stringify([NOW, 1, 2, 3, 4, 5]));
  const next = budget();
  next.restore(engine(), 0);
  next.save(engine(), 0);
  assert.equal(values.size, 0, "another one's too");
});

test("a clock that was set back has earned nothing", () => {
  values.set(KEY, JSON.stringify([NOW + 60_000, 1, 2, 3, 4, 5]));
  const next = engine();
  budget().restore(next, 0);
  assert.equal(given(next)[0]?.[5], 0);
});

for (const garbage of ["", "not json", "5", "null", "{}", "[]", "[1,2,3,4,5]", "[1,2,3,4,5,6,7]", '[1,2,3,4,5,"6"]', "[1,2,null,4,5,6]"]) {
  test(`what is not ours is ignored, and gone with the next word: ${garbage}`, () => {
    values.set(KEY, garbage);
    const next = engine();
    const saver = budget();
    saver.restore(next, 0);
    assert.deepEqual(given(next), []);
    saver.save(engine([1, 2, 3, 4, 5]), 0);
    assert.equal(values.get(KEY), JSON.stringify([NOW, 1, 2, 3, 4, 5]));
  });
}

test("without storage it says what a page has to store, as long as there is something", () => {
  Reflect.deleteProperty(globalThis, "localStorage");
  const saver = budget();
  assert.equal(saver.save(engine(), 0), undefined);
  assert.deepEqual(saver.save(engine([1, 2, 3, 4, 5]), 0), [NOW, 1, 2, 3, 4, 5]);
});

test("of many pages that hear what a worker has left, one writes it", () => {
  const written = storage.setItem;
  for (let page = 0; page < 5; page += 1) budget().keep([NOW + page, 1, 2, 3, 4, 5]);
  assert.deepEqual(written.mock.calls.map((call) => call.arguments), [[KEY, JSON.stringify([NOW, 1, 2, 3, 4, 5])]]);
  budget().keep([NOW + 1000, 1, 2, 3, 4, 5]);
  assert.equal(written.mock.callCount(), 2);
});

test("storage that is missing, forbidden or full is done without", () => {
  storage.getItem = storage.setItem = storage.removeItem = () => {
    throw new Error("QuotaExceededError");
  };
  const use = () => {
    const saver = budget();
    saver.restore(engine(), 0);
    saver.save(engine([1, 2, 3, 4, 5]), 0);
    saver.save(engine(), 0);
  };
  use();
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    get() {
      throw new Error("SecurityError");
    },
  });
  use();
  Reflect.deleteProperty(globalThis, "localStorage");
  use();
});
