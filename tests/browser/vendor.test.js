// The vendored files are the publisher's, and the page asks the browser to check that.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

const WWW = new URL("../../www/", import.meta.url);
const UPLOT = new URL("vendor/uplot/", WWW);

/** @param {URL} file */
const read = (file) => readFile(file);

test("uPlot's files have the checksums of the npm package's", async () => {
  const sums = (await readFile(new URL("SHA256SUMS", UPLOT), "utf8"))
    .trim()
    .split("\n")
    .map((line) => line.split(/\s+/));
  for (const [sum, name = ""] of sums) {
    const hash = createHash("sha256")
      .update(await read(new URL(name, UPLOT)))
      .digest("hex");
    assert.equal(hash, sum, name);
  }
  const listed = sums.map(([, name]) => name);
  const present = (await readdir(UPLOT)).filter((name) => !["SHA256SUMS", "VERSION"].includes(name));
  assert.deepEqual(present.sort(), listed.sort());
});

test("VERSION is the version in the script", async () => {
  const version = (await readFile(new URL("VERSION", UPLOT), "utf8")).trim();
  const script = await readFile(new URL("uPlot.iife.min.js", UPLOT), "utf8");
  assert.match(script.slice(0, 200), new RegExp(`uPlot.*v${version.replaceAll(".", "\\.")}\\b`));
});

test("index.html pins both files by their hash", async () => {
  const index = await readFile(new URL("index.html", WWW), "utf8");
  for (const name of ["uPlot.iife.min.js", "uPlot.min.css"]) {
    const hash = createHash("sha384")
      .update(await read(new URL(name, UPLOT)))
      .digest("base64");
    const tag = index.match(new RegExp(`<[^>]*vendor/uplot/${name.replaceAll(".", "\\.")}[^>]*>`))?.[0] ?? "";
    assert.ok(tag.includes(`integrity="sha384-${hash}"`), tag);
  }
});

test("the page has no inline script or style, and loads nothing from other origins", async () => {
  const index = await readFile(new URL("index.html", WWW), "utf8");
  assert.doesNotMatch(index, /<script(?![^>]*\bsrc=)/);
  assert.doesNotMatch(index, /<style|\sstyle=|\son[a-z]+=/);
  assert.doesNotMatch(index, /(src|href)="(https?:)?\/\//);
});
