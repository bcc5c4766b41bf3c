// The custom elements manifest tells editors and documentation what the element is; it is written by hand.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load, packageUrl } from "./support.mjs";

const source = ["status.js", "status/style.js"].map((file) => readFileSync(packageUrl(file), "utf8")).join("");
const { modules } = JSON.parse(readFileSync(packageUrl("custom-elements.json"), "utf8"));
const [element] = modules[0].declarations;

function mentioned(pattern) {
  return [...new Set(Array.from(source.matchAll(pattern), ([, name]) => name))].sort();
}

function described(members) {
  return members.map(({ name }) => name).sort();
}

test("the manifest names the attributes, parts, properties and events that there are", async () => {
  assert.deepEqual(described(element.attributes), mentioned(/(?:getAttribute|hasAttribute)\("([a-z]+)"\)/g));
  assert.deepEqual(described(element.cssParts), mentioned(/part\("[a-z]+", "([a-z]+)"\)/g));
  assert.deepEqual(described(element.cssProperties), mentioned(/var\((--poolgate-[a-z-]+)/g));
  assert.deepEqual(described(element.events), mentioned(/new CustomEvent\("([a-z-]+)"/g));
  assert.deepEqual(described(element.members), ["labels", "source"]);
  const { PoolgateStatus } = await load("status.js");
  for (const { name } of element.members) assert.ok(Object.hasOwn(PoolgateStatus.prototype, name), name);
});
