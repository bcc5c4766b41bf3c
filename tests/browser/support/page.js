// The operations page: its figures as numbers, and functions to operate it.

import { until } from "./until.js";

/** Overloads a gate of 25 threefold, yet needs little CPU: 25 / 0.2 s = 125 requests a second. */
export const LOAD = { users: 200, requests_per_second: 400, hold_ms: 200, seconds: 120 };

/** From this success rate (in percent) on, a load counts as served; without Poolgate it is about 30. */
export const SERVED_PERCENT = 90;

/** @typedef {import("playwright-core").Page} Page */

/**
 * The text of a figure.
 * @param {Page} page
 * @param {string} key
 */
export async function text(page, key) {
  return (await page.locator(`[data-key="${key}"]`).textContent()) ?? "";
}

/**
 * The value of a figure; NaN while it has none.
 * @param {Page} page
 * @param {string} key
 */
export async function figure(page, key) {
  return Number.parseFloat((await text(page, key)).replaceAll(",", ""));
}

/** @param {Page} page */
export async function level(page) {
  return (await page.locator("#verdict").getAttribute("data-level")) ?? "";
}

/**
 * Success rate of the last seconds in percent; NaN while no request has ended.
 * @param {Page} page
 * @param {"with" | "without"} mode
 */
export async function success(page, mode) {
  return Number.parseFloat((await page.locator(`#comparison .${mode} .success`).textContent()) ?? "");
}

/**
 * Seconds that the load of a mode has run.
 * @param {Page} page
 * @param {"with" | "without"} mode
 */
export async function ran(page, mode) {
  const state = await page.locator(`#comparison .${mode} .note`).innerText();
  const [, minutes = "0", seconds = "0"] = /(?:(\d+) min )?(\d+) s$/.exec(state) ?? [];
  return Number(minutes) * 60 + Number(seconds);
}

/** @param {Page} page */
export function shown(page) {
  return page.locator("#verdict").innerText();
}

/**
 * Waits until the page shows live figures and its load driver.
 * @param {Page} page
 */
export async function ready(page) {
  await until(
    "the page shows a level",
    20_000,
    async () => (await level(page)) !== "UNKNOWN",
    () => shown(page),
  );
  await page.locator("#driver-start").waitFor();
  await until(
    "the client has loaded",
    20_000,
    async () => !/loading/.test(await clientLine(page)),
    () => clientLine(page),
  );
}

/** @param {Page} page */
export async function clientLine(page) {
  return (await page.locator("#client-line").textContent()) ?? "";
}

/**
 * @param {Page} page
 * @param {Partial<typeof LOAD>} [load]
 */
export async function fillLoad(page, load = LOAD) {
  for (const [name, value] of Object.entries(load))
    await page.fill(`#driver [name="${name}"]`, String(value));
}

/**
 * @param {Page} page
 * @param {"with" | "without"} mode
 */
export async function choose(page, mode) {
  await page.locator(`.switch label:has([value="${mode}"])`).click();
}
