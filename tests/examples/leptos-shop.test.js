// The Leptos shop in Chromium: on the real server under load, and beside a page with the npm package's client.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { launch, visit } from "../browser/support/browser.js";
import { startOrigin } from "../browser/support/origin.js";
import { LOAD } from "../browser/support/page.js";
import { startServer } from "../browser/support/server.js";
import { until } from "../browser/support/until.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SHOP = path.join(ROOT, "www/examples/leptos-shop");
const FOLDER = process.env.POOLGATE_SCREENSHOTS ?? fileURLToPath(new URL("screenshots", import.meta.url));
const PAGE = "/examples/leptos-shop/index.html";
/** @type {Record<string, string>} */
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".css": "text/css", ".html": "text/html" };

/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  assert.ok(existsSync(SHOP), "`cargo xtask example leptos-shop --build-only` builds it");
  await mkdir(FOLDER, { recursive: true });
  browser = await launch();
});

after(() => browser?.close());

test("it serves customers under load, light and dark, and after a restart", { timeout: 400_000 }, async (t) => {
  let server = await startServer();
  const { port } = server;
  // The demo creates its data after it has begun to listen.
  const stocked = () =>
    until("the shop has products", 120_000, () => server.json("/api/v1/shop/products?search=").then(Boolean, () => false));
  try {
    await stocked();
    const { page, complaints } = await visit(browser, server.url + PAGE);
    await order(page, 1);
    assert.deepEqual(complaints, []);

    await server.startLoad({ ...LOAD, poolgate: true, seconds: 120 });
    await until("a limit is in force", 40_000, async () => {
      await page.click(".tour");
      await sleep(500);
      return /requests\/s/.test(await queue(page));
    }, () => queue(page));
    await page.click(".tour");
    await until("requests wait", 20_000, async () => /wait/.test(await queue(page)) && !/nothing/.test(await queue(page)), () => queue(page));
    // The element shows a worse state once it has lasted for two seconds.
    await until("the status says so", 15_000, async () => /slower|busy/.test(await status(page)), () => status(page));
    for (const [name, colorScheme, width] of /** @type {const} */ ([["light", "light", 1440], ["dark", "dark", 1440], ["360", "light", 360], ["360-dark", "dark", 360]])) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: path.join(FOLDER, `leptos-shop-${name}.png`), fullPage: true });
      assert.ok(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), `it is wider than ${width} px`);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
    const at = Date.now();
    await order(page, 2);
    t.diagnostic(`search, product and order under load took ${Date.now() - at} ms`);
    await server.stopLoad();

    await server.stop();
    await page.click("form button");
    await until("it says that the server is gone", 10_000, async () => /not reached/.test(await page.innerText("main")));
    server = await startServer({ port });
    await stocked();
    await order(page, 3);
  } finally {
    await server.stop();
  }
});

test("it keeps the rate of a page with the npm package's client", { timeout: 90_000 }, async (t) => {
  const { origin, seen } = await startShop();
  try {
    origin.limit({ fair_rate_per_second: 8, max_concurrent_requests: 5 });
    const alone = encodeURIComponent(JSON.stringify({ shareAcrossTabs: false }));
    const shop = await visit(browser, origin.url + PAGE);
    const npm = await visit(browser, `${origin.url}/npm.html#${alone}`);
    await npm.page.waitForFunction("window.client?.state.enforced");
    await until("the shop knows the limit", 10_000, async () => /8.0 requests/.test(await queue(shop.page)));
    await shop.page.click(".tour");
    await npm.page.evaluate(`Array.from({ length: 40 }, (_, id) => client.fetch("/app/" + id)), 0`);
    await sleep(1000);
    const begun = [seen.products, origin.seen.app.length];
    await sleep(3000);
    const [rust, script] = [seen.products - begun[0], origin.seen.app.length - begun[1]];
    t.diagnostic(`in 3 s at 8 a second: ${rust} by Rust, ${script} by JavaScript`);
    for (const count of [rust, script]) assert.ok(count >= 19 && count <= 29, `${rust} and ${script}`);
    await Promise.all([shop.context.close(), npm.context.close()]);
  } finally {
    await origin.stop();
  }
});

test("an adopted client shares one budget with the page's JavaScript", { timeout: 90_000 }, async (t) => {
  const { origin, seen } = await startShop();
  try {
    origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 1 });
    const { page, context, complaints } = await visit(browser, `${origin.url}${PAGE}?adopt`);
    await page.waitForFunction("window.poolgate?.state.enforced");
    await page.click(".tour");
    await page.evaluate(`Array.from({ length: 20 }, (_, id) => poolgate.fetch("/app/" + id)), 0`);
    await until("both wait in one queue", 5000, () => page.evaluate("poolgate.state.queued > 20"));
    assert.match(await queue(page), /requests wait/);
    await until("all are served", 20_000, () => seen.products === 40 && origin.seen.app.length === 20);
    t.diagnostic(`at most ${seen.most} at a time of both`);
    assert.equal(seen.most, 1);
    assert.deepEqual(complaints, []);
    await context.close();
  } finally {
    await origin.stop();
  }
});

