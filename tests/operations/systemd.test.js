// The unit: systemd accepts it, it is hardened, and its command exists.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { plainEnvironment, root, run } from "../packaging/process.js";

const binary = process.env.TEST_POOLGATE_BIN ?? "";
const analyze = process.env.SYSTEMD_ANALYZE ?? "";
const skip = analyze ? false : "there is no systemd-analyze";
const file = join(root, "ops/systemd/poolgate.service");
const unit = readFileSync(file, "utf8");

/**
 * Runs systemd-analyze on a changed copy of the unit.
 * @param {(unit: string) => string} change
 * @param {string[]} args
 */
async function analyzed(change, ...args) {
  const folder = mkdtempSync(join(tmpdir(), "poolgate-unit-"));
  const copy = join(folder, "poolgate.service");
  writeFileSync(copy, change(unit).replaceAll("/usr/bin/poolgate", binary));
  try {
    return await run(analyze, [...args, copy]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("systemd accepts the unit", { skip }, async () => {
  await analyzed((unit) => unit, "verify", "--man=no");
  const misspelled = analyzed((unit) => unit.replace("ExecStart=", "ExecStat="), "verify", "--man=no");
  await assert.rejects(misspelled, "the check can fail");
});

test("systemd finds it well locked up", { skip }, async () => {
  const check = ["security", "--offline=true", "--threshold=15"];
  await analyzed((unit) => unit, ...check);
  await assert.rejects(analyzed((unit) => unit.replace("CapabilityBoundingSet=\n", ""), ...check), "the check can fail");
});

test("its command is the program's, and the time to stop is enough for the defaults", async () => {
  const words = /^ExecStart=\/usr\/bin\/poolgate (.*)$/m.exec(unit)?.[1].split(" ") ?? [];
  assert.deepEqual(words.slice(0, 2), ["serve", "--config"]);
  assert.match(await run(binary, ["serve", "--help"]), /--config <FILE>/);
  const settings = await run(binary, ["print-config"], { env: plainEnvironment() });
  const seconds = (/** @type {string} */ name) => Number(new RegExp(`^${name} = "(\\d+)s"$`, "m").exec(settings)?.[1]);
  const needed = seconds("drain_delay") + seconds("drain_timeout");
  assert.ok(needed > 0 && Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) > needed);
  assert.match(unit, /^Type=notify$/m);
});
