// The npm tarball in a new project: it installs, imports, type-checks and throttles against a real server.

import assert from "node:assert/strict";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

import { plainEnvironment, run, startServer } from "./process.js";
import { settle } from "./stranger.js";

const MINUTE = 60_000;

/**
 * All that a page loads, in brotli, and the status element, in gzip. Raise a limit only in a commit that says why; 32
 * KB is the goal.
 */
const MOST_BYTES = { page: 32_768, status: 5_000 };

const gzip = (/** @type {Buffer} */ bytes) => gzipSync(bytes, { level: 9 });

/** @type {import("./stranger.js").Stranger} */
let stranger;
/** @type {string} */
let project;

before(async () => {
  stranger = await settle();
  project = stranger.project;
}, { timeout: 30 * MINUTE });

after(() => stranger?.leave());

test("publint and Are the types wrong? find nothing", { timeout: MINUTE }, async () => {
  const { publint } = await import("publint");
  const { messages } = await publint({ pkgDir: join(project, "node_modules/@poolgate/client"), strict: true });
  assert.deepEqual(messages, []);
  // Its exit status reports problems for users of ES modules; entries without types are excluded.
  const untyped = ["./poolgate_client_bg.wasm", "./custom-elements.json", "./package.json"];
  const attw = fileURLToPath(new URL("node_modules/.bin/attw", import.meta.url));
  await run(attw, [stranger.tarball, "--profile", "esm-only", "--exclude-entrypoints", ...untyped], { cwd: project });
});

test("each entry exports what its declarations say", async () => {
  const folder = join(project, "node_modules/@poolgate/client");
  for (const [entry, declarations] of [
    ["index.js", "index.d.ts"],
    ["inline.js", "index.d.ts"],
    ["node.js", "index.d.ts"],
    ["service-worker.js", "service-worker.d.ts"],
    ["status.js", "status.d.ts"],
  ]) {
    const declared = (await readFile(join(folder, declarations), "utf8")).matchAll(/^export (?:function|class) (\w+)/gm);
    const names = new Set(Array.from(declared, ([, name]) => name));
    assert.deepEqual(new Set(Object.keys(await import(join(folder, entry)))), names, entry);
  }
});

test("a page loads no more than the limits", async (t) => {
  const folder = join(project, "node_modules/@poolgate/client");
  /** @param {string} file @returns {Promise<string[]>} */
  const loaded = async (file) => {
    const imports = (await readFile(join(folder, file), "utf8")).matchAll(/from\s*"\.\/([^"]+)"/g);
    const names = new Set(Array.from(imports, ([, name]) => name));
    return [file, ...(await Promise.all([...names].map(loaded))).flat()];
  };
  /** @param {string[]} files @param {(bytes: Buffer) => Buffer} compress */
  const size = async (files, compress) => {
    const sizes = files.map(async (file) => compress(await readFile(join(folder, file))).length);
    return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
  };
  const page = [...(await loaded("index.js")), "poolgate_client_bg.wasm"];
  const status = await loaded("status.js");
  t.diagnostic(`a page loads ${page}: ${await size(page, gzip)} bytes as gzip`);
  const sizes = { page: await size(page, brotliCompressSync), status: await size(status, gzip) };
  t.diagnostic(JSON.stringify(sizes));
  for (const name of /** @type {const} */ (["page", "status"])) {
    assert.ok(sizes[name] <= MOST_BYTES[name], `${name}: ${sizes[name]}`);
  }
});

test("a debugger finds the sources of each script", async () => {
  const folder = join(project, "node_modules/@poolgate/client");
  const maps = (await readdir(folder)).filter((file) => file.endsWith(".js.map"));
  assert.ok(maps.length >= 4, `${maps}`);
  for (const file of maps) {
    const { sources, sourcesContent = [] } = JSON.parse(await readFile(join(folder, file), "utf8"));
    assert.ok(sources.length > 0 && sources.length === sourcesContent.length && sourcesContent.every(Boolean), file);
    assert.match(await readFile(join(folder, file.slice(0, -4)), "utf8"), new RegExp(`//# sourceMappingURL=${file}\\s*$`));
  }
});

