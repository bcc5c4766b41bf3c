// A real server for one test file: its own port, its own folder, stopped at the end.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { until } from "./until.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const BINARY = process.env.TEST_POOLGATE_BIN ?? path.join(ROOT, "target/debug/poolgate");

/** The page under test: www unchanged, or Trunk's build of it. */
export const WWW = path.resolve(process.env.POOLGATE_WWW ?? path.join(ROOT, "www"));

/** The demo creates its data first. */
const READY_WITHIN_MS = 60_000;
const STOPPED_WITHIN_MS = 10_000;

/**
 * Starts `poolgate --demo` on a free port and waits until it is ready.
 * @param {{ www?: string, demo?: boolean, port?: number, env?: Record<string, string> }} [options]
 */
export async function startServer({ www = WWW, demo = true, port = 0, env = {} } = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), "poolgate-browser-"));
  const source = demo ? ["--demo"] : ["--database-url", `sqlite://${path.join(folder, "app.db")}?mode=rwc`];
  const server = spawn(BINARY, [...source, "--port", String(port), "--www", www], {
    cwd: folder,
    env: { ...withoutSettings(process.env), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = keepTail(server.stderr);
  const exit = once(server, "exit");
  const url = await Promise.race([
    readAddress(server.stdout).then(becomeReady),
    // After "close" its log is complete.
    once(server, "close").then(([code]) => fail(`the server ended with ${code} before it was ready`, log)),
    once(server, "error").then(([error]) => fail(`${BINARY} did not start: ${error.message}`, log)),
    deadline(READY_WITHIN_MS).then(() => fail(`the server was not ready within ${READY_WITHIN_MS} ms`, log)),
  ]).catch(async (error) => {
    server.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
    throw error;
  });

  return {
    url,
    port: Number(new URL(url).port),
    /** The last lines of its log. */
    log: () => log.join("\n"),
    async stop() {
      if (server.exitCode === null && server.signalCode === null) server.kill("SIGTERM");
      const ended = await Promise.race([exit, deadline(STOPPED_WITHIN_MS)]);
      if (ended === undefined) server.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
      if (ended === undefined) fail(`the server did not stop within ${STOPPED_WITHIN_MS} ms`, log);
    },
    /**
     * @param {string} route
     * @param {RequestInit} [init]
     */
    async json(route, init) {
      const response = await fetch(new URL(route, url), { signal: AbortSignal.timeout(10_000), ...init });
      if (!response.ok)
        throw new Error(`${init?.method ?? "GET"} ${route}: ${response.status} ${await response.text()}`);
      return response.json();
    },
    /** @param {object} load */
    startLoad(load) {
      return this.json("/api/v1/lab/load", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(load),
      });
    },
    stopLoad() {
      return this.json("/api/v1/lab/load", { method: "DELETE" });
    },
  };
}

/**
 * Removes the tests' own variables: they begin like the server's settings, and the server would reject them.
 * @param {NodeJS.ProcessEnv} env
 */
function withoutSettings(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith("POOLGATE_") && name !== "DATABASE_URL"),
  );
}

/**
 * @param {import("node:stream").Readable} stdout
 * @returns {Promise<string>}
 */
function readAddress(stdout) {
  return new Promise((resolve) => {
    createInterface({ input: stdout }).on("line", (line) => {
      const address = /^Poolgate listening on (http:\/\/\S+)$/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
}

/**
 * Until its data exists, the demo's requests fail at once.
 * @param {string} url
 */
async function becomeReady(url) {
  await until("the server is ready", READY_WITHIN_MS, async () => (await fetch(new URL("/readyz", url))).ok);
  return url;
}

/** @param {import("node:stream").Readable} stream */
function keepTail(stream) {
  /** @type {string[]} */
  const lines = [];
  createInterface({ input: stream }).on("line", (line) => {
    lines.push(line);
    if (lines.length > 40) lines.shift();
  });
  return lines;
}

/**
 * @param {string} message
 * @param {string[]} log
 * @returns {never}
 */
function fail(message, log) {
  throw new Error(`${message}\n${log.join("\n")}`);
}

/** @param {number} ms */
function deadline(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms, undefined).unref());
}
