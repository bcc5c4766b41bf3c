// One wake-up, in mocked time where it is long, and in real processes where it is about their end.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, mock, test } from "node:test";

import { load, packageUrl } from "./support.mjs";

const { Timer } = await load("host/timer.js");
const HOUR = 3_600_000;

let set;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  set = mock.method(globalThis, "setTimeout");
});

afterEach(() => {
  mock.restoreAll();
  mock.timers.reset();
});

/** A timer, and how often it has fired. */
function counting() {
  const woken = { times: 0 };
  return { timer: new Timer(() => (woken.times += 1)), woken };
}

test("it wakes once, not before its time", () => {
  const { timer, woken } = counting();
  timer.set(1100.2, 1000);
  mock.timers.tick(100);
  assert.equal(woken.times, 0, "a fraction of a millisecond is left");
  mock.timers.tick(1);
  assert.equal(woken.times, 1);
  mock.timers.tick(HOUR);
  assert.equal(woken.times, 1);
});

test("a time that is past is now, and never is never", () => {
  const { timer, woken } = counting();
  timer.set(Infinity, 0);
  assert.equal(set.mock.callCount(), 0);
  timer.set(5, 1000);
  mock.timers.tick(0);
  assert.equal(woken.times, 1);
});

test("an earlier time replaces a later one; a later one costs nothing, and wakes early", () => {
  const { timer, woken } = counting();
  timer.set(500, 0);
  timer.set(100, 0);
  timer.set(900, 0);
  timer.set(Infinity, 0);
  assert.equal(set.mock.callCount(), 2);
  mock.timers.tick(100);
  assert.equal(woken.times, 1);
  mock.timers.tick(HOUR);
  assert.equal(woken.times, 1, "the callback sets it again");
});

test("the callback may set it again at once", () => {
  let times = 0;
  const timer = new Timer(() => {
    times += 1;
    if (times < 3) timer.set(times * 100 + 100, times * 100);
  });
  timer.set(100, 0);
  for (let i = 0; i < 5; i += 1) mock.timers.tick(100);
  assert.equal(times, 3);
});

test("a wait that the host cannot count is cut into hours", () => {
  const { timer, woken } = counting();
  timer.set(HOUR * 1000, 0);
  mock.timers.tick(HOUR - 1);
  assert.equal(woken.times, 0);
  mock.timers.tick(1);
  assert.equal(woken.times, 1);
});

test("a cleared timer does not fire and accepts any time", () => {
  const { timer, woken } = counting();
  timer.set(100, 0);
  timer.clear();
  timer.clear();
  mock.timers.tick(HOUR);
  assert.equal(woken.times, 0);
  timer.set(900, 0);
  mock.timers.tick(900);
  assert.equal(woken.times, 1);
});

for (const [what, script, woken] of [
  ["does not wait for a timer", `timer.set(300, 0);`, false],
  ["waits for one that is held", `timer.hold(true); timer.set(300, 0);`, true],
  ["waits for one that is held later", `timer.set(300, 0); timer.hold(true);`, true],
  ["does not wait for one that is let go", `timer.hold(true); timer.set(300, 0); timer.hold(false);`, false],
  ["does not wait for one that was held and is forgotten", `timer.hold(true); timer.set(300, 0); timer.clear();`, false],
]) {
  test(`a process ${what}`, () => {
    const code = `
      import { Timer } from ${JSON.stringify(packageUrl("host/timer.js").href)};
      const timer = new Timer(() => console.log("woken"));
      ${script}`;
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8", timeout: 10_000 });
    assert.equal(out, woken ? "woken\n" : "");
  });
}
