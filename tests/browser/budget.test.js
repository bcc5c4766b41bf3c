// The rest of the budget outlives the page, and saving it costs almost nothing.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { startChromium } from "./support/devtools.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

/** @typedef {import("./support/devtools.js").Tab} Tab */

const KEY = `"poolgate-budget " + location.origin`;

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("./support/devtools.js").Chromium} */
let chromium;
/** @type {Tab[]} */
let tabs = [];

before(async () => {
  chromium = await startChromium();
});

after(() => chromium?.stop());

beforeEach(async () => {
  origin = await startOrigin({ "/elsewhere.html": "<!doctype html><title>elsewhere</title>" });
});

afterEach(async () => {
  await Promise.all(tabs.map((tab) => tab.close().catch(() => {})));
  tabs = [];
  await origin.stop();
});

test("a reload neither refills nor loses the budget", { timeout: 60_000 }, async (t) => {
  // One request in 50 s: a request that starts here spends saved tokens. A new client has less than the cheapest
  // request costs.
  const rate = 0.02;
  origin.limit({ fair_rate_per_second: rate, max_concurrent_requests: 10 });
  const newcomer = await open("/");
  await limited(newcomer);
  await send(newcomer, 3, "newcomer");
  await goTo(newcomer, "/elsewhere.html");
  assert.equal(arrived("newcomer"), 0);
  const [at, tokens, refill, cost, , epoch] = await saved(newcomer);
  assert.ok(Math.abs(Date.now() - at) < 10_000 && tokens < 0.4 && refill === rate && cost >= 0.5);

  await save(newcomer, [Date.now(), 1.5, rate, 0.5, 0, epoch]);
  await newcomer.call("Page.navigate", { url: `${origin.url}/#{}` });
  for (let load = 0; load < 8; load += 1) {
    await limited(newcomer);
    await send(newcomer, 5, "rich");
    await sleep(100);
    await newcomer.call("Page.reload");
  }
  t.diagnostic(`${arrived("rich")} requests of 1.5 tokens, over 8 reloads`);
  assert.ok(arrived("rich") >= 1 && arrived("rich") <= 3, `${arrived("rich")}`);
});

for (const kind of ["Worker", "SharedWorker"]) {
  test(`a reload does not refill the budget while a ${kind} leads`, { timeout: 60_000 }, async () => {
    origin.files["/worker.js"] = `import { createClient } from "/pkg/index.js"; createClient();`;
    const rate = 0.02;
    origin.limit({ fair_rate_per_second: rate, max_concurrent_requests: 10 });
    const page = await open("/elsewhere.html");
    // Savings of an earlier page, enough for one to three requests.
    await save(page, [Date.now() - 5000, 1.5, rate, 0.5, 0, 0]);
    await page.evaluate(`window.worker = new ${kind}("/worker.js", { type: "module" }); void 0`);
    await until("the worker leads", 5000, () => origin.open() === 1);
    const front = await open("about:blank");
    // A hidden page follows it; a visible one would lead.
    await page.evaluate(`import("/pkg/index.js").then(async ({ createClient }) => void (window.client = await createClient()))`);
    await until("the page follows", 5000, async () => (await page.evaluate("client.state.transport")) === "shared");
    await until("the worker's savings are stored", 5000, async () => (await saved(page))[1] < 0.4);
    await page.call("Page.navigate", { url: `${origin.url}/#{}` });
    await front.close();
    await limited(page);
    await send(page, 5, "again");
    await sleep(500);
    assert.equal(arrived("again"), 0, "the worker too had less than a request costs");
  });
}

test("savings are stored at most once a second, and when the page is left", { timeout: 60_000 }, async (t) => {
  origin.limit({ fair_rate_per_second: 100, max_concurrent_requests: 5 });
  const page = await open("about:blank");
  const source = `
    const write = Storage.prototype.setItem;
    Storage.prototype.setItem = function (key, value) {
      write.call(this, key, value);
      const writes = JSON.parse(sessionStorage.getItem("writes") ?? "[]");
      if (this === localStorage) write.call(sessionStorage, "writes", JSON.stringify([...writes, Date.now()]));
    };`;
  await page.call("Page.addScriptToEvaluateOnNewDocument", { source });
  await page.call("Page.navigate", { url: `${origin.url}/#{}` });
  await limited(page);
  const began = Date.now();
  await send(page, 1000, "busy");
  await sleep(4000);
  const seen = /** @type {number[]} */ (await page.evaluate(`JSON.parse(sessionStorage.getItem("writes") ?? "[]")`));
  const took = Date.now() - began;
  const gaps = seen.slice(1).map((at, index) => at - seen[index]);
  t.diagnostic(`${arrived("busy")} requests and ${seen.length} writes in ${took} ms, ${gaps} ms apart`);
  assert.ok(arrived("busy") > 200, "the budget changed often enough");
  assert.ok(seen.length >= 2, "it is saved while the page lives");
  // The clocks of a page are rounded.
  assert.ok(gaps.every((gap) => gap >= 990), `${gaps}`);
  const left = Date.now();
  await goTo(page, "/elsewhere.html");
  const [at] = await saved(page);
  assert.ok(at >= left - 10, "it is saved once more on leaving");
});

/**
 * A tab in the foreground.
 * @param {string} place
 */
async function open(place) {
  const tab = await chromium.open(place.startsWith("/") ? `${origin.url}${place}` : place);
  tabs.push(tab);
  await until("it has loaded", 5000, () => tab.evaluate("document.readyState === 'complete'").catch(() => false));
  return tab;
}

/** @param {Tab} tab */
function limited(tab) {
  const limits = () => tab.evaluate("window.client?.state.enforced === true").catch(() => false);
  return until("it knows the limit", 5000, limits);
}

/** @param {Tab} tab @param {string} place */
async function goTo(tab, place) {
  await tab.call("Page.navigate", { url: `${origin.url}${place}` });
  await until("it is there", 5000, () => tab.evaluate("document.title === 'elsewhere'").catch(() => false));
}

/**
 * @param {Tab} tab
 * @returns {Promise<any[]>}
 */
async function saved(tab) {
  return JSON.parse(await tab.evaluate(`localStorage[${KEY}]`));
}

/** @param {Tab} tab @param {number[]} list */
function save(tab, list) {
  return tab.evaluate(`localStorage[${KEY}] = ${JSON.stringify(JSON.stringify(list))}`);
}

/**
 * Starts requests, all at once.
 * @param {Tab} tab
 * @param {number} count
 * @param {string} name
 */
function send(tab, count, name) {
  const one = `client.fetch("/app/" + Math.random() + "?page=${name}").catch(() => {})`;
  return tab.evaluate(`for (let index = 0; index < ${count}; index += 1) ${one}; void 0`);
}

/** @param {string} name */
function arrived(name) {
  return origin.seen.app.filter(({ page }) => page === name).length;
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
