// What the head of an answer says about coming back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fixture, load } from "./support.mjs";

const { isTheGates, problemOf, retryAfterOf, wishesOf } = await load("requests/answer.js");

/** @param {Record<string, string>} headers */
const answer = (headers, status = 503) => ({ status, headers: new Headers(headers) });
const after = (/** @type {string} */ text, headers = {}) => retryAfterOf(answer({ "retry-after": text, ...headers }));

test("the gate's rejections are told from those of others", async () => {
  for (const { name, status, headers, body, by_the_gate } of JSON.parse(fixture("rejections.json"))) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const problem = await problemOf(new Response(text, { status, headers }));
    assert.equal(isTheGates(problem), by_the_gate, name);
  }
});

test("seconds, also in fractions, and the first of several", () => {
  for (const [text, wait] of /** @type {const} */ ([
    ["0", 0],
    ["5", 5000],
    [" 5 ", 5000],
    ["1.5", 1500],
    ["120, 120", 120_000],
    ["3,60", 3000],
  ])) {
    assert.equal(after(text), wait, text);
  }
});

test("a date is one of the server's clock, where the server says what time it is", () => {
  const now = Date.now();
  for (const off of [-600_000, 0, 3_600_000]) {
    const at = (/** @type {number} */ later) => new Date(now + off + later).toUTCString();
    assert.equal(after(at(5000), { date: at(0) }), 5000);
    assert.equal(after(at(5000).replace("GMT", "UTC"), { date: at(0) }), 5000);
    assert.equal(after(at(-5000), { date: at(0) }), 0, "it is over");
  }
  const here = after(new Date(now + 60_000).toUTCString());
  assert.ok(here > 50_000 && here <= 60_000, `${here}`);
  assert.equal(after(new Date(now + 5000).toUTCString(), { date: "yesterday" }) > 0, true);
});

test("what is malformed says nothing", () => {
  for (const text of ["", "soon", "-5", "5s", "1.5.2", "May 9999", "1e3", "0x10", ", 5"]) {
    assert.equal(after(text), undefined, text);
  }
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
