// The package through bundlers, browsers and workers: each app is built, opened in Chromium, and throttled by a real
// server.

import assert from "node:assert/strict";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { nodeResolve } from "@rollup/plugin-node-resolve";
// @ts-expect-error its types cannot be resolved
import { importMetaAssets } from "@web/rollup-plugin-import-meta-assets";
import * as esbuild from "esbuild";
import { rollup } from "rollup";
import * as vite from "vite";
import * as vite5 from "vite5";
import webpack from "webpack";

import { launch } from "../browser/support/browser.js";
import { until } from "../browser/support/until.js";
import { settle, startLimited } from "./stranger.js";

const MINUTE = 60_000;

/** The application: it records its results in `window.used`. At ten a second, six requests take half a second. */
const APP = (/** @type {string} */ entry) => `
  import { createClient } from "${entry}";
  import { PoolgateStatus } from "@poolgate/client/status";
  async function use() {
    const client = await createClient();
    await client.refresh();
    const at = performance.now();
    const answers = await Promise.all(Array.from({ length: 6 }, () => client.fetch("/api/v1/lab/hold?hold_ms=1")));
    const took = performance.now() - at;
    const status = customElements.get("poolgate-status") === PoolgateStatus;
    return { statuses: answers.map((answer) => answer.status), took, status };
  }
  window.used = use();
`;
const SOONEST_MS = 400;

/** @param {string} script @param {string} [type] */
const html = (script, type = "module") => `<!doctype html><title>app</title><script type="${type}" src="${script}"></script>`;

/** @type {import("./stranger.js").Stranger} */
let stranger;
/** @type {Awaited<ReturnType<typeof startLimited>>} */
let server;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  stranger = await settle();
  server = await startLimited(stranger);
  browser = await launch();
}, { timeout: 30 * MINUTE });

after(async () => {
  await browser?.close();
  await server?.stop();
  await stranger?.leave();
});

test("Vite builds it without configuration", { timeout: MINUTE }, async () => {
  const root = await viteApp("vite");
  await vite.build({ root, base: "./", logLevel: "warn" });
  await throttled("/vite/dist/index.html");
});

test("the oldest Vite still in use builds it and the README's recipe for React, unchanged", { timeout: MINUTE }, async () => {
  const root = await viteApp("vite5");
  await vite5.build({ root, base: "./", logLevel: "warn" });
  await throttled("/vite5/dist/index.html");

  const readme = await readFile(join(stranger.project, "node_modules/@poolgate/client/README.md"), "utf8");
  const recipe = /^\[React\].*?^```jsx\n(.*?)^```$/ms.exec(readme)?.[1] ?? "";
  assert.match(recipe, /export function Status/);
  await stranger.write("vite5-react/app.jsx", `${recipe}
    import { createRoot } from "react-dom/client";
    createRoot(document.body.appendChild(document.createElement("main"))).render(<Status />);
  `);
  await stranger.write("vite5-react/index.html", html("./app.jsx"));
  const esbuild = /** @type {const} */ ({ jsx: "automatic" });
  await vite5.build({ root: join(stranger.project, "vite5-react"), base: "./", logLevel: "warn", esbuild });
});

for (const [how, entry, plugins] of /** @type {[string, string, any[]][]} */ ([
  ["it, with the plugins that the README names", "@poolgate/client", [nodeResolve({ browser: true }), importMetaAssets()]],
  ["the inline entry", "@poolgate/client/inline", [nodeResolve({ browser: true })]],
])) {
  test(`Rollup builds ${how}`, { timeout: MINUTE }, async () => {
    const folder = `rollup-${entry.split("/").at(-1)}`;
    const input = await stranger.write(`${folder}/app.js`, APP(entry));
    await stranger.write(`${folder}/index.html`, html("dist/app.js"));
    /** @type {string[]} */
    const warnings = [];
    const build = await rollup({ input, plugins, onwarn: ({ message }) => void warnings.push(message) });
    await build.write({ dir: join(stranger.project, folder, "dist"), format: "es" });
    await build.close();
    assert.deepEqual(warnings, []);
    await throttled(`/${folder}/index.html`);
  });
}

for (const [how, entry, optimizeDeps] of /** @type {[string, string, import("vite").DepOptimizationOptions][]} */ ([
  ["it", "@poolgate/client", {}],
  ["it without pre-bundling", "@poolgate/client", { exclude: ["@poolgate/client"] }],
  ["the inline entry", "@poolgate/client/inline", {}],
])) {
  test(`Vite serves ${how} in development`, { timeout: MINUTE }, async () => {
    const root = await viteApp(`vite serves ${how}`.replaceAll(" ", "-"), entry);
    // The packages of this test are links that lead out of the project.
    const serving = { host: "127.0.0.1", port: 0, proxy: { "/api": server.url }, fs: { strict: false } };
    const dev = await vite.createServer({ root, logLevel: "warn", server: serving, optimizeDeps });
    try {
      await dev.listen();
      const { port } = /** @type {import("node:net").AddressInfo} */ (dev.httpServer?.address());
      await throttled(`http://127.0.0.1:${port}/`);
    } finally {
      await dev.close();
    }
  });
}