test("a product that is no longer shown aborts its request", { timeout: 60_000 }, async () => {
  const { origin, seen } = await startShop({ ms: 3000 });
  try {
    const { page, context } = await visit(browser, origin.url + PAGE);
    await page.click("form button");
    await page.click(".results button >> nth=0");
    await until("it is asked for", 5000, () => seen.products === 1);
    await page.click(".results button >> nth=1");
    await until("the first is aborted", 5000, () => seen.aborted === 1);
    await context.close();
  } finally {
    await origin.stop();
  }
});

test("the breaker opens and closes", { timeout: 90_000 }, async () => {
  const { origin } = await startShop();
  try {
    const open = { circuit_breaker_open: true, throttling_level: "EMERGENCY", emergency_mode_active: true };
    origin.limit({ ...open, retry_after_seconds: 60, poll_after_seconds: 1, fair_rate_per_second: null });
    const { page, context } = await visit(browser, origin.url + PAGE);
    await until("requests are held back", 15_000, async () => {
      await page.click("form button");
      return /held back/.test(await page.innerText("main"));
    });
    await until("the status shows it", 15_000, () => page.evaluate(`document.querySelector("poolgate-status").source.state.breaker === "open"`));
    origin.release();
    await until("it closes", 15_000, async () => {
      await page.click("form button");
      return /2 products/.test(await page.innerText("main"));
    });
    await context.close();
  } finally {
    await origin.stop();
  }
});

/**
 * Finds a product and orders it, again and again as a customer does while the shop is full.
 * @param {import("playwright-core").Page} page
 * @param {number} index
 */
async function order(page, index) {
  const repeat = (/** @type {string} */ what, /** @type {string} */ button, /** @type {string} */ shown) =>
    until(
      what,
      90_000,
      async () => {
        if (await page.locator(shown).count()) return true;
        await page.click(button);
        const patience = { timeout: 12_000 };
        return page.waitForSelector(shown, patience).then(Boolean, () => false);
      },
      () => page.innerText("main"),
    );
  const result = `.results button >> nth=${index}`;
  await repeat("there are results", "form button", result);
  await page.click(result);
  await repeat("the product is shown", result, ".product .main");
  await repeat("it is ordered", ".product .main", ".ordered");
}

/** @param {import("playwright-core").Page} page */
const queue = (page) => page.innerText(".queue");

/** What a user sees of the status element. @param {import("playwright-core").Page} page */
const status = (page) =>
  page.evaluate(() => {
    const shown = document.querySelector("poolgate-status")?.shadowRoot?.querySelector(".base");
    return shown?.checkVisibility() ? (shown.textContent ?? "") : "nothing";
  });

/** The shop's files and a small API that counts, on a server whose limits the test sets. */
async function startShop({ ms = 20 } = {}) {
  const seen = { products: 0, aborted: 0, inFlight: 0, most: 0 };
  /** @type {Record<string, import("node:http").RequestListener>} */
  const files = {};
  const origin = await startOrigin(files, { app: (request, response) => count(request, response) });
  /** @type {(request: any, response: any, answer?: object) => void} */
  const count = (request, response, answer = {}) => {
    if (request.url.startsWith("/app/")) origin.seen.app.push({ at: Date.now(), path: request.url, page: "" });
    seen.inFlight += 1;
    seen.most = Math.max(seen.most, seen.inFlight);
    let isOver = false;
    const over = () => {
      if (!isOver) seen.inFlight -= 1;
      isOver = true;
    };
    response.on("close", () => {
      if (!isOver) seen.aborted += 1;
      over();
    });
    setTimeout(() => {
      over();
      const head = { "content-type": "application/json", "poolgate-config": origin.header(), "cache-control": "no-store" };
      response.writeHead(200, head).end(JSON.stringify(answer));
    }, ms);
  };
  const product = (/** @type {number} */ id) => ({ id, name: `Product ${id}`, category: "", price_cents: 100 * id, stock: 3 });
  files["/api/v1/shop/products"] = (_, response) => {
    const head = { "content-type": "application/json", "poolgate-config": origin.header(), "cache-control": "no-store" };
    response.writeHead(200, head).end(JSON.stringify({ products: [product(1), product(2)], page: 1, page_size: 20, total: 2 }));
  };
  for (let id = 1; id <= 40; id += 1) {
    files[`/api/v1/shop/products/${id}`] = (request, response) => {
      seen.products += 1;
      count(request, response, { ...product(id), bought_together: [] });
    };
  }
  serve(SHOP, "/examples/leptos-shop");

  /** @param {string} folder @param {string} prefix */
  function serve(folder, prefix) {
    const get = (/** @type {string} */ name) => {
      const file = path.join(folder, name);
      const type = TYPES[path.extname(name)] ?? "text/plain";
      files[`${prefix}/${name}`] = (_, response) => void response.writeHead(200, { "content-type": type }).end(readFileSync(file));
    };
    for (const name of ["index.html", "shop.css", "start.js", "leptos-shop.js", "leptos-shop_bg.wasm"]) get(name);
    for (const name of readdirSync(path.join(folder, "pkg"), { recursive: true, encoding: "utf8" })) get(`pkg/${name}`);
  }
  return { origin, seen };
}
