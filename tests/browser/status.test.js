// <poolgate-status> for its users: its texts, its colors and its accessibility.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

const SCREENSHOTS = process.env.POOLGATE_SCREENSHOTS;
const AXE = new URL("node_modules/axe-core/axe.min.js", import.meta.url);

const STATES = {
  normal: { level: "NORMAL" },
  moderate: { level: "MODERATE" },
  aggressive: { level: "AGGRESSIVE", queued: 3, oldestWaitMs: 2000, etaMs: { earliest: 4100, latest: 9400 } },
  emergency: { level: "EMERGENCY", queued: 12, oldestWaitMs: 9000, etaMs: { earliest: 70_000, latest: 90_000 } },
  unreachable: { level: "EMERGENCY", breaker: "open" },
  unknown: { transport: "none" },
};

/** A double of a client, with all that the element uses. */
const SOURCE = `
  class Source extends EventTarget {
    state = { level: "NORMAL", breaker: "closed", queued: 0, stale: false, transport: "sse" };
    refreshed = 0;
    async refresh() { this.refreshed += 1; }
    set(changes) {
      Object.assign(this.state, changes);
      this.dispatchEvent(new Event("queuechange"));
    }
  }
`;

const STYLE = ":root { color-scheme: light dark; font: 16px system-ui } poolgate-status { margin: 0.4rem }";
const PAGE = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
<title>status</title><link rel="stylesheet" href="/status.css">
<main><h1>Status</h1></main>
<script type="module">
  import "/pkg/status.js";
  ${SOURCE}
  window.show = (attributes, changes) => {
    const element = document.createElement("poolgate-status");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    const source = new Source();
    source.set(changes);
    element.source = source;
    document.querySelector("main").append(element);
    window.last = element;
    return element;
  };
  window.ready = true;
