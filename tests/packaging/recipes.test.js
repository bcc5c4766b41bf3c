// The recipes of the package's README, unchanged, in Chromium and against a real server.

import assert from "node:assert/strict";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import * as esbuild from "esbuild";

import { launch } from "../browser/support/browser.js";
import { until } from "../browser/support/until.js";
import { startGraphql } from "./graphql.js";
import { settle, startLimited } from "./stranger.js";

const MINUTE = 60_000;
const MODULE = "poolgate_client_bg.wasm";

/** Five requests at ten a second take at least this long. */
const SOONEST_MS = 350;

/** @type {import("./stranger.js").Stranger} */
let stranger;
/** @type {Awaited<ReturnType<typeof startLimited>>} */
let server;
/** @type {Awaited<ReturnType<typeof startGraphql>>} */
let graphql;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;
/** @type {Map<string, string>} */
let recipes;

before(async () => {
  stranger = await settle();
  server = await startLimited(stranger);
  graphql = await startGraphql(server.url);
  browser = await launch();
  const readme = await readFile(join(stranger.project, "node_modules/@poolgate/client/README.md"), "utf8");
  const section = readme.slice(readme.indexOf("## Recipes"), readme.indexOf("## Getting it"));
  const blocks = section.matchAll(/^\[(.+?)\]\(.+?\n\n```jsx?\n(.+?)^```$/gms);
  recipes = new Map(Array.from(blocks, ([, name, code]) => [name, code]));
}, { timeout: 30 * MINUTE });

after(async () => {
  await browser?.close();
  await graphql?.stop();
  await server?.stop();
  await stranger?.leave();
});

test("the README has these recipes", () => {
  assert.deepEqual([...recipes.keys()], ["ky", "axios", "ofetch", "Apollo Client", "TanStack Query", "React"]);
});

for (const name of ["ky", "axios", "ofetch", "Apollo Client", "TanStack Query"]) {
  test(`requests of the recipe for ${name} are throttled`, { timeout: MINUTE }, async () => {
    const recipe = recipeOf(name);
    const last = /^const (\S+|\{.+\}) = await ((?:(?!^const )[^])+);\s*$/m.exec(recipe);
    assert.ok(last, "it ends with an answer");
    // Repeated as separate requests until the module is loaded.
    const page = await open(`${recipe}
      let round = 0;
      window.products = products;
      window.again = async () => {
        const at = performance.now();
        await Promise.all(Array.from({ length: 5 }, async () => {
          ${last[0].replace('["products"]', '["products", (round += 1)]')}
        }));
        return performance.now() - at;
      };
    `, origin(name));
    await until("it has run", 10_000, () => page.evaluate("window.again !== undefined"));
    assert.match(await page.evaluate("JSON.stringify(window.products)"), /"name"/);
    await until("five requests are throttled", 10_000, async () => (await page.evaluate("again()")) > SOONEST_MS);
    await page.context().close();
  });
}

test("the recipe for React shows queued requests and the status", { timeout: MINUTE }, async () => {
  const page = await open(`${recipeOf("React")}
    import { createRoot } from "react-dom/client";
    await (await starting).refresh();
    createRoot(document.body.appendChild(document.createElement("main"))).render(<Status />);
    window.send = () => Promise.all(Array.from({ length: 8 }, () => throttled("/api/v1/lab/hold?hold_ms=1")));
  `);
  await until("it is rendered", 10_000, () => page.evaluate("document.querySelector('poolgate-status') !== null"));
  await until("the status has its client", 5000, () => page.evaluate("document.querySelector('poolgate-status').source !== null"));
  assert.equal(await page.locator("main p").count(), 0);
  const sent = page.evaluate("send().then((answers) => answers.every(({ ok }) => ok))");
  await page.locator("main p", { hasText: /^\d of your requests wait/ }).waitFor({ timeout: 5000 });
  assert.equal(await sent, true);
  await page.locator("main p").waitFor({ state: "detached", timeout: 5000 });
  await page.context().close();
});

/** @param {string} name */
function recipeOf(name) {
  const recipe = recipes.get(name) ?? "";
  return recipe
    .replaceAll("https://api.example/products", `${server.url}/api/v1/shop/products`)
    .replaceAll("https://api.example", origin(name))
    .replaceAll('"/products"', '"/api/v1/shop/products"');
}

/** Where the recipe's page and server are. @param {string} name */
const origin = (name) => (name === "Apollo Client" ? graphql.url : server.url);

/**
 * A page that runs a script.
 * @param {string} code
 * @param {string} at
 */
async function open(code, at = server.url) {
  const folder = `recipe-${Math.random().toString(36).slice(2)}`;
  const entry = await stranger.write(`${folder}/app.jsx`, code);
  const outdir = join(stranger.project, folder);
  await esbuild.build({ entryPoints: [entry], outdir, bundle: true, format: "esm", jsx: "automatic" });
  await copyFile(join(stranger.project, "node_modules/@poolgate/client", MODULE), join(outdir, MODULE));
  await stranger.write(`${folder}/index.html`, `<!doctype html><body><script type="module" src="app.js"></script>`);
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${at}/${folder}/index.html`);
  return page;
}
