// Checks of the image and the compose file that need no container engine.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import { root, run } from "./process.js";

const { parse } = createRequire(join(process.env.POOLGATE_TOOLS ?? "", "package.json"))("yaml");
const binary = process.env.TEST_POOLGATE_BIN ?? "";
const composeFile = join(root, "ops/compose.yaml");
const compose = parse(readFileSync(composeFile, "utf8"));
const stages = readStages(readFileSync(join(root, "ops/Dockerfile"), "utf8"));
const image = stages.at(-1) ?? [];

test("the image is built with the toolchain that the project pins", () => {
  const pinned = /channel = "([\d.]+)"/.exec(readFileSync(join(root, "rust-toolchain.toml"), "utf8"))?.[1];
  assert.equal(argument(stages[0], "FROM"), `rust:${pinned}-bookworm AS build`);
});

test("the commands that build the image exist", async () => {
  const build = argument(stages[0], "RUN");
  const help = await run("cargo", ["xtask", "page", "--help"]);
  assert.match(build, /cargo xtask page --release/);
  assert.match(help, /--release/);
  assert.match(build, /cargo build --locked --release --package poolgate --bin poolgate/);
});

test("the image starts its binary, runs as nobody and stops on SIGTERM", async () => {
  const [from, path] = argument(image, "COPY").split(" ").slice(1);
  assert.ok(argument(stages[0], "RUN").includes(`target/release/poolgate ${from}`));
  assert.deepEqual(JSON.parse(argument(image, "ENTRYPOINT")), [path]);
  const [user, group] = argument(image, "USER").split(":").map(Number);
  assert.ok(user > 0 && group > 0);
  assert.equal(argument(image, "STOPSIGNAL"), "SIGTERM");
  const check = JSON.parse(argument(image, "HEALTHCHECK").replace(/^.*? CMD /, ""));
  assert.equal(check[0], path);
  assert.match(await run(binary, [check[1], "--help"]), /Usage: poolgate healthcheck/);
});

test("both files set only environment variables that the server knows", async () => {
  const environment = compose.services.app.environment;
  const fromImage = argument(image, "ENV").split("=");
  const env = { ...interpolated(environment), [fromImage[0]]: fromImage[1] };
  const PATH = process.env.PATH ?? "";
  await run(binary, ["--check-config"], { env: { ...env, PATH } });
  // Proves that the check can fail: a misspelled setting is named.
  const misspelled = { ...env, PATH, POOLGATE_SERVER__BINDD: "0.0.0.0:8000" };
  await assert.rejects(run(binary, ["--check-config"], { env: misspelled }), /bindd/i);
});

test("the app waits for a healthy database and is published only on loopback", () => {
  const { app, db } = compose.services;
  const always = Object.keys(compose.services).filter((name) => !compose.services[name].profiles);
  assert.deepEqual(always, ["app", "db"]);
  assert.equal(app.depends_on.db.condition, "service_healthy");
  assert.match(db.healthcheck.test.join(" "), /pg_isready/);
  assert.match(db.image, /^postgres:\d+/);
  assert.deepEqual(app.ports, ["127.0.0.1:8000:8000"]);
  assert.equal(app.environment.POOLGATE_SERVER__BIND, `0.0.0.0:${argument(image, "EXPOSE")}`);
  assert.equal(db.ports, undefined);
  assert.equal(app.read_only, true);
  assert.ok(existsSync(join(root, "ops", app.build.context, app.build.dockerfile)));
  const volumes = db.volumes.map((/** @type {string} */ volume) => volume.split(":")[0]);
  assert.deepEqual(Object.keys(compose.volumes), [...volumes, "metrics"]);
});

test("the app uses the database that the compose file starts", () => {
  const url = new URL(interpolated(compose.services.app.environment).DATABASE_URL);
  const db = interpolated(compose.services.db.environment);
  assert.equal(url.hostname, "db");
  const wanted = [db.POSTGRES_USER, db.POSTGRES_PASSWORD, db.POSTGRES_DB];
  assert.deepEqual([url.username, url.password, url.pathname.slice(1)], wanted);
});

const engine = hasCompose() ? false : "docker compose is not installed";
test("docker compose accepts the file", { skip: engine }, async () => {
  await run("docker", ["compose", "--file", composeFile, "config", "--quiet"]);
});

/**
 * A Dockerfile's instructions by stage; continued lines joined, comments removed.
 * @param {string} text
 */
function readStages(text) {
  /** @type {[string, string][][]} */
  const stages = [];
  const lines = text.replace(/^\s*#.*\n/gm, "").replace(/\\\n\s*/g, "").split("\n").filter((line) => line.trim());
  for (const line of lines) {
    const space = line.indexOf(" ");
    const instruction = line.slice(0, space);
    if (instruction === "FROM") stages.push([]);
    stages.at(-1)?.push([instruction, line.slice(space + 1).trim()]);
  }
  return stages;
}

/**
 * The last argument of an instruction in a stage.
 * @param {[string, string][]} stage
 * @param {string} instruction
 */
function argument(stage, instruction) {
  const found = stage.findLast(([name]) => name === instruction);
  assert.ok(found, `there is no ${instruction}`);
  return found[1];
}

/**
 * Compose's `${NAME:-default}` with nothing set.
 * @param {Record<string, string>} environment
 * @returns {Record<string, string>}
 */
function interpolated(environment) {
  const value = (/** @type {string} */ text) => text.replace(/\$\{\w+:-([^}]*)\}/g, "$1");
  return Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, value(text)]));
}

function hasCompose() {
  try {
    execFileSync("docker", ["compose", "version"], { stdio: "ignore", timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}
