// The code in docs/rust-front-ends.md is what tests/examples/recipes compiles.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const GUIDE = new URL("../../docs/rust-front-ends.md", import.meta.url);
const RECIPES = new URL("recipes/src/", import.meta.url);

test("every recipe of the guide compiles, and the guide has every recipe", () => {
  const guide = readFileSync(GUIDE, "utf8");
  const shown = Array.from(guide.matchAll(/<!-- (\w+)\.rs -->\n+```rust\n([^]*?)```/g), ([, file, text]) => `${file}.rs\n${text}`);
  const compiled = readdirSync(RECIPES).flatMap((file) =>
    Array.from(readFileSync(new URL(file, RECIPES), "utf8").matchAll(/^( *)\/\/ recipe\n([^]*?)^ *\/\/ end$/gm), ([, indent, text]) =>
      `${file}\n${text?.replaceAll(new RegExp(`^${indent}`, "gm"), "")}`,
    ),
  );
  assert.ok(compiled.length >= 4, `${compiled.length}`);
  assert.deepEqual(shown.sort(), compiled.sort());
});
