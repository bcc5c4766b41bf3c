// What the head of an answer says about coming back.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { fixture, load } from "./support.mjs";

const { isTheGates, problemOf, retryAfterOf, wishesOf } = await load("requests/answer.js");

/** @param {Record<string, string>} headers */
const answer = (headers, status = 503) => ({ status, headers: new Headers(headers) });

test("the gate's rejections are told from those of others", async () => {
  for (const { name, status, headers, body, by_the_gate } of JSON.parse(fixture("rejections.json"))) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const problem = await problemOf(new Response(text, { status, headers }));
    assert.equal(isTheGates(problem), by_the_gate, name);
  }
});

test("Retry-After in every form", () => {
  mock.timers.enable({ apis: ["Date"], now: Date.parse("Tue, 01 Dec 2026 12:00:00 GMT") });
  // The front for Rust apps is held against the same table.
  for (const { retry_after, date, seconds } of JSON.parse(fixture("retry-after.json"))) {
    const headers = { "retry-after": retry_after, ...(date && { date }) };
    assert.equal(retryAfterOf(answer(headers)), seconds === null ? undefined : seconds * 1000, JSON.stringify(headers));
  }
  mock.timers.reset();
});

test("what is left of a quota, in every form that servers send", () => {
  const now = Math.floor(Date.now() / 1000);
  const quotaOf = (/** @type {Record<string, string>} */ headers) => wishesOf(answer(headers, 200)).quota;
  const few = { remaining: 3, reset: 5 };
  for (const headers of [
    { ratelimit: '"default";r=3;t=5' },
    { ratelimit: "limit=100, remaining=3, reset=5" },
    { ratelimit: "Limit=100,Remaining=3,Reset=5" },
    { "ratelimit-limit": "100", "ratelimit-remaining": "3", "ratelimit-reset": "5" },
    { "x-ratelimit-remaining": "3", "x-ratelimit-reset": "4.2" },
    { "x-ratelimit-remaining": "3", "x-ratelimit-reset": `${now + 5}`, date: new Date(now * 1000).toUTCString() },
    { "x-ratelimit-remaining": "3", "x-ratelimit-reset": `${(now + 5) * 1000}`, date: new Date(now * 1000).toUTCString() },
  ]) {
    assert.deepEqual(quotaOf(headers), few, JSON.stringify(headers));
  }
  for (const headers of [
    {},
    { ratelimit: "remaining=0" },
    { "x-ratelimit-remaining": "0" },
    { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "6m0s" },
    { "x-ratelimit-remaining": "-1", "x-ratelimit-reset": "5" },
    { "ratelimit-remaining": "none", "ratelimit-reset": "5" },
  ]) {
    assert.equal(quotaOf(headers), undefined, JSON.stringify(headers));
  }
  assert.equal(quotaOf({ "x-ratelimit-remaining": "0", "x-ratelimit-reset": `${now - 60}` })?.reset, 0, "it is over");
});
