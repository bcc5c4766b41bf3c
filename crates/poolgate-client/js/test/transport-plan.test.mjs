// When to open the stream and when to ask, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fixture, load } from "./support.mjs";

const { TransportPlan } = await load("transport/plan.js");

const SECOND = 1000;
const INTERVAL = 30 * SECOND;

/** Everything that is due. */
function drain(plan, now, chance = 0.5) {
  const due = [];
  for (let action; (action = plan.next(now, chance)); ) due.push(action);
  return due;
}

/** The verbs of the table. @type {Record<string, (plan: any, step: any, chance: number) => void>} */
const VERBS = {
  lead: (plan, { at }) => plan.lead(at),
  rest: (plan) => plan.follow(),
  heard: (plan, { at, enforced }) => plan.heard(enforced, at),
  streamLost: (plan, { at }, chance) => plan.streamLost(at, chance),
  streamEnded: (plan, { at }, chance) => plan.streamEnded(at, chance),
  returnWithin: (plan, { ms }) => plan.returnWithin(ms),
  asked: (plan, { at, answered, interval }, chance) => plan.asked(answered, interval, at, chance),
  askSoon: (plan, { at }, chance) => plan.askSoon(at, chance),
  hidden: (plan, { at }) => plan.hidden(at),
  shown: (plan, { at }) => plan.shown(at),
  end: (plan) => plan.end(),
};

// The client for Rust apps is held against the same table.
for (const { name, mode, has_streams = true, steps } of JSON.parse(fixture("transport-plan.json"))) {
  test(name, () => {
    const plan = new TransportPlan(mode, has_streams, INTERVAL);
    for (const step of steps) {
      const { at, do: verb, chance = 0.5, due, next, streams, informed } = step;
      const where = JSON.stringify(step);
      if (verb) VERBS[verb](plan, step, chance);
      if (due) assert.deepEqual(drain(plan, at, chance), due, where);
      if (next !== undefined) assert.equal(Math.round(plan.nextDeadline), next ?? Infinity, where);
      if (streams !== undefined) assert.equal(plan.kind === "sse", streams, where);
      if (informed !== undefined) assert.equal(plan.kind !== "none", informed, where);
    }
  });
}

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