</script>`;

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("playwright-core").BrowserContext} */
let context;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

beforeEach(async () => {
  // A policy without inline styles must not remove its styles.
  const policy = "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'";
  origin = await startOrigin({
    "/status.html": (_, response) => {
      response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy }).end(PAGE);
    },
    "/status.css": (_, response) => response.writeHead(200, { "content-type": "text/css" }).end(STYLE),
  });
});

afterEach(async () => {
  await context?.close();
  await origin.stop();
});

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`axe finds nothing in the ${colorScheme} theme`, { timeout: 60_000 }, async () => {
    const page = await open({ colorScheme });
    for (const variant of ["badge", "dot", "banner"]) {
      for (const changes of Object.values(STATES)) {
        await page.evaluate(([variant, changes]) => void /** @type {any} */ (globalThis).show({ variant, always: "" }, changes), /** @type {const} */ ([variant, changes]));
      }
    }
    await page.evaluate(await readFile(AXE, "utf8"));
    const { violations, passes } = await page.evaluate("axe.run({ resultTypes: ['violations'] })");
    const found = violations.map((/** @type {any} */ { id, nodes }) => [id, nodes.map((/** @type {any} */ { html }) => html)]);
    assert.deepEqual(found, []);
    const contrast = passes.find((/** @type {any} */ { id }) => id === "color-contrast");
    assert.ok(contrast?.nodes.length >= 1, "it has looked at the colors");
    if (SCREENSHOTS) await page.screenshot({ path: path.join(SCREENSHOTS, `status-${colorScheme}.png`), fullPage: true });
  });
}

test("it shows the expected wait as a stable range", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(([changes]) => void /** @type {any} */ (globalThis).show({}, changes), [STATES.aggressive]);
  assert.match(await text(page), /^▲We are busy; .* \(3 of yours waiting, about 5–10 seconds\)/);
  await set(page, { etaMs: { earliest: 1500, latest: 1900 } });
  assert.match(await text(page), /3 of yours waiting, about 2 s/);
  await set(page, { etaMs: { earliest: 1500, latest: 25_000 } });
  assert.match(await text(page), /3 of yours waiting, about 2 s/, "it may grow once in five seconds");
  await until("it may grow now", 7000, async () => /about 2–30 s/.test(await text(page)));
  await set(page, { etaMs: null });
  assert.match(await text(page), /\(3 of yours waiting\)/, "the wait is unknown");
  await set(page, { queued: 0 });
  assert.doesNotMatch(await text(page), /waiting/);
});

test("a banner appears when a request of this user waits, with a retry button in an emergency", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => void /** @type {any} */ (globalThis).show({ variant: "banner" }, { level: "AGGRESSIVE" }));
  const banner = page.locator("poolgate-status .base");
  assert.equal(await banner.isVisible(), false, "only other users are affected");
  await set(page, { queued: 1, oldestWaitMs: 500 });
  assert.equal(await banner.isVisible(), false, "it may be over before it is announced");
  await page.evaluate("last.source.state.oldestWaitMs = 1500");
  await banner.waitFor({ state: "visible", timeout: 3000 });
  assert.equal(await page.getByRole("button", { name: "Check again" }).count(), 0);
  await set(page, { level: "EMERGENCY", breaker: "open" });
  await page.getByRole("button", { name: "Check again" }).click({ timeout: 5000 });
  assert.equal(await page.evaluate("last.source.refreshed"), 1);
});

test("its button says that it checks, and asks once", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => void /** @type {any} */ (globalThis).show({ variant: "banner" }, { level: "EMERGENCY" }));
  const button = page.locator("poolgate-status button");
  await button.click({ timeout: 5000 });
  await button.dispatchEvent("click");
  assert.equal(await button.textContent(), "Checking");
  assert.equal(await button.getAttribute("aria-disabled"), "true");
  await until("it has checked", 4000, async () => (await button.textContent()) === "Check again");
  assert.equal(await page.evaluate("last.source.refreshed"), 1);
});

test("a banner stays and says so when the server is gone", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => void /** @type {any} */ (globalThis).show({ variant: "banner" }, { level: "EMERGENCY" }));
  const base = page.locator("poolgate-status .base");
  await base.waitFor({ state: "visible" });
  await set(page, { stale: true });
  await until("nothing is known", 4000, async () => (await base.getAttribute("data-state")) === "unknown");
  assert.equal(await base.isVisible(), true);
  assert.match(await text(page), /The status cannot be checked/);
  await set(page, { stale: false, level: "NORMAL" });
  await until("it is over", 1000, async () => (await base.getAttribute("data-state")) === "normal");
  assert.equal(await base.isVisible(), false);
});

test("a database that stops responding in an emergency is announced, too", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => {
    const element = /** @type {any} */ (globalThis).show({}, { level: "EMERGENCY" });
    element.addEventListener("poolgate-levelchange", (/** @type {CustomEvent} */ { detail }) => Reflect.set(window, "change", detail));
  });
  await set(page, { breaker: "open" });
  await until("there is an event", 4000, async () => (await page.evaluate("window.change?.unreachable")) === true);
});

test("a dot has its words for keyboard and touch", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => void /** @type {any} */ (globalThis).show({ variant: "dot" }, { level: "AGGRESSIVE" }));
  const label = page.locator("poolgate-status .label");
  const width = async () => (await label.boundingBox())?.width ?? 0;
  assert.ok((await width()) < 5, "hidden from the eye");
  await page.keyboard.press("Tab");
  assert.ok((await width()) > 100, "shown");
});

test("the live region exists before its first announcement, and the end is announced too", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(([changes]) => void /** @type {any} */ (globalThis).show({}, changes), [STATES.normal]);
  const region = page.locator("body > [data-poolgate-announcer]");
  const named = ["role", "aria-live", "aria-atomic"].map((name) => region.getAttribute(name));
  assert.deepEqual(await Promise.all(named), ["status", "polite", "true"]);
  assert.equal(await region.textContent(), "");
  await set(page, STATES.aggressive);
  await until("it is announced", 5000, async () => /We are busy/.test((await region.textContent()) ?? ""));
  await set(page, { level: "NORMAL", queued: 0 });
  await until("the end is announced", 25_000, async () => (await region.textContent()) === "Back to normal");
});

test("a lasting level is shown by icon and words beside its color", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => void /** @type {any} */ (globalThis).show({}, {}));
  const base = page.locator("poolgate-status .base");
  assert.equal(await base.isVisible(), false, "nothing is shown in the normal state");
  await page.evaluate("last.setAttribute('always', '')");
  assert.equal(await base.isVisible(), true);
  await set(page, { level: "AGGRESSIVE", queued: 3 });
  assert.equal(await base.getAttribute("data-state"), "normal", "it may pass");
  await until("it has lasted long enough", 4000, async () => (await base.getAttribute("data-state")) === "aggressive");
  assert.match(await text(page), /^\u25b2.*3 of yours waiting/);
  assert.equal(await base.evaluate((element) => getComputedStyle(element).color), "rgb(184, 79, 0)");
});

test("a short level is not shown", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => void /** @type {any} */ (globalThis).show({}, {}));
  await set(page, { level: "EMERGENCY" });
  await new Promise((later) => setTimeout(later, 100));
  await set(page, { level: "NORMAL" });
  await new Promise((later) => setTimeout(later, 2200));
  assert.equal(await page.locator("poolgate-status .base").getAttribute("data-state"), "normal");
});

test("without a client it polls the server, and understands each answer", { timeout: 60_000 }, async () => {
  const page = await open();
  const answers = /** @type {const} */ ([
    [await golden("moderate"), "moderate", /Slightly slower/],
    [await golden("open"), "emergency", /not responding/],
    [await golden("malformed"), "normal", /^/],
    ["not json", "unknown", /status cannot be checked/],
    ["null", "unknown", /status cannot be checked/],
  ]);
  for (const [answer, state, words] of answers) {
    origin.files["/answer"] = (_, response) => response.writeHead(200, { "content-type": "application/json" }).end(answer);
    await page.evaluate(() => {
      const element = document.createElement("poolgate-status");
      for (const [name, value] of [["src", "/answer"], ["announce", "off"]]) element.setAttribute(name, value);
      document.querySelector("main")?.replaceChildren(element);
    });
    const base = page.locator("poolgate-status .base");
    await until(state, 4000, async () => (await base.getAttribute("data-state")) === state && words.test(await text(page)), () => text(page));
  }
});

test("it never throws, not even with invalid input", { timeout: 60_000 }, async () => {
  const page = await open();
  /** @type {unknown[]} */
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  const seen = await page.evaluate(() =>
    [null, undefined, "x", 7, {}, { addEventListener: 1, state: null }].map((source) => {
      const element = document.createElement("poolgate-status");
      for (const [name, value] of [["variant", "nonsense"], ["poll", "-1"], ["src", "http://["]]) element.setAttribute(name, value);
      Object.assign(element, { source, labels: { unknown: 7, other: null } });
      document.querySelector("main")?.append(element);
      const base = element.shadowRoot?.querySelector(".base");
      return [/** @type {any} */ (element).source, base?.getAttribute("data-variant")];
    }),
  );
  await new Promise((later) => setTimeout(later, 200));
  assert.deepEqual(seen, Array(6).fill([null, "badge"]));
  assert.deepEqual(errors, []);
});

test("texts can be an attribute, with a form for each plural of the page's language", { timeout: 30_000 }, async () => {
  const page = await open();
  const show = (/** @type {object | string} */ labels, /** @type {number} */ queued, lang = "pl") =>
    page.evaluate(
      ([labels, queued, lang]) => {
        document.documentElement.lang = /** @type {string} */ (lang);
        const { show } = /** @type {any} */ (window);
        return show({ labels }, { level: "AGGRESSIVE", queued }).shadowRoot.querySelector(".label").textContent;
      },
      /** @type {const} */ ([typeof labels === "string" ? labels : JSON.stringify(labels), queued, lang]),
    );
  const labels = { aggressive: "Duży ruch", waiting: { one: "{count} żądanie", few: "{count} żądania", many: "{count} żądań", other: "{count} żądania" } };
  assert.match(await show(labels, 1), /^Duży ruch \(1 żądanie/);
  assert.match(await show(labels, 3), /\(3 żądania/);
  assert.match(await show(labels, 12), /\(12 żądań/);
  assert.match(await show(labels, 12, "not a language"), /\(12 /);
  const warned = page.waitForEvent("console", { predicate: (message) => /must be an object in JSON/.test(message.text()) });
  assert.match(await show("{", 1), /^We are busy.* \(1 of yours waiting/);
  await warned;
});

test("without a request in line it shows how long a new one would wait", { timeout: 30_000 }, async () => {
  const page = await open();
  const etaMs = { earliest: 4100, latest: 9400 };
  await page.evaluate(([etaMs]) => void /** @type {any} */ (globalThis).show({}, { level: "EMERGENCY", etaMs }), [etaMs]);
  assert.match(await label(page), /requests are delayed \(about 5–10 seconds\)$/);
  await page.evaluate("last.source.state.etaMs = { earliest: 3100, latest: 4900 }");
  await until("it gets shorter without an event", 3000, async () => /\(about 5 seconds\)$/.test(await label(page)), () => label(page));
  await set(page, { etaMs: { earliest: 0, latest: 300 } });
  assert.match(await label(page), /requests are delayed$/, "such a wait is not noticed");
  await set(page, { etaMs, breaker: "open" });
  await until("the breaker is open", 4000, async () => /not responding/.test(await label(page)));
  assert.doesNotMatch(await label(page), /about/, "nothing passes, whatever the limits say");
});

test("while it matters it says how old its news is", { timeout: 30_000 }, async () => {
  const page = await open();
  await page.evaluate(() => void /** @type {any} */ (globalThis).show({}, { level: "EMERGENCY" }));
  const age = () => page.locator("poolgate-status .age").innerText();
  assert.equal(await age(), "up to date");
  await set(page, { stale: true });
  await until("nothing is known", 5000, async () => /^updated [235] seconds ago$/.test(await age()), age);
  await set(page, { stale: false, level: "NORMAL" });
  await until("all is well", 3000, async () => (await label(page)) === "No delays");
  await page.evaluate("last.setAttribute('always', '')");
  assert.equal(await age(), "", "good news needs no date");
});

test("without a client its news gets old between two answers", { timeout: 30_000 }, async () => {
  const page = await open();
  origin.files["/answer"] = async (_, response) => void response.writeHead(200, { "content-type": "application/json" }).end(await golden("moderate"));
  await page.evaluate(() => {
    const element = document.createElement("poolgate-status");
    element.setAttribute("src", "/answer");
    document.querySelector("main")?.append(element);
  });
  const age = () => page.locator("poolgate-status .age").innerText();
  for (const words of ["up to date", "updated 5 seconds ago", "updated 10 seconds ago"]) await until(words, 12_000, async () => (await age()) === words, age);
});

test("with a real client it shows the server's state", { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(async () => {
    const { createClient } = await import(/** @type {any} */ ("/pkg/index.js"));
    const element = document.createElement("poolgate-status");
    element.setAttribute("always", "");
    Object.assign(element, { source: await createClient({ shareAcrossTabs: false }) });
    document.querySelector("main")?.append(element);
  });
  await until("all is well", 5000, async () => /No delays/.test(await text(page)));
  origin.limit({ throttling_level: "AGGRESSIVE" });
  await until("it is busy", 6000, async () => /We are busy/.test(await text(page)));
});

/** @param {string} name */
function golden(name) {
  return readFile(new URL(`../fixtures/config-${name}.json`, import.meta.url), "utf8");
}

/** @param {import("playwright-core").BrowserContextOptions} [options] */
async function open(options = {}) {
  context = await browser.newContext({ viewport: { width: 900, height: 700 }, ...options });
  const page = await context.newPage();
  await page.goto(`${origin.url}/status.html`);
  await until("the page is ready", 5000, () => page.evaluate("window.ready === true"));
  return page;
}

/** @param {import("playwright-core").Page} page */
function text(page) {
  return /** @type {Promise<string>} */ (page.evaluate("document.querySelector('poolgate-status').shadowRoot.querySelector('.base').textContent"));
}

/** @param {import("playwright-core").Page} page */
function label(page) {
  return page.locator("poolgate-status .label").innerText();
}

/**
 * @param {import("playwright-core").Page} page
 * @param {object} changes
 */
function set(page, changes) {
  return page.evaluate((changes) => /** @type {any} */ (globalThis).last.source.set(changes), changes);
}
