// The environments of a client: pages and each kind of worker, with each entry; where the module fails, requests pass.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

/** @typedef {import("playwright-core").Page} Page */

const MODULE = "/pkg/poolgate_client_bg.wasm";

/** Runs in each environment: five requests, and what they met. */
const USE = `
  async function use(entry) {
    const { createClient } = await import("/pkg/" + entry);
    return useClient(createClient);
  }
  async function useClient(createClient) {
    const client = await createClient({ shareAcrossTabs: false });
    await client.refresh();
    const at = performance.now();
    const answers = await Promise.all(Array.from({ length: 5 }, () => client.fetch("/app/" + Math.random())));
    const took = performance.now() - at;
    client.close();
    return { statuses: answers.map(({ status }) => status), took };
  }
`;

/** At this rate five requests take at least this long. */
const LIMIT = { fair_rate_per_second: 5, max_concurrent_requests: 1 };
const SOONEST_MS = 300;

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

beforeEach(async (t) => {
  origin = await startOrigin({ "/plain.html": "<!doctype html><title>plain</title>" });
  context = await browser.newContext();
  /** @type {any} */ (t).after(async () => {
    await context.close();
    await origin.stop();
  });
});

for (const entry of ["index.js", "inline.js"]) {
  test(`${entry} throttles in a page, a dedicated and a shared worker`, { timeout: 60_000 }, async () => {
    origin.limit(LIMIT);
    origin.files["/dedicated.js"] = `${USE} postMessage(await use("${entry}"));`;
    origin.files["/shared.js"] = `${USE} const used = use("${entry}");
      onconnect = async ({ ports: [port] }) => port.postMessage(await used);`;
    const page = await open("/plain.html");
    throttled(await page.evaluate(expression(USE, `use("${entry}")`)));
    throttled(
      await page.evaluate(`new Promise((resolve, reject) => {
        const worker = new Worker("/dedicated.js", { type: "module" });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      })`),
    );
    throttled(
      await page.evaluate(`new Promise((resolve, reject) => {
        const worker = new SharedWorker("/shared.js", { type: "module" });
        worker.port.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      })`),
    );
  });

  test(`${entry} throttles a service worker's own requests`, { timeout: 60_000 }, async () => {
    origin.limit(LIMIT);
    origin.files["/worker.js"] = `${USE} import { createClient } from "/pkg/${entry}";
      onmessage = ({ source }) => useClient(createClient).then((used) => source.postMessage(used));`;
    const page = await open("/plain.html");
    throttled(
      await page.evaluate(`new Promise(async (resolve) => {
        navigator.serviceWorker.onmessage = ({ data }) => resolve(data);
        await navigator.serviceWorker.register("/worker.js", { type: "module" });
        (await navigator.serviceWorker.ready).active.postMessage("go");
      })`),
    );
  });
}

test("the inline entry needs no second file", { timeout: 60_000 }, async () => {
  origin.limit(LIMIT);
  origin.files[MODULE] = (_, response) => response.writeHead(404).end();
  throttled(await (await open("/plain.html")).evaluate(expression(USE, `use("inline.js")`)));
});

test("the module loads from the URL in the options", { timeout: 60_000 }, async () => {
  origin.limit(LIMIT);
  const module = readFileSync(path.join(process.env.POOLGATE_PACKAGE ?? "", "poolgate_client_bg.wasm"));
  origin.files["/moved.wasm"] = (_, response) => response.writeHead(200, { "content-type": "application/wasm" }).end(module);
  origin.files[MODULE] = (_, response) => response.writeHead(404).end();
  for (const source of [`"/moved.wasm"`, `new URL("/moved.wasm", location)`, `await fetch("/moved.wasm")`, `await (await fetch("/moved.wasm")).arrayBuffer()`]) {
    const page = await open("/plain.html");
    throttled(await page.evaluate(`(async () => {
      ${USE}
      const { init, createClient } = await import("/pkg/index.js");
      await init(${source});
      return useClient(createClient);
    })()`));
  }
});

/** @type {[string, (response: import("node:http").ServerResponse) => void][]} */
const BROKEN = [
  ["is not there", (response) => response.writeHead(404, { "content-type": "text/html" }).end("<h1>404</h1>")],
  ["is a page, as single-page apps answer", (response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>")],
  ["is corrupt", (response) => response.writeHead(200, { "content-type": "application/wasm" }).end("\0asm\x01\0\0\0\x07")],
  ["is cut short", (response) => {
    response.writeHead(200, { "content-type": "application/wasm", "content-length": "1000" });
    response.write("\0asm");
    setTimeout(() => response.destroy(), 20);
  }],
];
for (const [what, answer] of BROKEN) {
  test(`if the module ${what}, requests pass, and one warning says so`, { timeout: 30_000 }, async () => {
    origin.limit(LIMIT);
    origin.files[MODULE] = (_, response) => answer(response);
    await passes(await open("/plain.html"));
  });
}

for (const entry of ["index.js", "inline.js"]) {
  test(`if the policy forbids WebAssembly, requests pass by ${entry}, and one warning says so`, { timeout: 30_000 }, async () => {
    origin.limit(LIMIT);
    origin.files["/strict.html"] = (_, response) => {
      response.writeHead(200, { "content-type": "text/html", "content-security-policy": "default-src 'self'" });
      response.end("<!doctype html><title>strict</title><script type=module src=/strict.js></script>");
    };
    // Page.evaluate bypasses the policy; the page's own scripts do not.
    origin.files["/strict.js"] = `${PASS} window.result = pass("${entry}");`;
    const page = await open("/strict.html");
    judge(await page.evaluate("window.result"), page);
    // The same page with the policy keyword from the README, which must be enough.
    origin.files["/strict.html"] = (_, response) => {
      const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
      response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy });
      response.end("<!doctype html><title>strict</title><script type=module src=/allowed.js></script>");
    };
    origin.files["/allowed.js"] = `${USE} window.result = use("${entry}");`;
    throttled(await (await open("/strict.html")).evaluate("window.result"));
  });
}

