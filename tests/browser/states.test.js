// The page without the server, without the demo or without the package.

import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { launch, visit } from "./support/browser.js";
import { clientLine, figure, level, ready, shown, text } from "./support/page.js";
import { WWW, startServer } from "./support/server.js";
import { until } from "./support/until.js";

/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

test(
  "without the server the last figures stay, and the contact is restored",
  { timeout: 120_000 },
  async () => {
    let server = await startServer();
    try {
      const { page } = await visit(browser, server.url);
      await ready(page);
      const busy = await text(page, "stats-busy");
      await server.stop();
      await until(
        "the page says so",
        15_000,
        async () => /^No contact with the server for \d+ s/.test(await shown(page)),
        () => shown(page),
      );
      assert.match(await page.locator("#contact").innerText(), /^No data for \d+ s$/);
      assert.equal(await level(page), "UNKNOWN");
      assert.equal(
        (await text(page, "stats-busy")).split(" / ")[1],
        busy.split(" / ")[1],
        "the last figures stay",
      );
      assert.match(await page.locator("#log").innerText(), /Lost contact with the server/);

      server = await startServer({ port: server.port });
      await until(
        "it is found again",
        45_000,
        async () => (await level(page)) === "NORMAL",
        () => shown(page),
      );
      assert.match(await page.locator("#log").innerText(), /Reconnected to the server/);
    } finally {
      await server.stop();
    }
  },
);

test("without demo mode there is no load driver", { timeout: 60_000 }, async () => {
  const server = await startServer({ demo: false });
  try {
    const { page, complaints } = await visit(browser, server.url);
    await until(
      "figures show",
      20_000,
      async () => (await level(page)) === "NORMAL",
      () => shown(page),
    );
    await until(
      "the page knows",
      10_000,
      async () => (await page.locator("html").getAttribute("data-demo")) === "false",
    );
    assert.equal(await page.locator("#drive").isVisible(), false);
    assert.equal(await page.locator("#alerts").isVisible(), true);
    assert.deepEqual(
      complaints.filter((complaint) => !/status of 404.*lab\/load/.test(complaint)),
      [],
    );
  } finally {
    await server.stop();
  }
});

test(
  "without the package the page still shows figures and sends plain requests",
  { timeout: 60_000 },
  async () => {
    const www = await mkdtemp(path.join(tmpdir(), "poolgate-www-"));
    await cp(WWW, www, {
      recursive: true,
      filter: (file) => path.basename(file) !== "pkg" && path.basename(file) !== "dist",
    });
    const server = await startServer({ www });
    try {
      const { page } = await visit(browser, server.url);
      await ready(page);
      assert.match(
        await clientLine(page),
        /^The WebAssembly client did not load \(.+\)\. Requests are sent unthrottled\.$/,
      );
      await page.click("#browser-start");
      await until(
        "requests succeed",
        15_000,
        async () => (await figure(page, "browser-tally-succeeded")) > 2,
      );
    } finally {
      await server.stop();
      await rm(www, { recursive: true, force: true });
    }
  },
);

test("a module that does not compile is reported, and requests pass through", { timeout: 60_000 }, async () => {
  const server = await startServer();
  try {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.route("**/*.wasm", (route) =>
      route.fulfill({ contentType: "application/wasm", body: "not wasm" }),
    );
    await page.goto(server.url);
    await ready(page);
    await until(
      "the page says so",
      10_000,
      async () => /did not load/.test(await clientLine(page)),
      () => clientLine(page),
    );
    await page.click("#browser-start");
    await until("requests succeed", 15_000, async () => (await figure(page, "browser-tally-succeeded")) > 2);
  } finally {
    await server.stop();
  }
});
