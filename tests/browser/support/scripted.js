// The page from disk, and a server that answers what a test says: for states that a real server takes long to reach.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";

import { WWW } from "./server.js";

const HEALTH = "/api/v1/health/database/";
/** @type {Record<string, string>} */
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm" };
const TICK_MS = 500;

/** @param {string} name */
async function golden(name) {
  return JSON.parse(await readFile(new URL(`../../fixtures/${name}.json`, import.meta.url), "utf8"));
}

/**
 * A calm server: requests succeed. The test changes its documents while it runs.
 * @param {{ streams?: boolean }} [options] without streams the page polls
 */
export async function startScripted({ streams = true } = {}) {
  const status = await golden("status");
  const rates = { succeeded: 40, failed: 0, rejected: 0 };
  const script = {
    status: {
      ...status,
      throttling_level: "NORMAL",
      level_since: new Date(Date.now() - 60_000).toISOString(),
      health: "HEALTHY",
      alerts: /** @type {any[]} */ ([]),
      last_cleanup: /** @type {any} */ (null),
      cluster: /** @type {any} */ (null),
      gateway: /** @type {any} */ (null),
      fair_rate_per_second: null,
      pool: { ...status.pool, checked_out: 6, idle: 14, connecting: 0, waiting: 0, usage_percent: 20, oldest_checkout_seconds: 0.1 },
      gate: { ...status.gate, in_flight: 6, waiting: 0, usage_percent: 24, unanswered_seconds: 0.02 },
      started_at: new Date(Date.now() - 120_000).toISOString(),
    },
    config: await golden("config-normal"),
    activity: { window_seconds: 60, routes: /** @type {any[]} */ ([]), leases: /** @type {any[]} */ ([]), clients: /** @type {any[]} */ ([]) },
    history: { step_seconds: 1, samples: /** @type {any[]} */ ([]), events: /** @type {any[]} */ ([]) },
    /** The same for a span that is asked for. */
    hours: { step_seconds: 30, samples: /** @type {any[]} */ ([]), events: /** @type {any[]} */ ([]) },
    /** The load driver's report; null: no demo. */
    load: /** @type {any} */ (null),
    /** Requests per second that end so. */
    rates,
    /** Answers every call with this status. */
    refuse: /** @type {number | null} */ (null),
    /** Answers nothing at all. */
    silent: false,
    /** What the page has sent: method, path and body. */
    sent: /** @type {{ method: string, path: string, authorization: string | undefined, body: string }[]} */ ([]),
  };

  /** @type {Set<import("node:http").ServerResponse>} */
  const open = new Set();
  /** @type {Set<import("node:net").Socket>} */
  const sockets = new Set();
  const server = createServer((request, response) => void answer(request, response));
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());

  let last = Date.now();
  const totals = { succeeded: 1_000, failed: 0, rejected: 0 };
  const ticks = setInterval(() => {
    advance();
    for (const stream of open) {
      say(stream, "config", script.config);
      say(stream, "status", script.status);
    }
  }, TICK_MS);

  function advance() {
    const seconds = (Date.now() - last) / 1000;
    last = Date.now();
    for (const name of /** @type {const} */ (["succeeded", "failed", "rejected"])) totals[name] += script.rates[name] * seconds;
    const { gate } = script.status;
    if (gate !== null) {
      Object.assign(gate, {
        succeeded_total: Math.round(totals.succeeded),
        failed_total: Math.round(totals.failed),
        rejected_total: Math.round(totals.rejected),
        admitted_total: Math.round(totals.succeeded + totals.failed),
      });
    }
    script.status.sampled_at = new Date().toISOString();
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async function answer(request, response) {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    if (!pathname.startsWith("/api/")) return file(pathname, response);
    if (script.silent) return void request.socket.destroy();
    if (script.refuse !== null) return void response.writeHead(script.refuse).end();
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method = "GET", headers } = request;
    const body = Buffer.concat(chunks).toString();
    if (method !== "GET") script.sent.push({ method, path: pathname, authorization: headers.authorization, body });
    advance();
    switch (pathname) {
      case `${HEALTH}events`:
        if (!streams) return void response.writeHead(503).end();
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        open.add(response);
        response.on("close", () => open.delete(response));
        say(response, "config", script.config);
        return say(response, "status", script.status);
      case `${HEALTH}status`:
        return json(response, script.status);
      case `${HEALTH}throttling-config`:
        return json(response, script.config);
      case `${HEALTH}activity`:
        return json(response, script.activity);
      case `${HEALTH}history`:
        return json(response, searchParams.has("seconds") ? script.hours : script.history);
      case `${HEALTH}force-cleanup`:
        return json(response, { ...(await golden("cleanup")), trigger: "manual", started_at: new Date().toISOString() });
      case "/api/v1/lab/load":
        return script.load === null ? void response.writeHead(404).end() : json(response, script.load);
      default:
        return void response.writeHead(404).end();
    }
  }

  return {
    url: `http://127.0.0.1:${port}`,
    script,
    /** Cuts every connection, as a server does that ends. */
    cut: () => sockets.forEach((socket) => socket.destroy()),
    /** A new process: its totals begin anew. */
    restart() {
      Object.assign(totals, { succeeded: 0, failed: 0, rejected: 0 });
      script.status.started_at = new Date().toISOString();
      script.status.level_since = script.status.started_at;
    },
    async stop() {
      clearInterval(ticks);
      sockets.forEach((socket) => socket.destroy());
      await new Promise((closed) => server.close(closed));
    },
  };
}

/**
 * @param {string} pathname
 * @param {import("node:http").ServerResponse} response
 */
async function file(pathname, response) {
  const name = path.join(WWW, path.posix.normalize(pathname === "/" ? "/index.html" : pathname));
  try {
    const bytes = await readFile(name);
    response.writeHead(200, { "content-type": TYPES[path.extname(name)] ?? "text/plain" }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {object} body
 */
function json(response, body) {
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" }).end(JSON.stringify(body));
}

/**
 * @param {import("node:http").ServerResponse} stream
 * @param {string} event
 * @param {object} data
 */
function say(stream, event, data) {
  stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
