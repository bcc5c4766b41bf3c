// Screenshots of the page under load for people to look at, and tests that it fits narrow and wide windows.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch, visit } from "./support/browser.js";
import { LOAD, SERVED_PERCENT, choose, figure, fillLoad, ran, ready, success } from "./support/page.js";
import { startServer } from "./support/server.js";
import { until } from "./support/until.js";

const FOLDER = process.env.POOLGATE_SCREENSHOTS ?? fileURLToPath(new URL("screenshots", import.meta.url));
const SIZES = [
  { width: 1440, height: 1000 },
  { width: 360, height: 780 },
];

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  await mkdir(FOLDER, { recursive: true });
  browser = await launch();
  server = await startServer();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("the page under load fits 1440 and 360 pixels, light and dark", { timeout: 200_000 }, async () => {
  const { page, complaints } = await visit(browser, server.url);
  await ready(page);
  await fillLoad(page);
  await page.click("#driver-start");
  await until(
    "rejects show",
    40_000,
    async () => (await ran(page, "without")) >= 15 && (await figure(page, "without-rejected")) > 500,
  );
  await page.fill('#browser [name="rate"]', "8");
  await page.click("#browser-start");
  await choose(page, "with");
  await until(
    "the success rate recovers",
    45_000,
    async () => (await success(page, "with")) >= SERVED_PERCENT,
    () => success(page, "with"),
  );
  await until(
    "there is something to see",
    60_000,
    async () =>
      (await ran(page, "with")) >= 30 &&
      (await figure(page, "with-queued")) > 0 &&
      (await figure(page, "browser-tally-queued")) > 0,
  );

  for (const size of SIZES) {
    for (const theme of ["light", "dark"]) {
      await page.setViewportSize(size);
      await page.selectOption("#theme", theme);
      await until("the charts fit the window", 5_000, () =>
        page.evaluate(() => {
          const [chart, box] = [document.querySelector(".uplot"), document.querySelector(".chart-box")];
          return chart !== null && box !== null && Math.abs(chart.clientWidth - box.clientWidth) <= 1;
        }),
      );
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${size.width} px: ${overflow} px stick out`);
      await page.screenshot({ path: path.join(FOLDER, `page-${size.width}-${theme}.png`), fullPage: true });
    }
  }
  await server.stopLoad();
  assert.deepEqual(complaints, []);
});

test("texts have a contrast of 4.5 to 1 in both themes", async () => {
  const { page } = await visit(browser, server.url);
  await ready(page);
  for (const theme of ["light", "dark"]) {
    await page.selectOption("#theme", theme);
    const weak = await page.evaluate(weakTexts, 4.5);
    assert.deepEqual(weak, [], theme);
  }
});

/**
 * Texts with too little contrast (WCAG 2.2, 1.4.3). Runs in the page.
 * @param {number} least
 */
function weakTexts(least) {
  /** @param {string} color */
  const channels = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  /** @param {string} color */
  const luminance = (color) => {
    const [r = 0, g = 0, b = 0] = channels(color).map((value) => {
      const channel = value / 255;
      return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  /** @param {Element | null} element */
  const backdrop = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim(),
    );
    if (!own || !element.checkVisibility() || element.closest(".unseen, :disabled")) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(backdrop(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least)
      weak.push(`${element.tagName} "${element.textContent?.trim().slice(0, 30)}" ${contrast.toFixed(2)}`);
  }
  return weak;
}
