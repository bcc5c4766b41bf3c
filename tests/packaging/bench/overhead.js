// Cost of a call through each library in Chromium. Each round runs all libraries in turn, so that disturbances of the
// machine affect all of them.

import { fileURLToPath } from "node:url";

import * as esbuild from "esbuild";

import { startOrigin } from "../../browser/support/origin.js";
import { median, range } from "./figures.js";

const LIMITED = "@poolgate/client, a limit in force";
/** It sets four timers per call; as many calls as for the others would take minutes. */
const SLOW = "bottleneck";
/** Never reached one after another. */
const LIMIT = { fair_rate_per_second: 1e6, max_concurrent_requests: 10 };

/**
 * @param {import("../../browser/node_modules/playwright-core/index.js").Browser} browser
 * @param {{ rounds: number, calls: number }} plan
 */
export async function overhead(browser, { rounds, calls }) {
  const page = await contenders(browser);
  /** @type {Map<string, { sequential: number[], burst: number[] }>} */
  const seen = new Map();
  const names = /** @type {string[]} */ (await page.evaluate("contenders"));
  // The first round warms up.
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of names) {
      const count = name === SLOW ? calls / 100 : calls;
      const times = seen.get(name) ?? { sequential: [], burst: [] };
      const sequential = await page.measure(name, name === SLOW ? count / 10 : count, false);
      // With a limit in force a burst is queued; memory.js measures that.
      const burst = name === LIMITED ? Number.NaN : await page.measure(name, count, true);
      if (round > 0) {
        times.sequential.push(sequential);
        times.burst.push(burst);
      }
      seen.set(name, times);
    }
  }
  await page.stop();
  const bare = /** @type {any} */ (seen.get("@poolgate/client"));
  const rows = Array.from(seen, ([name, { sequential, burst }]) => [
    name,
    ...[/** @type {const} */ (["sequential", sequential]), /** @type {const} */ (["burst", burst])].flatMap(([kind, times]) =>
      Number.isNaN(times[0]) ? ["–", "–", "–"] : [
        median(times).toFixed(2),
        range(times, 2),
        factor(median(times) / median(bare[kind])),
      ],
    ),
  ]);
  return {
    head: ["", "one after the other, µs", "range", "x ours", `${calls.toLocaleString("en")} at once, µs`, "range", "x ours"],
    rows,
  };
}

/** @param {number} times small numbers matter too */
function factor(times) {
  return times.toFixed(times < 1 ? 2 : 1);
}

/** @param {import("../../browser/node_modules/playwright-core/index.js").Browser} browser */
async function contenders(browser) {
  const script = await esbuild.build({
    entryPoints: [fileURLToPath(new URL("contenders.js", import.meta.url))],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    external: ["/pkg/*"],
    nodePaths: [fileURLToPath(new URL("../node_modules", import.meta.url))],
  });
  const files = {
    "/contenders.html": `<!doctype html><title>contenders</title><script type="module" src="/contenders.js"></script>`,
    "/contenders.js": script.outputFiles[0]?.text ?? "",
  };
  const origin = await startOrigin(files);
  const limited = await startOrigin(files);
  limited.limit(LIMIT);
  const context = await browser.newContext();
  const [page, limitedPage] = [await context.newPage(), await context.newPage()];
  await page.goto(`${origin.url}/contenders.html`);
  await limitedPage.goto(`${limited.url}/contenders.html`);
  return {
    evaluate: page.evaluate.bind(page),
    /** @param {string} name @param {number} count @param {boolean} burst */
    measure: async (name, count, burst) => {
      const tab = name === LIMITED ? limitedPage : page;
      await tab.bringToFront();
      return /** @type {Promise<number>} */ (tab.evaluate(`measure(${JSON.stringify(name)}, ${count}, ${burst})`));
    },
    async stop() {
      await context.close();
      await Promise.all([origin.stop(), limited.stop()]);
    },
  };
}
