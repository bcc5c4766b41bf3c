// Tabs of a real Chromium as users of the lab: each has the npm package, wants things at Poisson moments whether or not it
// gets them, and counts those that it gets within two seconds. `poolgate-bench-lab` starts it with a plan as its argument; it
// prints "ready", waits for a line, and prints what each tab met. It ends with its input.

import { createInterface } from "node:readline";

import { launch } from "../../tests/browser/support/browser.js";

/** @typedef {{ url: string, tabs: number, rate: number, seconds: number, window: [number, number] }} Plan */
/** @typedef {{ wanted: number, served: number, latencies_ms: number[] }} Figures */

/** @type {Plan} */
const plan = JSON.parse(process.argv[2] ?? "");
const browser = await launch();
const input = createInterface({ input: process.stdin });
const go = new Promise((resolve) => input.once("line", resolve));
input.once("close", () => browser.close().finally(() => process.exit(0)));

const tabs = await Promise.all(Array.from({ length: plan.tabs }, open));
console.log("ready");
await go;
console.log(JSON.stringify(await Promise.all(tabs.map((tab) => tab.evaluate(live, plan)))));

/** A tab of a browser profile of its own whose client follows the server's event stream. */
async function open() {
  const context = await browser.newContext();
  const page = await context.newPage();
  // Any document of the server's origin will do, and this one loads nothing else.
  await page.goto(new URL("/api/v1/health/ping", plan.url).href);
  await page.evaluate(async () => {
    const { createClient, isPoolgateError } = await import(/** @type {any} */ ("/pkg/index.js"));
    const client = await createClient();
    while (client.state.transport !== "sse") await new Promise((resolve) => setTimeout(resolve, 50));
    Object.assign(globalThis, { client, isPoolgateError });
  });
  return page;
}

/**
 * Runs in the tab. The same user as the native ones: see load/user.rs and load/caller.rs.
 * @param {Plan} plan
 * @returns {Promise<Figures>}
 */
async function live({ rate, seconds, window: [from, to] }) {
  const DEADLINE_MS = 2000;
  const LATEST_START_MS = 300;
  const RETRIES = 2;
  const BACK_OFF_MS = 100;
  const { client, isPoolgateError } = /** @type {any} */ (globalThis);
  /** @type {Figures} */
  const figures = { wanted: 0, served: 0, latencies_ms: [] };
  /** @type {unknown} */
  let mistake;
  const start = performance.now();
  const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const counts = (/** @type {number} */ at) => at >= start + from * 1000 && at < start + to * 1000;

  let wanted = start;
  for (;;) {
    wanted += (-Math.log(1 - Math.random()) / rate) * 1000;
    if (wanted >= start + seconds * 1000) break;
    await sleep(wanted - performance.now());
    if (counts(wanted)) figures.wanted += 1;
    void pursue(wanted);
  }
  await sleep(start + seconds * 1000 - performance.now());
  if (mistake !== undefined) throw mistake;
  return figures;

  /** @param {number} wanted */
  async function pursue(wanted) {
    const deadline = wanted + DEADLINE_MS;
    for (let attempt = 0; attempt <= RETRIES; attempt += 1) {
      if (attempt > 0) await sleep(BACK_OFF_MS * attempt * (0.5 + Math.random()));
      const left = deadline - performance.now();
      if (left <= 0) return;
      try {
        const response = await client.fetch("/work", {
          signal: AbortSignal.timeout(Math.ceil(left)),
          poolgate: { queueTimeoutMs: Math.round(Math.max(0, left - LATEST_START_MS)) },
        });
        await response.text();
        if (!response.ok) continue;
        const now = performance.now();
        if (now <= deadline && counts(now)) {
          figures.served += 1;
          figures.latencies_ms.push(now - wanted);
        }
        return;
      } catch (error) {
        // The client has said that there is no point in trying again, or time is up.
        if (isPoolgateError(error) || performance.now() >= deadline) return;
        // A network failure is worth another attempt; anything else is a mistake of this script.
        if (!(error instanceof TypeError && /fetch/i.test(error.message))) mistake ??= error;
      }
    }
  }
}
