// The README's first command starts, answers, and ends as its server does.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { test } from "node:test";

import { startServer } from "./process.js";

const MINUTE = 60_000;

const bounded = { timeout: 30 * MINUTE };
test("cargo xtask demo serves page and API and ends on SIGTERM with its server's status", bounded, async () => {
  const demo = await startServer("cargo", ["xtask", "demo", "--no-open", "--port", "0"], { patience: 25 * MINUTE });
  try {
    const ping = await fetch(`${demo.url}/api/v1/health/ping`);
    assert.equal(ping.status, 200);
    const body = /** @type {{ status: string, service: string }} */ (await ping.json());
    assert.deepEqual([body.status, body.service], ["pass", "poolgate"]);

    const config = await fetch(`${demo.url}/api/v1/health/database/throttling-config`);
    const { throttling_level } = /** @type {{ throttling_level: string }} */ (await config.json());
    assert.equal(throttling_level, "NORMAL");

    const page = await fetch(`${demo.url}/`);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    const wasm = await fetch(`${demo.url}/pkg/poolgate_client_bg.wasm`);
    assert.equal(wasm.headers.get("content-type"), "application/wasm");
    assert.ok(await WebAssembly.compile(await wasm.arrayBuffer()));

    // An open event stream must not delay the shutdown.
    const stream = request(`${demo.url}/api/v1/health/database/events`).end();
    stream.on("error", () => {});
    const [response] = await once(stream, "response");
    response.resume();
    assert.equal(response.headers["content-type"], "text/event-stream");
  } finally {
    demo.child.kill("SIGTERM");
  }
  const late = setTimeout(() => demo.child.kill("SIGKILL"), 15_000);
  const { code, signal } = await demo.ended;
  clearTimeout(late);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
});
