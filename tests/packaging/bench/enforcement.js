// Time until a tab follows a new level of the server: by the event stream, by the header of the next response, by
// polling.

import { startOrigin } from "../../browser/support/origin.js";
import { median, quantile } from "./figures.js";

/** Tabs with requests of their own send ten a second. */
const REQUEST_EVERY_MS = 100;
/** Poll interval of clients without a stream while a limit is in force, as the config sets it. */
const POLL_AFTER = { poll_after_seconds: 5 };

/**
 * `everyMs`: how often it may learn, so that changes come at any moment in between; `follows`: another tab leads.
 * @typedef {{ name: string, options: object, requests?: boolean, follows?: boolean, changes: number, tabs: number, everyMs: number }} Way
 */

/** @type {(scale: number) => Way[]} */
const WAYS = (scale) => [
  { name: "event stream", options: { transport: "sse" }, changes: 100 * scale, tabs: 4, everyMs: 10 },
  { name: "event stream of another tab", options: { transport: "sse" }, follows: true, changes: 100 * scale, tabs: 4, everyMs: 10 },
  { name: "header, 10 requests a second", options: { transport: "poll" }, requests: true, changes: 100 * scale, tabs: 4, everyMs: 100 },
  { name: "asking every 5 s", options: { transport: "poll" }, changes: 10 * scale, tabs: 8, everyMs: 5000 },
];

/**
 * @param {import("../../browser/node_modules/playwright-core/index.js").Browser} browser
 * @param {{ scale: number }} plan
 */
export async function enforcement(browser, { scale }) {
  const rows = [];
  for (const way of WAYS(scale)) {
    const delays = await delaysOf(browser, way);
    const figures = [median(delays), quantile(delays, 0.99), Math.max(...delays)].map((ms) => ms.toFixed(ms < 100 ? 1 : 0));
    rows.push([way.name, String(delays.length), ...figures]);
  }
  return { head: ["", "changes", "median, ms", "p99, ms", "longest, ms"], rows };
}

/**
 * @param {import("../../browser/node_modules/playwright-core/index.js").Browser} browser
 * @param {Way} way
 */
async function delaysOf(browser, { options, requests = false, follows = false, changes, tabs, everyMs }) {
  const origin = await startOrigin();
  origin.work.ms = 1;
  origin.limit({ ...POLL_AFTER, fair_rate_per_second: 1000 });
  /** @type {import("../../browser/node_modules/playwright-core/index.js").BrowserContext[]} */
  const contexts = [];
  try {
    const pages = [];
    for (let index = 0; index < tabs; index += 1) {
      const context = await browser.newContext();
      contexts.push(context);
      const open = async () => {
        const page = await context.newPage();
        await page.goto(`${origin.url}/#${encodeURIComponent(JSON.stringify({ ...options, shareAcrossTabs: follows }))}`);
        await page.evaluate(prepare, requests ? REQUEST_EVERY_MS : 0);
        return page;
      };
      if (follows) await open();
      const page = await open();
      if (follows) await page.waitForFunction(`client.state.transport === "shared"`);
      pages.push(page);
    }
    const delays = [];
    for (let change = 0; change < changes; change += 1) {
      // A header has only whole milliseconds between requests.
      const rate = change % 2 ? 250 : 500;
      await new Promise((later) => setTimeout(later, 50 + Math.random() * everyMs));
      const changed = Date.now();
      origin.limit({ ...POLL_AFTER, fair_rate_per_second: rate });
      const at = await Promise.all(pages.map((page) => page.evaluate(enforced, rate)));
      delays.push(...at.map((moment) => moment - changed));
    }
    return delays;
  } finally {
    await Promise.all(contexts.map((context) => context.close()));
    await origin.stop();
  }
}

/**
 * Runs in the tab: records when a rate came into force.
 * @param {number} everyMs
 */
async function prepare(everyMs) {
  const tab = /** @type {any} */ (globalThis);
  while (!tab.client?.state.enforced) await new Promise((later) => setTimeout(later, 10));
  tab.seen = new Map();
  const look = () => {
    const rate = Math.round(tab.client.state.ratePerSecond);
    if (!tab.seen.has(rate)) tab.seen.set(rate, performance.timeOrigin + performance.now());
  };
  tab.look = look;
  // A rate that a header changed causes no event, so check as often as the browser allows.
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    look();
    setTimeout(() => channel.port2.postMessage(0), 0);
  };
  channel.port2.postMessage(0);
  if (everyMs > 0) setInterval(() => tab.client.fetch(`/app/${Math.random()}`).catch(() => {}), everyMs);
}

/**
 * Runs in the tab: when this rate came into force.
 * @param {number} rate
 */
async function enforced(rate) {
  const { seen } = /** @type {any} */ (globalThis);
  while (!seen.has(rate)) await new Promise((later) => setTimeout(later, 1));
  const at = seen.get(rate);
  seen.clear();
  return at;
}
