// A new project with the tarball installed by npm, beside bundlers and frameworks.

import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { run, startServer } from "./process.js";

const MINUTE = 60_000;
const here = dirname(fileURLToPath(import.meta.url));

/** @typedef {Awaited<ReturnType<typeof settle>>} Stranger */

/** Packs the client and installs it. */
export async function settle() {
  const summary = await run("cargo", ["xtask", "package"]);
  const tarball = summary.trim().split("\n").at(-1) ?? "";
  const home = await realpath(await mkdtemp(join(tmpdir(), "poolgate-package-")));
  await symlink(await realpath(join(here, "node_modules")), join(home, "node_modules"));
  const project = join(home, "stranger");
  await mkdir(project);
  await writeFile(join(project, "package.json"), JSON.stringify({ name: "stranger", private: true, type: "module" }));
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: project, timeout: 2 * MINUTE });
  return {
    project,
    /** What packing printed. */
    summary,
    tarball,
    /**
     * @param {string} path
     * @param {string} content
     */
    async write(path, content) {
      const file = join(project, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      return file;
    },
    leave: () => rm(home, { recursive: true, force: true }),
  };
}

/**
 * A server whose clients may always start ten requests a second, and which serves the project's files.
 * @param {Stranger} stranger
 */
export async function startLimited({ project }) {
  const env = { POOLGATE_POLICY: "fixed" };
  const binary = process.env.TEST_POOLGATE_BIN ?? "";
  const server = await startServer(binary, ["--demo", "--port", "0", "--www", project], { cwd: project, env });
  return {
    url: server.url,
    async stop() {
      server.child.kill("SIGTERM");
      await server.ended;
    },
  };
}
