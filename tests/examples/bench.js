// `cargo xtask bench web`: what poolgate-web adds to a page in Rust, in bytes and in time per call.

import { parseArgs } from "node:util";

import { launch } from "../browser/support/browser.js";
import { markdown, median, range } from "../packaging/bench/figures.js";
import { overhead, servePages, weigh } from "./support/pages.js";

const { values: options } = parseArgs({
  options: {
    /** Few rounds, to check that it works. */
    quick: { type: "boolean", default: false },
    /** Only this table: `overhead`, `bytes` or `crates`; may be repeated. */
    only: { type: "string", multiple: true },
  },
});
const wanted = (/** @type {string} */ name) => !options.only || options.only.includes(name);

if (wanted("overhead")) {
  const [browser, origin] = [await launch(), await servePages()];
  try {
    const plan = options.quick ? { rounds: 3, calls: 2000 } : { rounds: 25, calls: 10_000 };
    const { bare, poolgate } = await overhead(browser, origin, plan);
    const more = median(poolgate) - median(bare);
    print("overhead", ["", "one after the other, µs", "range"], [
      ["gloo-net", median(bare).toFixed(2), range(bare, 2)],
      ["poolgate-web", median(poolgate).toFixed(2), range(poolgate, 2)],
      ["more", more.toFixed(2), ""],
    ]);
  } finally {
    await browser.close();
    await origin.stop();
  }
}
if (wanted("bytes") || wanted("crates")) {
  const [bare, poolgate] = [weigh("bare"), weigh("poolgate")];
  const row = (/** @type {string} */ name, /** @type {number} */ wasm, /** @type {number} */ script) =>
    [name, ...[wasm, script, wasm + script].map((bytes) => bytes.toLocaleString("en"))];
  if (wanted("bytes")) {
    print("bytes", ["brotli", "WebAssembly", "JavaScript", "together"], [
      row("gloo-net", bare.wasm, bare.script),
      row("poolgate-web", poolgate.wasm, poolgate.script),
      row("more", poolgate.wasm - bare.wasm, poolgate.script - bare.script),
    ]);
  }
  if (wanted("crates")) {
    const more = Array.from(poolgate.crates, ([crate, bytes]) => /** @type {const} */ ([crate, bytes - (bare.crates.get(crate) ?? 0)]));
    const rows = more.filter(([, bytes]) => bytes > 0).sort((a, b) => b[1] - a[1]);
    print("crates", ["code before compression", "bytes more"], rows.map(([crate, bytes]) => [crate, bytes.toLocaleString("en")]));
  }
}

/** @param {string} name @param {string[]} head @param {string[][]} rows */
function print(name, head, rows) {
  console.log(`${name}\n\n${markdown({ head, rows })}\n`);
}