test("webpack builds it without configuration", { timeout: MINUTE }, async () => {
  const entry = await stranger.write("webpack/app.js", APP("@poolgate/client"));
  await stranger.write("webpack/index.html", html("dist/main.js", "text/javascript"));
  const path = join(stranger.project, "webpack/dist");
  await new Promise((resolve, reject) => {
    webpack({ mode: "production", context: stranger.project, entry, output: { path } }, (error, stats) => {
      if (error || stats?.hasErrors() || stats?.hasWarnings()) reject(error ?? new Error(stats?.toString()));
      else resolve(stats);
    });
  });
  await throttled("/webpack/index.html");
});

test("esbuild builds it, and the module is copied beside the script", { timeout: MINUTE }, async () => {
  const entry = await stranger.write("esbuild/app.js", APP("@poolgate/client"));
  await stranger.write("esbuild/index.html", html("dist/app.js"));
  const outdir = join(stranger.project, "esbuild/dist");
  await esbuild.build({ entryPoints: [entry], outdir, bundle: true, minify: true, format: "esm" });
  await copyModule(outdir);
  await throttled("/esbuild/index.html");
});

test("esbuild builds the inline entry into one classic script", { timeout: MINUTE }, async () => {
  const entry = await stranger.write("esbuild-inline/app.js", APP("@poolgate/client/inline"));
  await stranger.write("esbuild-inline/index.html", html("dist/app.js", "text/javascript"));
  const outdir = join(stranger.project, "esbuild-inline/dist");
  await esbuild.build({ entryPoints: [entry], outdir, bundle: true, minify: true, format: "iife" });
  await throttled("/esbuild-inline/index.html");
});

test("a page without a bundler imports it from node_modules", { timeout: MINUTE }, async () => {
  const folder = "/node_modules/@poolgate/client";
  const app = APP("@poolgate/client").replace(/"@poolgate\/client(\/\w+)?"/g, (_, entry = "/index") => `"${folder}${entry}.js"`);
  await stranger.write("plain/app.js", app);
  await stranger.write("plain/index.html", html("app.js"));
  await throttled("/plain/index.html");
});

for (const bundled of [true, false]) {
  test(`an unchanged app is throttled by a ${bundled ? "bundled" : "plain"} service worker`, { timeout: MINUTE }, async () => {
    const folder = bundled ? "worker-bundled" : "worker-plain";
    const worker = (/** @type {string} */ entry) => `import { throttleApp } from "${entry}"; throttleApp();`;
    const outdir = join(stranger.project, folder);
    if (bundled) {
      const entry = await stranger.write("worker.js", worker("@poolgate/client/service-worker"));
      await esbuild.build({ entryPoints: [entry], outdir, bundle: true, format: "esm" });
      await copyModule(outdir);
    } else {
      await stranger.write(`${folder}/worker.js`, worker("/node_modules/@poolgate/client/service-worker.js"));
    }
    await stranger.write(`${folder}/index.html`, html("app.js"));
    await stranger.write(`${folder}/app.js`, `
      await navigator.serviceWorker.register("worker.js", { type: "module" });
      await navigator.serviceWorker.ready;
      const send = () => fetch("/api/v1/lab/hold?hold_ms=1");
      const use = async () => {
        // The worker learns of the limit from its first request, which passes.
        await send();
        await new Promise((later) => setTimeout(later, 500));
        const at = performance.now();
        const answers = await Promise.all(Array.from({ length: 6 }, send));
        return { statuses: answers.map(({ status }) => status), took: performance.now() - at, status: true };
      };
      if (navigator.serviceWorker.controller) window.used = use();
      else location.reload();
    `);
    await throttled(`/${folder}/index.html`);
  });
}

/**
 * @param {string} folder
 * @param {string} [entry]
 */
async function viteApp(folder, entry = "@poolgate/client") {
  await stranger.write(`${folder}/app.js`, APP(entry));
  await stranger.write(`${folder}/index.html`, html("./app.js"));
  return join(stranger.project, folder);
}

/** @param {string} folder */
async function copyModule(folder) {
  const name = "poolgate_client_bg.wasm";
  await copyFile(join(stranger.project, "node_modules/@poolgate/client", name), join(folder, name));
}

/** @param {string} address */
async function throttled(address) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    /** @type {string[]} */
    const complaints = [];
    page.on("console", (message) => {
      const complains = ["warning", "error"].includes(message.type()) && !message.location().url.endsWith("/favicon.ico");
      if (complains) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(new URL(address, server.url).href);
    const runs = () => page.evaluate("window.used !== undefined").catch(() => false);
    await until("the app runs", 20_000, runs, () => complaints);
    const used = /** @type {any} */ (await page.evaluate("window.used"));
    assert.deepEqual(used.statuses, Array(6).fill(200));
    assert.ok(used.status, "the status element is defined");
    assert.ok(used.took > SOONEST_MS, `six requests in ${used.took} ms at ten a second`);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}