test("the package installs without dependencies", async () => {
  const listed = await run("npm", ["ls", "--all", "--parseable"], { cwd: project });
  assert.deepEqual(listed.trim().split("\n").slice(1), [join(project, "node_modules/@poolgate/client")]);
});

test("Node imports it and a request goes through the gate of a real server", async () => {
  await writeFile(join(project, "use.js"), `
    import { createClient, createThrottledFetch, isPoolgateError } from "@poolgate/client";
    const baseUrl = process.argv[2];
    const client = await createClient({ baseUrl });
    const config = await client.refresh();
    const response = await client.fetch(new URL("/api/v1/lab/hold?hold_ms=1", baseUrl));
    const throttledFetch = createThrottledFetch({ baseUrl });
    const plain = await throttledFetch(new URL("/api/v1/lab/hold?hold_ms=1", baseUrl));
    client.close();
    console.log(JSON.stringify({
      level: client.state.level, version: config.version, statuses: [response.status, plain.status],
      header: response.headers.get("poolgate-config"), guard: isPoolgateError(new Error("no")),
    }));
    process.exit(0);
  `);
  const binary = process.env.TEST_POOLGATE_BIN ?? "";
  const server = await startServer(binary, ["--demo", "--port", "0"], { cwd: project });
  try {
    const options = { cwd: project, timeout: MINUTE, env: plainEnvironment() };
    const result = JSON.parse(await run(process.execPath, ["use.js", server.url], options));
    assert.deepEqual(result.statuses, [200, 200]);
    assert.equal(result.level, "NORMAL");
    assert.equal(typeof result.version, "number");
    assert.match(result.header, /^e=\d+, v=\d+, level=NORMAL/);
    assert.equal(result.guard, false);
  } finally {
    server.child.kill("SIGTERM");
    await server.ended;
  }
});

test("importing it uses no browser API, as server-side rendering needs", async () => {
  const code = `await import("@poolgate/client"); await import("@poolgate/client/status"); console.log("imported");`;
  const options = { cwd: project, timeout: MINUTE, env: plainEnvironment() };
  assert.equal(await run(process.execPath, ["--input-type=module", "-e", code], options), "imported\n");
});

test("its types accept correct use and refuse mistakes", async () => {
  const tsc = join(process.env.POOLGATE_TOOLS ?? "", ".bin/tsc");
  const flags = ["--strict", "--noEmit", "--pretty", "false", "--target", "es2023", "--lib", "es2023,dom,dom.iterable"];
  const check = (/** @type {string} */ file, /** @type {string[]} */ resolution) =>
    run(tsc, [...flags, "--types", "", ...resolution, file], { cwd: project, timeout: 2 * MINUTE });
  await writeFile(join(project, "use.ts"), `
    import { createClient, createThrottledFetch, isPoolgateError, CircuitOpenError } from "@poolgate/client";
    import type { ClientOptions, PoolgateClient, ThrottlingConfig } from "@poolgate/client";
    const options: ClientOptions = { baseUrl: "http://127.0.0.1:8000", transport: "poll", onOpen: "respond" };
    const client: PoolgateClient = await createClient(options);
    const config: ThrottlingConfig = await client.refresh();
    const level: string = config.throttling_level;
    const plain: typeof fetch = createThrottledFetch();
    const response: Response = await client.fetch("/orders", { poolgate: { priority: "high", queueTimeoutMs: 500 } });
    try { await plain("/orders"); } catch (error) {
      if (isPoolgateError(error)) { const wait: number | undefined = error.retryAfterMs ?? undefined; void wait; }
      if (error instanceof CircuitOpenError) { const code: string = error.code; void code; }
    }
    client.close();
    void [level, response.ok];
  `);
  for (const resolution of [["--module", "nodenext"], ["--module", "esnext", "--moduleResolution", "bundler"]]) {
    await check("use.ts", resolution);
  }
  await writeFile(join(project, "misuse.ts"), `
    import { createClient } from "@poolgate/client";
    await createClient({ transport: "pigeon" });
  `);
  await assert.rejects(check("misuse.ts", ["--module", "nodenext"]), (/** @type {{ stdout: string }} */ error) => {
    assert.match(error.stdout, /misuse\.ts.*pigeon/);
    return true;
  });
});
