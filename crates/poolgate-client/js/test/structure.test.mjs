// The shape of the sources: no file needs, by code or by type, a file that needs it, and no part is given its owner.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What the build adds; it imports nothing. */
const BUILT = ["poolgate_client.js", "poolgate_client_inline.js"];

const files = readdirSync(ROOT, { recursive: true, encoding: "utf8" })
  .filter((file) => /\.(js|d\.ts)$/.test(file) && !/^(test|node_modules)\b/.test(file))
  .map((file) => file.split(sep).join("/"));
const sourceOf = (/** @type {string} */ file) => readFileSync(join(ROOT, file), "utf8");

/**
 * The file that an import or a type names; types come from the declarations if there are some.
 * @param {string} from
 * @param {string} to
 * @param {boolean} isType
 */
function resolve(from, to, isType) {
  const file = relative(ROOT, join(ROOT, dirname(from), to)).split(sep).join("/");
  const declarations = file.replace(/\.js$/, ".d.ts");
  return isType && existsSync(join(ROOT, declarations)) ? declarations : file;
}

/** Files that a file needs. @param {string} file */
function needs(file) {
  const source = sourceOf(file);
  const isDeclaration = file.endsWith(".d.ts");
  const code = source.matchAll(/^(?:import|export)\b[^;]*?from "(\.[^"]+)"/gm);
  const types = source.matchAll(/\bimport\("(\.[^"]+)"\)/g);
  return [
    ...Array.from(code, ([, to]) => resolve(file, to, isDeclaration)),
    ...Array.from(types, ([, to]) => resolve(file, to, true)),
  ];
}

test("every file that is needed is there", () => {
  for (const file of files) {
    for (const needed of needs(file)) assert.ok(BUILT.includes(needed) || files.includes(needed), `${file} needs ${needed}`);
  }
});

test("the files need each other without a circle", () => {
  /** @type {Set<string>} */
  const done = new Set();
  /** @param {string} file @param {string[]} path */
  const visit = (file, path) => {
    assert.ok(!path.includes(file), [...path.slice(path.indexOf(file)), file].join(" → "));
    if (done.has(file) || BUILT.includes(file)) return;
    for (const needed of needs(file)) visit(needed, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  assert.ok(done.size > 35, `${done.size} files`);
});

test("no part is given its owner", () => {
  // `this` as an argument; `this.member` is none, and `Object.hasOwn(this, name)` keeps nothing.
  const handedOver = /(?<=\w)(?<!\bObject\.hasOwn)\((?:[^()]*,)?\s*this\s*[,)]/;
  for (const file of files) {
    const code = sourceOf(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    assert.doesNotMatch(code, handedOver, file);
  }
  assert.match("new Part(options, this)", handedOver);
});
