// The Debian package, installed into a folder by the real dpkg: what it brings, and what it leaves to the operator.

import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { plainEnvironment, root, run } from "../packaging/process.js";

const binary = process.env.TEST_POOLGATE_BIN ?? "";
const cargoDeb = process.env.TEST_CARGO_DEB ?? "";
const skip = cargoDeb ? false : "packages are made on Debian and its kin";

const folder = mkdtempSync(join(tmpdir(), "poolgate-deb-"));
const system = join(folder, "system");
const file = join(folder, "poolgate.deb");
const settings = join(system, "etc/poolgate/poolgate.toml");
after(() => rmSync(folder, { recursive: true }));

/**
 * dpkg in the folder of a system that has nothing else.
 * @param {string[]} args
 */
function dpkg(...args) {
  const forced = ["script-chrootless", "depends", "not-root", "bad-path", "confdef"].map((force) => `--force-${force}`);
  return run("dpkg", [`--root=${system}`, ...forced, ...args]);
}

before(async () => {
  if (skip) {
    return;
  }
  // The program of the tests in the place of the released one, which takes minutes to build.
  const release = join(folder, "target/release");
  mkdirSync(release, { recursive: true });
  copyFileSync(binary, join(release, "poolgate"));
  const pack = ["--package", "poolgate", "--no-build", "--no-strip", "--fast", "--quiet", "--output", file];
  await run(cargoDeb, pack, { env: { ...process.env, CARGO_TARGET_DIR: join(folder, "target") } });
  mkdirSync(join(system, "var/lib/dpkg/info"), { recursive: true });
  mkdirSync(join(system, "var/lib/dpkg/updates"));
  ["status", "available"].forEach((name) => writeFileSync(join(system, "var/lib/dpkg", name), ""));
});

test("it brings the program, the unit, and settings that are all comments", { skip }, async () => {
  await dpkg("--install", file);
  assert.match(await run("dpkg-deb", ["--field", file, "Depends"]), /^libc6 \(>= [\d.]+\)/);
  assert.match(await run(join(system, "usr/bin/poolgate"), ["--version"]), /^poolgate \d/);
  const unit = readFileSync(join(system, "usr/lib/systemd/system/poolgate.service"), "utf8");
  assert.equal(unit, readFileSync(join(root, "ops/systemd/poolgate.service"), "utf8"));
  for (const [, named] of unit.matchAll(/^(?:ExecStart=|Documentation=file:\/\/)(\S+)/gm)) {
    assert.ok(existsSync(join(system, named)), `the unit names ${named}`);
  }
  assert.doesNotMatch(readFileSync(settings, "utf8"), /^[^#[\s]/m);
  await run(join(system, "usr/bin/poolgate"), ["check-config", "--config", settings], { env: plainEnvironment() });
});

test("it starts nothing by itself, and an upgrade restarts what runs", { skip }, async () => {
  const scripts = join(folder, "scripts");
  await run("dpkg-deb", ["--control", file, scripts]);
  const postinst = readFileSync(join(scripts, "postinst"), "utf8");
  assert.match(postinst, /deb-systemd-invoke try-restart poolgate\.service/);
  assert.match(postinst, /daemon-reload/);
  assert.doesNotMatch(postinst, /deb-systemd-invoke (start|restart)/);
});

test("an upgrade keeps the operator's settings, and only a purge takes them away", { skip }, async () => {
  appendFileSync(settings, "# mine\n");
  await dpkg("--install", file);
  assert.match(readFileSync(settings, "utf8"), /# mine\n$/);
  await dpkg("--remove", "poolgate");
  assert.ok(!existsSync(join(system, "usr/bin/poolgate")) && existsSync(settings));
  await dpkg("--purge", "poolgate");
  assert.ok(!existsSync(settings));
});
