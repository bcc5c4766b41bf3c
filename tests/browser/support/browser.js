// Chromium, and pages that record their errors.

import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Requests that the server may reject; the browser logs an error for them, which is not the page's. */
const REFUSING = /\/api\/v1\/(lab\/hold|shop\/|health\/database\/force-cleanup)/;

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });
}

/**
 * A page in a context of its own, like one visitor.
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function visit(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = listen(page);
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(
        `CSP violation: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  await page.goto(url);
  return { context, page, complaints };
}

/**
 * Errors on the console, including uncaught ones.
 * @param {import("playwright-core").Page} page
 */
function listen(page) {
  /** @type {string[]} */
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const { url } = message.location();
    if (/status of (503|429)/.test(message.text()) && REFUSING.test(url)) return;
    complaints.push(`${message.text()} (${url})`);
  });
  return complaints;
}
