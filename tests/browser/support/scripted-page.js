// A page whose server answers what the test says (scripted.js), and what it shows.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, afterEach, before } from "node:test";

import { launch } from "./browser.js";
import { startScripted } from "./scripted.js";
import { until } from "./until.js";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** @typedef {import("playwright-core").Page} Page */

/** Starts a browser for the tests of a file; the function returned opens a page in it, until its test ends. */
export function scriptedPages() {
  /** @type {import("playwright-core").Browser} */
  let browser;
  /** @type {(() => Promise<unknown>)[]} */
  let endings = [];

  before(async () => {
    browser = await launch();
  });

  after(() => browser?.close());

  afterEach(async () => {
    for (const end of endings.toReversed()) await end();
    endings = [];
  });

  /**
   * A scripted server, and a page that has read it.
   * @param {Parameters<typeof startScripted>[0] & { context?: import("playwright-core").BrowserContextOptions, prepare?: (server: Awaited<ReturnType<typeof startScripted>>, page: Page) => unknown, unread?: boolean }} [options]
   */
  return async function open({ context: wishes, prepare, unread, ...options } = {}) {
    const server = await startScripted(options);
    endings.push(server.stop);
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...wishes });
    endings.push(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    await prepare?.(server, page);
    await page.goto(server.url);
    if (!unread) await until("the page is live", 10_000, async () => !/^(Loading|No contact)/.test(await headline(page)), () => headline(page));
    return { server, page, script: server.script };
  };
}

/** @param {Page} page */
export const headline = (page) => page.locator("#verdict-headline").innerText();
/** @param {Page} page */
export const verdict = (page) => page.locator("#verdict").innerText();
/** @param {Page} page */
export const tone = (page) => page.locator("#verdict").getAttribute("data-tone");
/** @param {Page} page */
export const log = (page) => page.locator("#log").innerText();

/**
 * Waits until the verdict fits.
 * @param {Page} page
 * @param {RegExp} words
 */
export function says(page, words) {
  return until(`the verdict says ${words}`, 20_000, async () => words.test(await verdict(page)), () => verdict(page));
}

/** The names of rules that axe finds broken. @param {Page} page @param {string[]} [rules] */
export async function broken(page, rules) {
  await page.addScriptTag({ content: await readFile(AXE, "utf8") });
  return page.evaluate(async (rules) => {
    const options = rules ? { runOnly: { type: "rule", values: rules } } : { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] };
    const { violations } = await Reflect.get(window, "axe").run(document, options);
    return violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ { target, failureSummary }) => `${target} ${failureSummary}`).slice(0, 3)}`);
  }, rules);
}

/** A load in the demo, as its driver reports it. */
export const LOAD_REPORT = {
  state: "running",
  request: { users: 200, requests_per_second: 400, hold_ms: 200, poolgate: false, seconds: 180 },
  elapsed_seconds: 20,
  wanted: 8000,
  sent: 8000,
  succeeded: 2400,
  rejected: 5600,
  given_up: 0,
  failed: 0,
  queued: 0,
  success_rate: 0.3,
  goodput_per_second: 120,
  latency_ms: { p50: 210, p95: 300, p99: 420 },
};
