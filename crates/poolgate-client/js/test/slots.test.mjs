// Who of a browser's tabs gets how many slots.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { divide } = await load("tabs/slots.js");

const front = (want) => ({ want, front: true });
const behind = (want) => ({ want, front: false });

test("no tab gets more than it wants, and the rest stays free", () => {
  assert.deepEqual(divide(5, [front(1), front(2)], 0), [1, 2]);
  assert.deepEqual(divide(5, [], 0), []);
  assert.deepEqual(divide(0, [front(1)], 0), [0]);
});

test("tabs that want more than is free get equal shares", () => {
  assert.deepEqual(divide(6, [front(100), front(3), front(1)], 0), [3, 2, 1]);
});

test("a tab that is not looked at gets one slot while one that is wants some, and only what is left", () => {
  assert.deepEqual(divide(5, [behind(9), front(9)], 0), [1, 4]);
  assert.deepEqual(divide(1, [behind(9), front(9)], 0), [0, 1]);
  assert.deepEqual(divide(5, [behind(9), front(0)], 0), [5, 0]);
});

test("where there are too few, everybody has a turn", () => {
  const members = [front(9), front(9), front(9)];
  const turns = [0, 1, 2].map((turn) => divide(1, members, turn));
  assert.deepEqual(turns, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]);
  const sums = [0, 1, 2].map((turn) => divide(2, members, turn)).reduce((sum, shares) => sum.map((n, i) => n + shares[i]));
  assert.deepEqual(sums, [2, 2, 2]);
});

test("any numbers: never more slots than exist, and none free while a tab wants one", () => {
  for (let slots = 0; slots <= 10; slots += 1) {
    for (let round = 0; round < 200; round += 1) {
      const members = Array.from({ length: round % 7 }, (_, index) => ({
        want: (round * 7 + index * 5 + slots) % 12,
        front: (round + index) % 3 > 0,
      }));
      const shares = divide(slots, members, round);
      const given = shares.reduce((sum, share) => sum + share, 0);
      assert.ok(given <= slots);
      assert.ok(shares.every((share, index) => share <= members[index].want));
      const crowded = members.some(({ want, front }) => front && want > 0);
      const hungry = members.some(({ want, front }, index) => (front || !crowded) && shares[index] < want);
      assert.ok(given === slots || !hungry, JSON.stringify({ slots, members, shares }));
    }
  }
});
