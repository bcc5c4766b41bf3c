// Puts a .gz beside each text of the page, so that the server compresses nothing while it serves.
// Usage: node -e SCRIPT -- FOLDER

const { readFileSync, readdirSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { gzipSync } = require("node:zlib");

/** Smaller files fit one packet anyway. */
const LEAST_BYTES = 1_000;

for (const entry of readdirSync(process.argv[1], { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(js|css|html|svg|wasm)$/.test(entry.name)) continue;
  const name = join(entry.parentPath ?? entry.path, entry.name);
  const bytes = readFileSync(name);
  if (bytes.length >= LEAST_BYTES) writeFileSync(`${name}.gz`, gzipSync(bytes, { level: 9 }));
}
