// The API against its own description: some hundred requests made from the OpenAPI document, by Schemathesis.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { plainEnvironment, root } from "../packaging/process.js";

const { TEST_POOLGATE_BIN: binary = "", TEST_SCHEMATHESIS_PYTHON: python = "" } = process.env;
const CONFIG = join(root, "fuzz/schemathesis.toml");
/** Its scripts name the folder that they were made in, so it is started without them. */
const START = "from schemathesis.cli import schemathesis; schemathesis()";
const START_MS = 60_000;
/** Of each operation. */
const EXAMPLES = 25;

test("what the API answers is what its document says", { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "poolgate-openapi-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const args = ["--demo", "--port", "0", "--database-url", `sqlite://${join(folder, "shop.db")}`];
  const server = spawn(binary, args, { env: plainEnvironment(), stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => server.kill("SIGKILL"));
  const [line] = /** @type {[Buffer]} */ (await new Promise((said) => server.stdout.once("data", (...data) => said(data))));
  const url = /http:\S+/.exec(line.toString())?.[0];
  assert.ok(url, line.toString());
  const begun = Date.now();
  while (!(await fetch(`${url}/readyz`)).ok) {
    assert.ok(Date.now() - begun < START_MS, "the demo is not ready");
    await setTimeout(100);
  }

  const options = ["--max-examples", String(EXAMPLES), "--generation-deterministic"];
  const command = ["-c", START, "--config-file", CONFIG, "run", `${url}/api/v1/openapi.json`, ...options];
  const { status, output } = await run(python, command, folder);
  assert.equal(status, 0, output);
  t.diagnostic(output.trim().split("\n").slice(-12).join("\n"));
  assert.ok((await fetch(`${url}/livez`)).ok, "it is well afterwards");
});

/**
 * @param {string} program
 * @param {string[]} args
 * @param {string} cwd
 */
async function run(program, args, cwd) {
  const child = spawn(program, args, { cwd, env: plainEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const status = await new Promise((ended) => child.on("close", ended));
  return { status, output };
}
