// Runs programs as a user would, each with a time limit.

import { execFile, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const MINUTE = 60_000;
const READY = /^Poolgate listening on (http:\/\/\S+)$/m;

/** The repository's root. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/**
 * Runs a program to its end and returns its output; an error contains both outputs.
 * @param {string} program
 * @param {string[]} args
 * @param {import("node:child_process").ExecFileOptions} [options]
 */
export async function run(program, args, options = {}) {
  const bounded = { cwd: root, timeout: 25 * MINUTE, maxBuffer: 64 << 20, ...options };
  const { stdout } = await promisify(execFile)(program, args, bounded);
  return String(stdout);
}

/**
 * The environment without the variables that `node --test` sets for its children, and without settings, which a server
 * would read.
 */
export function plainEnvironment() {
  const told = (/** @type {string} */ name) =>
    name.startsWith("NODE_") || name.startsWith("POOLGATE_") || name === "DATABASE_URL";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !told(name)));
}

/**
 * Starts a program that becomes a Poolgate server; resolves when it is ready.
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, patience?: number, env?: Record<string, string> }} [options]
 */
export async function startServer(program, args, { cwd = root, patience = 2 * MINUTE, env = {} } = {}) {
  const child = spawn(program, args, { cwd, env: { ...plainEnvironment(), ...env }, stdio: ["ignore", "pipe", "pipe"] });
  /** @type {Promise<{ code: number | null, signal: string | null }>} */
  const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
  let printed = "";
  const url = await new Promise((resolve, reject) => {
    const late = globalThis.setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`no server after ${patience / 1000} s:\n${printed}`));
    }, patience);
    const listen = (/** @type {Buffer} */ chunk) => {
      printed += chunk;
      const ready = READY.exec(printed);
      if (ready) {
        clearTimeout(late);
        resolve(ready[1]);
      }
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.on("error", reject);
    ended.then(({ code, signal }) => {
      clearTimeout(late);
      reject(new Error(`it ended with ${code ?? signal}:\n${printed}`));
    });
  });
  await untilReady(url, patience);
  return { url, child, ended };
}

/**
 * A server listens before it has created the demo data.
 * @param {string} url
 * @param {number} patience
 */
async function untilReady(url, patience) {
  const start = Date.now();
  while (!(await fetch(`${url}/readyz`)).ok) {
    if (Date.now() - start > patience) throw new Error(`not ready after ${patience / 1000} s`);
    await setTimeout(100);
  }
}
