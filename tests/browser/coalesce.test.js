// Identical GETs of a page become one request; bodies and signals behave as with the browser's fetch.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("playwright-core").Browser} */
let browser;
/** Answers that are held back, and the number of aborted ones. */
const held = /** @type {any[]} */ ([]);
let gone = 0;

before(async () => {
  browser = await launch();
  origin = await startOrigin({}, { app });
});

after(async () => {
  await browser?.close();
  await origin?.stop();
});

/** Sends the first part at once, the second on request. @param {any} _request @param {any} response */
function app(_request, response) {
  response.on("close", () => (gone += response.writableFinished ? 0 : 1));
  response.writeHead(200, { "content-type": "text/plain" }).write("first ");
  held.push(response);
}

function goOn() {
  for (const response of held.splice(0)) response.end("second");
}

test("a thousand calls share one request and get a thousand bodies", { timeout: 60_000 }, async () => {
  const page = await open();
  const texts = page.evaluate(async () => {
    const calls = Array.from({ length: 1000 }, () => /** @type {any} */ (window).client.fetch("/app/same"));
    const responses = await Promise.all(calls);
    const texts = Promise.all(responses.map((response) => response.text()));
    return { distinct: new Set(responses).size, texts: [...new Set(await texts)] };
  });
  await until("a request", 5000, () => held.length > 0);
  assert.equal(held.length, 1);
  goOn();
  assert.deepEqual(await texts, { distinct: 1000, texts: ["first second"] });
  await page.context().close();
});

test("each call can be aborted alone, while it waits and while its body arrives", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(async () => {
    const { client } = /** @type {any} */ (window);
    const controllers = Array.from({ length: 3 }, () => new AbortController());
    const calls = controllers.map(({ signal }) => client.fetch("/app/other", { signal }));
    controllers[0]?.abort("early");
    const early = await calls[0].catch((/** @type {unknown} */ reason) => reason);
    const responses = await Promise.all(calls.slice(1));
    Object.assign(window, { controllers, early, bodies: responses.map((response) => response.text()) });
  });
  assert.equal(await page.evaluate("window.early"), "early");
  assert.deepEqual([held.length, gone], [1, 0]);
  await page.evaluate("window.controllers[1].abort('late')");
  goOn();
  assert.equal(await page.evaluate("window.bodies[1]"), "first second");

  await page.evaluate(async () => {
    const { client } = /** @type {any} */ (window);
    const controller = new AbortController();
    const response = await client.fetch("/app/alone", { signal: controller.signal });
    const ended = response.text().catch((/** @type {Error} */ error) => error.name);
    controller.abort();
    Object.assign(window, { ended });
  });
  assert.equal(await page.evaluate("window.ended"), "AbortError", "the last abort ends the request, as with native fetch");
  await until("the connection is closed", 5000, () => gone === 1);
  await page.context().close();
});

async function open() {
  const page = await browser.newPage();
  await page.goto(`${origin.url}/#${encodeURIComponent(JSON.stringify({ coalesce: true, autoCleanup: false }))}`);
  await page.waitForFunction("window.client?.state.config");
  return page;
}
