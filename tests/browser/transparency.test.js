// client.fetch compared with the browser's fetch: for equal arguments the server must get the same request and the page
// the same result. Runs without limits, and with all requests forced through the queue.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.js";
import { selfSigned } from "./support/certificate.js";
import { CASES, STREAM_CASES } from "./support/fetch-cases.js";
import { mirror } from "./support/mirror.js";
import { startOrigin } from "./support/origin.js";

const CASES_FILE = readFileSync(new URL("support/fetch-cases.js", import.meta.url), "utf8");

/** Headers that the browser itself sends in one run and not in another. */
const MAY_BE_SENT = new Set([
  "aborted at once",
  "a connection that breaks",
  "an init that is used again for another call",
  "a stream that fails",
  "a stream that is not needed any more",
]);

/** Failures that look like network errors, so that they may be retried. */
const TRIED_AGAIN = new Set(["a redirect is an error", "redirects in a circle", "bad integrity"]);

/** A page with `client` and `run(how, name, elsewhere)`. */
const PAGE = `<!doctype html><title>transparency</title><script type="module">
  import { createClient } from "/pkg/index.js";
  import { CASES, STREAM_CASES, outcome } from "/fetch-cases.js";

  const native = globalThis.fetch.bind(globalThis);
  /** Occupies the only slot until told to end. */
  const slots = [];
  const host = (...args) =>
    args[0] === "/app/slot" ? new Promise((resolve) => slots.push(() => resolve(new Response()))) : native(...args);
  const client = await createClient({ fetch: host, autoCleanup: false });
  window.client = client;
  const options = { coalesce: true, honourForeignLimits: true, retries: 2, shareAcrossTabs: false };
  const withOptions = await createClient({ fetch: host, autoCleanup: false, ...options });
  let waited = 0;

  const fetches = {
    native: globalThis.fetch,
    client: client.fetch,
    withOptions: withOptions.fetch,
    queued(...args) {
      client.fetch("/app/slot");
      const promise = client.fetch(...args);
      waited += client.state.queued;
      setTimeout(() => slots.shift()?.(), 40);
      return promise;
    },
  };
  window.run = async (how, name, elsewhere) => {
    const id = crypto.randomUUID();
    const at = (path) => path.replace(/\\?|$/, (mark) => "?case=" + id + (mark && "&"));
    const tools = { at, elsewhere: (path) => elsewhere + at(path), goOn: () => native(at("/app/go-on")), native };
    waited = 0;
    const gave = await outcome((CASES[name] ?? STREAM_CASES[name]), fetches[how], tools);
    return { id, gave, waited };
  };
</script>`;

const FILES = { "/": PAGE, "/fetch-cases.js": CASES_FILE };

/** @typedef {Awaited<ReturnType<typeof start>>} Site */
/** @type {Site} */
let http;
/** @type {Site} */
let http2;
/** @type {Site} */
let elsewhere;
/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await launch();
  [http, http2, elsewhere] = await Promise.all([start(), start({ tls: selfSigned() }), start()]);
});

after(async () => {
  await browser?.close();
  await Promise.all([http, http2, elsewhere].map((site) => site?.origin.stop()));
});

test("without limits", { timeout: 120_000 }, (t) => compare(t, http, CASES, "client"));
test("with every request queued", { timeout: 120_000 }, (t) => compare(t, http, CASES, "queued"));
test("with every option on", { timeout: 120_000 }, (t) => compare(t, http, CASES, "withOptions"));
test("streams without limits", { timeout: 60_000 }, (t) => compare(t, http2, STREAM_CASES, "client"));
test("streams with every option on", { timeout: 60_000 }, (t) => compare(t, http2, STREAM_CASES, "withOptions"));
test("streams with every request queued", { timeout: 60_000 }, (t) => compare(t, http2, STREAM_CASES, "queued"));

/**
 * @param {import("node:test").TestContext} t
 * @param {Site} site
 * @param {typeof CASES} cases
 * @param {"client" | "queued" | "withOptions"} how
 */
async function compare(t, site, cases, how) {
  if (how === "queued") site.origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 1 });
  else site.origin.release();
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  try {
    const page = await context.newPage();
    /** @type {string[]} */
    const warnings = [];
    page.on("console", (message) => message.text().startsWith("[poolgate]") && warnings.push(message.text()));
    await page.goto(site.origin.url);
    await page.waitForFunction(`window.client?.state.enforced === ${how === "queued"} && window.client.state.config`);
    for (const name of Object.keys(cases)) {
      await t.test(name, async () => {
        const native = await run(page, site, "native", name);
        const ours = await run(page, site, how, name);
        assert.deepEqual(ours.gave, native.gave);
        const asOften = !MAY_BE_SENT.has(name) && (how !== "withOptions" || !TRIED_AGAIN.has(name));
        if (asOften) assert.deepEqual(ours.asked, native.asked);
        if (how === "queued") assert.ok(ours.waited > 0 || ours.askedHere === 0, "it did not wait");
      });
    }
    await page.waitForFunction("window.client.state.inFlight + window.client.state.queued === 0");
    assert.deepEqual(warnings, []);
  } finally {
    await context.close();
  }
}

/**
 * @param {import("playwright-core").Page} page
 * @param {Site} site
 * @param {string} how
 * @param {string} name
 */
async function run(page, site, how, name) {
  const call = `window.run(${JSON.stringify(how)}, ${JSON.stringify(name)}, ${JSON.stringify(elsewhere.origin.url)})`;
  await page.context().clearCookies();
  const { id, gave, waited } = await page.evaluate(call);
  const asked = [...site.asked(id), ...elsewhere.asked(id)];
  const same = (/** @type {unknown} */ value) =>
    JSON.parse(JSON.stringify(value).replaceAll(id, "CASE").replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "UUID"));
  return { gave: same(gave), asked: same(asked), askedHere: site.asked(id).length, waited };
}

/** @param {{ tls?: ReturnType<typeof selfSigned> }} [own] */
async function start(own) {
  /** @type {import("./support/origin.js").Origin} */
  let origin;
  const { app, asked } = mirror(() => origin.header());
  origin = await startOrigin(FILES, { ...own, app });
  return { origin, asked };
}
