// What can be said of the service worker without one; tests/browser has the rest.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load, packageUrl } from "./support.mjs";

test("its cache is this version's: an old worker must not load the module of a new one", async () => {
  const { version } = JSON.parse(readFileSync(packageUrl("package.json"), "utf8"));
  const source = readFileSync(packageUrl("service-worker.js"), "utf8");
  assert.ok(source.includes(`"poolgate ${version}"`));
});

test("importing it does nothing", async () => {
  assert.deepEqual(Object.keys(await load("service-worker.js")), ["throttleApp"]);
});
