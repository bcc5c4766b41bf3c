// Time until the slots of a closed, crashed or hanging tab are used by another tab that waits for them.

import { startOrigin } from "../../browser/support/origin.js";
import { median } from "./figures.js";

/** @typedef {import("../../browser/node_modules/playwright-core/index.js").Browser} Browser */
/** @typedef {import("../../browser/node_modules/playwright-core/index.js").BrowserContext} Context */
/** @typedef {import("../../browser/node_modules/playwright-core/index.js").Page} Page */

/** @typedef {(context: Context, page: Page) => Promise<unknown>} End */

const SLOTS = 4;

/** @type {Record<string, End>} */
const ENDS = {
  closes: (_, page) => page.close(),
  crashes: async (context, page) => {
    const devtools = await context.newCDPSession(page);
    const crashed = page.waitForEvent("crash");
    devtools.send("Page.crash").catch(() => {});
    await crashed;
  },
};

/**
 * @param {Browser} browser
 * @param {{ times: number }} plan
 */
export async function handover(browser, { times }) {
  const rows = [];
  for (const role of /** @type {const} */ (["follower", "leader"])) {
    for (const [name, end] of Object.entries(ENDS)) {
      rows.push(await row(`a ${role} ${name}, another tab waits`, times, () => idle(browser, role, end)));
    }
  }
  rows.push(await row("a leader hangs, another tab asks for slots", times, () => hung(browser, true)));
  rows.push(await row("a leader hangs, no tab asks", Math.ceil(times / 5), () => hung(browser, false)));
  return { head: ["", "times", "median, ms", "longest, ms"], rows };
}

/**
 * @param {string} name
 * @param {number} times
 * @param {() => Promise<number>} measure
 */
async function row(name, times, measure) {
  const took = [];
  for (let time = 0; time < times; time += 1) took.push(await measure());
  return [name, String(times), median(took).toFixed(0), Math.max(...took).toFixed(0)];
}

/**
 * From the order to end a tab that holds all slots to the first request of the other tab.
 * @param {Browser} browser
 * @param {"leader" | "follower"} role
 * @param {End} end
 */
function idle(browser, role, end) {
  return withTabs(browser, async ({ origin, context, leader, follower }) => {
    // The tab that ends cannot give its slots back: its requests never end.
    origin.work.ms = 60_000;
    const arrived = (/** @type {string} */ name) => origin.seen.app.filter(({ page }) => page === name);
    const [gone, stays] = role === "leader" ? [leader, follower] : [follower, leader];
    await send(gone, "gone");
    await until(() => arrived("gone").length === SLOTS);
    await send(stays, "stays");
    // A random time within the interval of the tabs' messages.
    await sleep(300 + Math.random() * 500);
    if (arrived("stays").length > 0) throw new Error("there were slots left");
    const at = Date.now();
    await end(context, gone);
    await until(() => arrived("stays").length > 0);
    return (arrived("stays")[0]?.at ?? Number.NaN) - at;
  });
}

/**
 * From the moment when a leader's script hangs until the other tab sends or leads.
 * @param {Browser} browser
 * @param {boolean} asks
 */
function hung(browser, asks) {
  return withTabs(browser, async ({ origin, leader, follower }) => {
    await leader.evaluate(() => void setTimeout(() => { for (;;); }, 0));
    const at = Date.now();
    if (asks) {
      await send(follower, "asks");
      await until(() => origin.seen.app.length > 0);
      return (origin.seen.app[0]?.at ?? Number.NaN) - at;
    }
    await follower.waitForFunction(`client.state.transport === "sse"`, undefined, { timeout: 60_000, polling: 20 });
    return Date.now() - at;
  });
}

/**
 * Two tabs of one browser under a limit.
 * @template T
 * @param {Browser} browser
 * @param {(tabs: { origin: Awaited<ReturnType<typeof startOrigin>>, context: Context, leader: Page, follower: Page }) => Promise<T>} measure
 */
async function withTabs(browser, measure) {
  const origin = await startOrigin();
  const context = await browser.newContext();
  try {
    origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: SLOTS });
    const tab = async (/** @type {string} */ transport) => {
      const page = await context.newPage();
      await page.goto(`${origin.url}/`);
      await page.waitForFunction(`window.client?.state.enforced && client.state.transport === "${transport}"`);
      return page;
    };
    const leader = await tab("sse");
    return await measure({ origin, context, leader, follower: await tab("shared") });
  } finally {
    await context.close();
    await origin.stop();
  }
}

/**
 * @param {Page} page
 * @param {string} name
 */
function send(page, name) {
  return page.evaluate((name) => {
    const { client } = /** @type {any} */ (window);
    for (let index = 0; index < 20; index += 1) client.fetch(`/app/${Math.random()}?page=${name}`).catch(() => {});
  }, name);
}

/** @param {() => boolean} condition */
async function until(condition) {
  const end = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("the other tab does not go on");
    await sleep(5);
  }
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