test("a relative URL is throttled exactly like its absolute URL, with any base of the page", { timeout: 60_000 }, async () => {
  const file = new URL("../../crates/poolgate-client/js/test/addresses.json", import.meta.url);
  const paths = JSON.parse(readFileSync(file, "utf8"));
  origin.limit({ circuit_breaker_open: true, throttling_level: "EMERGENCY", fair_rate_per_second: null });
  const page = await open("/plain.html");
  const wrong = await page.evaluate(async (/** @type {string[]} */ paths) => {
    let passed = false;
    const { createClient } = await import(/** @type {any} */ ("/pkg/index.js"));
    const client = await createClient({
      shareAcrossTabs: false,
      // Only the client's own requests have an init.
      fetch: (/** @type {any} */ input, /** @type {any} */ init) => {
        if (init) return fetch(input, init);
        passed = true;
        return Promise.resolve(new Response());
      },
    });
    while (client.state.breaker !== "open") await new Promise((later) => setTimeout(later, 10));
    const wrong = [];
    const base = document.head.appendChild(document.createElement("base"));
    for (const href of ["/", "/deep/in/the/app", "/api/v1/health/", "http://other.example/", location.origin]) {
      base.href = href;
      for (const path of [...paths, ...paths.map((path) => location.origin + path)]) {
        passed = false;
        await client.fetch(path).catch(() => {});
        const url = URL.canParse(path, document.baseURI) ? new URL(path, document.baseURI) : undefined;
        const counts = url?.origin === location.origin && !url.pathname.startsWith("/api/v1/health/");
        if (passed === counts) wrong.push([href, path]);
      }
    }
    return wrong;
  }, paths);
  assert.deepEqual(wrong, []);
});

/** Two clients, so that "once" means something; returns each one's event, and requests that are not held back. */
const PASS = `
  async function pass(entry) {
    const { createClient, init } = await import("/pkg/" + entry);
    const events = [];
    for (let count = 0; count < 2; count += 1) {
      const client = await createClient();
      client.addEventListener("syncchange", ({ detail }) => events.push(String(detail.error)));
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.fetch("/app/" + Math.random())));
      if (!answers.every(({ ok }) => ok) || client.state.transport !== "none") throw new Error("they do not pass");
    }
    await new Promise((later) => setTimeout(later, 50));
    return { events, refused: await init().then(() => false, () => true) };
  }
`;

/** @param {Page} page */
async function passes(page) {
  judge(await page.evaluate(expression(PASS, `pass("index.js")`)), page);
}

/**
 * @param {any} seen
 * @param {Page} page
 */
function judge({ events, refused }, page) {
  assert.equal(events.length, 2, "an event for each client");
  assert.ok(events.every((/** @type {string} */ error) => /Error/.test(error)), `${events}`);
  assert.ok(refused, "init has the same value");
  assert.deepEqual(said.get(page)?.map((text) => /requests pass through/.test(text)), [true], `${said.get(page)}`);
}

/** Warnings of this library. @type {WeakMap<Page, string[]>} */
const said = new WeakMap();

/** @param {string} path */
async function open(path) {
  const page = await context.newPage();
  /** @type {string[]} */
  const warnings = [];
  said.set(page, warnings);
  page.on("console", (message) => {
    if (message.type() === "warning" && message.text().startsWith("[poolgate]")) warnings.push(message.text());
  });
  await page.goto(origin.url + path);
  if (path === "/strict.html") {
    await until("its script has run", 5000, () => page.evaluate("window.result !== undefined"));
  }
  return page;
}

/**
 * @param {string} declarations
 * @param {string} value
 */
function expression(declarations, value) {
  return `(() => { ${declarations} return ${value}; })()`;
}

/** @param {any} used */
function throttled({ statuses, took }) {
  assert.deepEqual(statuses, [200, 200, 200, 200, 200]);
  assert.ok(took > SOONEST_MS, `five requests in ${took} ms at five a second`);
}

test("a frame without an origin loads, and its requests pass", { timeout: 60_000 }, async () => {
  const script = `
    import { createClient } from "${origin.url}/pkg/index.js";
    const client = await createClient();
    const { status } = await client.fetch("data:text/plain,inline");
    client.close();
    parent.postMessage({ status, transport: client.state.transport }, "*");
  `;
  const page = await context.newPage();
  /** @type {string[]} */
  const said = [];
  page.on("console", (message) => message.text().startsWith("[poolgate]") && said.push(message.text()));
  await page.goto(`${origin.url}/plain.html`);
  const told = await page.evaluate((code) => {
    const frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "allow-scripts");
    frame.srcdoc = `<script type="module">${code}</script>`;
    return new Promise((heard) => {
      addEventListener("message", ({ data }) => heard(data));
      document.body.append(frame);
    });
  }, script);
  assert.deepEqual(told, { status: 200, transport: "none" });
  assert.equal(said.length, 1);
  assert.match(said[0], /requests pass through.*`baseUrl`/);
});
