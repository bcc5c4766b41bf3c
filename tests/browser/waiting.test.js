// A queued call keeps the meaning it had when it was made, even if its page has navigated since.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.js";
import { startOrigin } from "./support/origin.js";
import { until } from "./support/until.js";

/** @type {import("./support/origin.js").Origin} */
let origin;
/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await launch();
  origin = await startOrigin();
});

after(async () => {
  await browser?.close();
  await origin?.stop();
});

for (const [what, move] of [
  ["another base", `document.head.append(Object.assign(document.createElement("base"), { href: "/elsewhere/" }))`],
  ["another address", `history.pushState(null, "", "/elsewhere/")`],
]) {
  test(`a relative URL keeps its meaning after the page has ${what}`, { timeout: 60_000 }, async () => {
    origin.limit({ fair_rate_per_second: 1000, max_concurrent_requests: 1 });
    origin.reset();
    const page = await browser.newPage();
    await page.goto(`${origin.url}/app-page/`);
    await page.waitForFunction("window.client?.state.enforced");
    const asked = /** @type {string[]} */ ([]);
    page.on("request", (request) => asked.push(new URL(request.url()).pathname));
    await page.evaluate(`(async () => {
      const first = client.fetch("/app/first");
      const calls = [client.fetch("../app/second"), client.fetch(new Request("../app/third"))];
      if (client.state.queued !== 2) throw new Error("they do not wait");
      ${move};
      await Promise.all([first, ...calls]);
    })()`);
    await until("all of them", 5000, () => origin.seen.app.length === 3);
    assert.deepEqual(asked.filter((path) => path.startsWith("/app/")).sort(), ["/app/first", "/app/second", "/app/third"]);
    assert.deepEqual(origin.seen.app.map(({ path }) => path), ["/app/first", "/app/second", "/app/third"]);
    await page.close();
  });
}
