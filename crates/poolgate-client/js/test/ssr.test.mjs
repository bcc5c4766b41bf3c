// Importing is safe wherever there is no page: nothing is read from the host, nothing starts.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

import { packageUrl } from "./support.mjs";

for (const file of ["index.js", "inline.js", "node.js", "requests/errors.js", "service-worker.js", "status.js"]) {
  test(`${file} can be imported where there is nothing`, async () => {
    const script = `
      for (const name of ["fetch", "Request", "Response", "Headers", "URL", "EventSource", "localStorage", "document",
        "window", "location", "HTMLElement", "customElements", "CSSStyleSheet", "WebAssembly", "CustomEvent"]) {
        delete globalThis[name];
      }
      const timers = [];
      for (const name of ["setTimeout", "setInterval"]) globalThis[name] = () => timers.push(name);
      const names = Object.keys(await import(${JSON.stringify(packageUrl(file).href)}));
      if (timers.length > 0 || names.length === 0) process.exitCode = 1;
    `;
    await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { timeout: 10_000 });
  });
}
