// When to open the stream and when to ask, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { TransportPlan } = await load("transport/plan.js");

const SECOND = 1000;
const INTERVAL = 30 * SECOND;

function leading(mode) {
  const plan = new TransportPlan(mode, true, INTERVAL);
  plan.lead(0);
  return plan;
}

/** Everything that is due. */
function drain(plan, now) {
  const due = [];
  for (let action; (action = plan.next(now, 0.5)); ) due.push(action);
  return due;
}

test("a stream that delivers is enough", () => {
  const plan = leading("auto");
  assert.deepEqual(drain(plan, 0), ["openStream"]);
  plan.heard(false, SECOND);
  assert.equal(plan.kind, "sse");
  assert.equal(plan.nextDeadline, 46 * SECOND, "only silence is watched");
});

test("many clients come back over the time that the server said", () => {
  const plan = leading("auto");
  drain(plan, 0);
  plan.returnWithin(20 * SECOND);
  plan.streamEnded(SECOND, 0.5);
  assert.equal(plan.nextDeadline, 11_500);
  assert.deepEqual(drain(plan, 12 * SECOND), ["openStream"]);
  plan.heard(true, 12 * SECOND);
  plan.streamLost(20 * SECOND, 0.5);
  assert.equal(plan.nextDeadline, 24 * SECOND, "it asks");
  assert.deepEqual(drain(plan, 24 * SECOND), ["ask"]);
  assert.equal(plan.nextDeadline, 29_500, "it opens another stream");
  plan.returnWithin(Number.MAX_VALUE);
  plan.streamEnded(40 * SECOND, 1);
  assert.equal(plan.nextDeadline, 640_500, "within ten minutes, whatever it says");
});

test("a stream that never begins is replaced by asking and tried again", () => {
  const plan = leading("auto");
  drain(plan, 0);
  assert.deepEqual(drain(plan, 5 * SECOND), ["closeStream"]);
  // Half a second of spread for the question, three quarters of one second for the stream.
  assert.equal(plan.nextDeadline, 5500);
  assert.deepEqual(drain(plan, 6 * SECOND), ["openStream", "ask"]);
  plan.asked(true, 5 * SECOND, 6 * SECOND, 0.5);
  assert.equal(plan.kind, "poll");
  assert.deepEqual(drain(plan, 11 * SECOND), ["closeStream", "ask"]);
});

test("silence ends a stream sooner while limits act", () => {
  const plan = leading("auto");
  drain(plan, 0);
  plan.heard(true, SECOND);
  assert.deepEqual(drain(plan, 15 * SECOND), []);
  assert.deepEqual(drain(plan, 16 * SECOND), ["closeStream"]);
  assert.notEqual(plan.kind, "sse");
});

test("streams that break are tried again after up to half a minute", () => {
  const plan = leading("sse");
  const waits = Array.from({ length: 8 }, () => {
    plan.streamLost(0, 1);
    // What the lost stream was asked for instead.
    plan.askSoon(0, 0);
    drain(plan, 0);
    plan.asked(true, undefined, 0, 0);
    return plan.nextDeadline / SECOND;
  });
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
});

test("questions are spread by a fifth, and come sooner after a failure", () => {
  for (const [chance, expected] of [[0, 24], [1, 36]]) {
    const plan = leading("poll");
    assert.deepEqual(drain(plan, 0), ["ask"]);
    plan.asked(true, undefined, 0, chance);
    assert.equal(Math.round(plan.nextDeadline), expected * SECOND);
  }
  const plan = leading("poll");
  drain(plan, 0);
  plan.asked(false, undefined, 0, 1);
  assert.equal(plan.nextDeadline, SECOND);
});

test("a server cannot ask for a flood of questions", () => {
  const plan = leading("poll");
  drain(plan, 0);
  plan.asked(true, 0, 0, 0.5);
  assert.equal(plan.nextDeadline, SECOND);
});

test("a hidden page gives its stream back and takes it again", () => {
  const plan = leading("auto");
  drain(plan, 0);
  plan.heard(false, 0);
  plan.hidden(SECOND);
  assert.deepEqual(drain(plan, 10 * SECOND), []);
  assert.deepEqual(drain(plan, 11 * SECOND), ["closeStream"]);
  assert.equal(plan.nextDeadline, 41 * SECOND, "it goes on asking");
  plan.shown(20 * SECOND);
  assert.deepEqual(drain(plan, 20 * SECOND), ["openStream", "ask"]);
});

test("a glance at another tab changes nothing", () => {
  const plan = leading("auto");
  drain(plan, 0);
  plan.heard(false, 7 * SECOND);
  plan.hidden(8 * SECOND);
  plan.shown(9 * SECOND);
  assert.deepEqual(drain(plan, 30 * SECOND), []);
  assert.equal(plan.kind, "sse");
});

test("one question at a time", () => {
  const plan = leading("poll");
  assert.deepEqual(drain(plan, 0), ["ask"]);
  plan.askSoon(0, 0);
  plan.shown(9 * SECOND);
  assert.deepEqual(drain(plan, 9 * SECOND), []);
});

test("who follows does nothing until it leads", () => {
  const plan = new TransportPlan("auto", true, INTERVAL);
  plan.shown(SECOND);
  plan.hidden(2 * SECOND);
  assert.deepEqual([drain(plan, 60 * SECOND), plan.nextDeadline], [[], Infinity]);
  plan.heardOf(60 * SECOND);
  assert.equal(plan.kind, "shared");
  plan.lead(61 * SECOND);
  assert.deepEqual(drain(plan, 61 * SECOND), ["openStream"], "what it was told is young");
  plan.follow();
  assert.deepEqual([drain(plan, 90 * SECOND), plan.nextDeadline], [[], Infinity]);
  plan.lead(90 * SECOND);
  assert.deepEqual(drain(plan, 90 * SECOND), ["openStream", "ask"]);
});

test("who follows asks for what it missed unless it is told", () => {
  const plan = new TransportPlan("auto", true, INTERVAL);
  plan.askSoon(SECOND, 0.5);
  plan.heardOf(SECOND);
  assert.deepEqual(drain(plan, 5 * SECOND), []);
  plan.askSoon(5 * SECOND, 0.5);
  assert.deepEqual(drain(plan, 7 * SECOND), ["ask"]);
  plan.asked(true, undefined, 7 * SECOND, 0.5);
  assert.equal(plan.nextDeadline, Infinity, "once");
});

test("the end is the end", () => {
  const plan = leading("auto");
  drain(plan, 0);
  plan.end();
  plan.asked(true, undefined, SECOND, 0.5);
  assert.deepEqual([plan.nextDeadline, plan.kind], [Infinity, "none"]);
});
