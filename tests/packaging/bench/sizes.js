// Download size for each library: ours as released, the others minified by esbuild; in gzip and brotli.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

import * as esbuild from "esbuild";

const PACKAGE = process.env.POOLGATE_PACKAGE ?? "";
const PEERS = fileURLToPath(new URL("../node_modules", import.meta.url));

/** The imports of an application. @type {[string, string][]} */
const IMPORTS = [
  ["p-limit", `import pLimit from "p-limit"; export { pLimit }`],
  ["p-queue", `import PQueue from "p-queue"; export { PQueue }`],
  ["cockatiel bulkhead", `export { bulkhead } from "cockatiel"`],
  ["cockatiel: breaker, retry, timeout, bulkhead", `export { bulkhead, circuitBreaker, retry, timeout, wrap, handleAll, ConsecutiveBreaker } from "cockatiel"`],
  ["TanStack Pacer AsyncQueuer", `export { AsyncQueuer } from "@tanstack/pacer"`],
  ["ofetch", `export { ofetch } from "ofetch"`],
  ["ky", `import ky from "ky"; export { ky }`],
  ["bottleneck", `import Bottleneck from "bottleneck"; export { Bottleneck }`],
  ["axios", `import axios from "axios"; export { axios }`],
];

export async function sizes() {
  const module = await readFile(join(PACKAGE, "poolgate_client_bg.wasm"));
  const [page, inline, status] = await Promise.all(["index.js", "inline.js", "status.js"].map(shipped));
  const rows = [
    row("**@poolgate/client**, everything", [...page, module]),
    row("its WebAssembly", [module]),
    row("its JavaScript", page),
    row("@poolgate/client/inline", inline),
    row("@poolgate/client/status", status),
  ];
  for (const [name, code] of IMPORTS) rows.push(row(name, [await bundled(code, PEERS)]));
  return { head: ["", "bytes", "gzip", "brotli"], rows };
}

/**
 * A script of the package with all its imports, unchanged.
 * @param {string} file
 * @returns {Promise<Uint8Array[]>}
 */
async function shipped(file) {
  const script = await readFile(join(PACKAGE, file));
  const imports = Array.from(script.toString().matchAll(/from\s*"\.\/([^"]+)"/g), ([, name]) => name);
  return [script, ...(await Promise.all([...new Set(imports)].map(shipped))).flat()];
}

/** @param {string} contents @param {string} resolveDir */
async function bundled(contents, resolveDir) {
  const stdin = { contents, resolveDir };
  const built = await esbuild.build({ stdin, bundle: true, minify: true, write: false, format: "esm", nodePaths: [PEERS] });
  return built.outputFiles[0]?.contents ?? new Uint8Array();
}

/** @param {string} name @param {Uint8Array[]} parts */
function row(name, parts) {
  const sum = (/** @type {(part: Uint8Array) => number} */ size) => parts.reduce((total, part) => total + size(part), 0);
  const figures = [sum(({ length }) => length), sum((part) => gzipSync(part, { level: 9 }).length), sum((part) => brotliCompressSync(part).length)];
  return [name, ...figures.map((bytes) => bytes.toLocaleString("en"))];
}
