// Alerts that arrive: a receiver that fails at first, a real Alertmanager, and a text for people.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { plainEnvironment } from "../packaging/process.js";

const binary = process.env.TEST_POOLGATE_BIN ?? "";
const PATIENCE_MS = 30_000;
const KEY = Buffer.alloc(32, 7);

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {{ headers: import("node:http").IncomingHttpHeaders, text: string, body: any, at: number }} Received */

/**
 * A server whose database cannot be opened until `repair` is called.
 * @param {Context} t
 * @param {Record<string, string>} env
 */
function broken(t, env) {
  const folder = temporary(t);
  const data = join(folder, "later");
  const args = ["--port", "0", "--database-url", `sqlite://${join(data, "app.db")}?mode=rwc`];
  const child = spawn(binary, args, { env: { ...plainEnvironment(), ...env }, stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (chunk) => (log += chunk));
  end(t, child);
  return { repair: () => mkdirSync(data), log: () => log };
}

/**
 * A receiver that answers with these statuses, then with 200; each answer takes a moment.
 * @param {Context} t
 * @param {number[]} statuses
 */
async function receiver(t, statuses) {
  /** @type {Received[]} */
  const received = [];
  let open = 0;
  let most = 0;
  const server = createServer(async (request, response) => {
    most = Math.max(most, ++open);
    let text = "";
    for await (const chunk of request) text += chunk;
    received.push({ headers: request.headers, text, body: JSON.parse(text), at: Date.now() });
    const status = statuses[received.length - 1] ?? 200;
    await setTimeout(300);
    open -= 1;
    response.writeHead(status).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/hook`, received, mostAtOnce: () => most };
}

test("a webhook is tried until it arrives, signed, and the end follows", async (t) => {
  const { url, received, mostAtOnce } = await receiver(t, [500, 503]);
  const server = broken(t, {
    POOLGATE_ALERTS__URL: url,
    POOLGATE_ALERTS__SECRET: `whsec_${KEY.toString("base64")}`,
    POOLGATE_ALERTS__PAGE: "https://poolgate.example/",
    POOLGATE_ALERTS__RUNBOOKS: "https://docs.example/runbooks",
  });
  await until("it has arrived", () => received.length >= 3);
  const [first, second, third] = received;
  assert.deepEqual(
    received.slice(0, 3).map(({ headers }) => headers["webhook-id"]),
    Array(3).fill(first.headers["webhook-id"]),
    "the same notice",
  );
  // A second, then two, less up to half, and the receiver's own time.
  assert.ok(second.at - first.at >= 500 && third.at - second.at >= 1_000, "attempts are further and further apart");
  for (const { headers, text } of received) assert.equal(headers["webhook-signature"], signature(headers, text));

  const { version, status, alerts, externalURL, receiver: name, groupKey } = third.body;
  assert.deepEqual([version, status, name, externalURL], ["4", "firing", "poolgate", "https://poolgate.example/"]);
  assert.ok(groupKey);
  const [alert] = alerts;
  assert.deepEqual(
    [alert.status, alert.labels.alertname, alert.labels.severity],
    ["firing", "PoolgateDatabaseSilent", "critical"],
  );
  assert.match(alert.annotations.summary, /unable to open/);
  assert.equal(alert.annotations.runbook_url, "https://docs.example/runbooks/database_silent");
  assert.equal(alert.endsAt, "0001-01-01T00:00:00Z");

  server.repair();
  await until("the end has arrived", () => received.at(-1)?.body.status === "resolved");
  const [over] = received.at(-1)?.body.alerts ?? [];
  assert.deepEqual([over.status, over.fingerprint, over.startsAt], ["resolved", alert.fingerprint, alert.startsAt]);
  assert.ok(Date.parse(over.endsAt) > Date.parse(over.startsAt));
  assert.equal(mostAtOnce(), 1, "one is on its way at a time");
  const count = received.length;
  await setTimeout(1_500);
  assert.equal(received.length, count, "nothing more to tell");
  assert.match(server.log(), /takes no alerts; they will be sent again/);
  assert.ok(!server.log().includes(url), "the address is a secret");
});

test("an Alertmanager takes the alert, and lets go of it when it is over", async (t) => {
  const folder = temporary(t);
  const config = join(folder, "alertmanager.yaml");
  writeFileSync(config, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n");
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const args = [
    `--config.file=${config}`,
    `--storage.path=${folder}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--cluster.listen-address=",
  ];
  end(t, spawn(process.env.ALERTMANAGER ?? "alertmanager", args, { stdio: "ignore" }));
  await until("Alertmanager is ready", async () => (await fetch(`${address}/-/ready`).catch(() => null))?.ok);
  const server = broken(t, { POOLGATE_ALERTS__URL: address, POOLGATE_ALERTS__FORMAT: "alertmanager" });
  /** @returns {Promise<any[]>} */
  const active = async () => (await fetch(`${address}/api/v2/alerts`)).json();
  await until("it has the alert", async () => (await active()).length > 0);
  const [alert] = await active();
  assert.equal(alert.labels.alertname, "PoolgateDatabaseSilent");
  assert.equal(alert.annotations.severity, "critical");
  assert.match(alert.annotations.summary, /unable to open/);
  assert.equal(alert.status.state, "active");
  server.repair();
  await until("it has let go of it", async () => (await active()).length === 0);
});

test("Slack gets a text", async (t) => {
  const { url, received } = await receiver(t, []);
  const server = broken(t, { POOLGATE_ALERTS__URL: url, POOLGATE_ALERTS__FORMAT: "slack" });
  await until("it has arrived", () => received.length === 1);
  assert.match(received[0]?.body.text, /^Poolgate 127\.0\.0\.1:\d+\n\*critical\* database_silent: .*unable to open/);
  server.repair();
  await until("the end has arrived", () => received.length === 2);
  assert.match(received[1]?.body.text, /\nover: database_silent$/);
});

/**
 * The signature by Standard Webhooks, computed apart from the program.
 * @param {import("node:http").IncomingHttpHeaders} headers
 * @param {string} text
 */
function signature(headers, text) {
  const age = Date.now() / 1000 - Number(headers["webhook-timestamp"]);
  assert.ok(Math.abs(age) < 60, "the time of the attempt");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`;
  return `v1,${createHmac("sha256", KEY).update(signed).digest("base64")}`;
}

/** @param {Context} t */
function temporary(t) {
  const folder = mkdtempSync(join(tmpdir(), "poolgate-alerts-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Ends a process with the test.
 * @param {Context} t
 * @param {import("node:child_process").ChildProcess} child
 */
function end(t, child) {
  const ended = new Promise((resolve) => child.on("close", resolve));
  t.after(async () => {
    child.kill();
    await ended;
  });
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * @param {string} what
 * @param {() => unknown} condition
 */
async function until(what, condition) {
  const begun = Date.now();
  while (!(await condition())) {
    assert.ok(Date.now() - begun < PATIENCE_MS, `not within ${PATIENCE_MS / 1000} s: ${what}`);
    await setTimeout(50);
  }
}
