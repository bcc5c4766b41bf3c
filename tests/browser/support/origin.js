// A server for a test's own pages: the package, Poolgate's routes as the test sets them, and app requests, counted on
// arrival.

import { createReadStream, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PACKAGE = process.env.POOLGATE_PACKAGE ?? path.join(ROOT, "www/pkg");
const HEALTH = "/api/v1/health/database/";
/** @type {Record<string, string>} */
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm" };

/** A page whose client is `window.client`, created from the options in the URL after `#`. */
const PAGE = `<!doctype html><title>test</title><script type="module">
  import { createClient } from "/pkg/index.js";
  window.client = await createClient(JSON.parse(decodeURIComponent(location.hash.slice(1)) || "{}"));
</script>`;

/** @typedef {Awaited<ReturnType<typeof startOrigin>>} Origin */

/** @typedef {string | import("node:http").RequestListener} File */

/**
 * @param {Record<string, File>} [files] more files by path, JavaScript or HTML; a function answers by itself
 * @param {object} [own]
 * @param {(request: any, response: any) => void} [own.app] answers app requests instead of the counting route
 * @param {{ key: string | Buffer, cert: string }} [own.tls] speaks HTTP/2
 */
export async function startOrigin(files = {}, { app, tls } = {}) {
  /** @type {Set<import("node:http").ServerResponse>} */
  const streams = new Set();
  const seen = {
    /** @type {{ at: number, path: string, page: string }[]} */
    app: [],
    inFlight: 0,
    /** The maximum in flight at the same time, in total and per page. */
    most: 0,
    streams: 0,
    mostStreams: 0,
    asked: 0,
  };
  /** Duration of an app request. */
  const work = { ms: 20 };
  let config = golden("normal");

  const server = tls ? createSecureServer({ ...tls, allowHTTP1: true }, answer) : createServer(answer);
  /** @type {Set<import("node:net").Socket>} */
  const sockets = new Set();
  server.on("connection", (/** @type {import("node:net").Socket} */ socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  /** @param {any} request @param {any} response */
  function answer(request, response) {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const file = files[pathname];
    if (typeof file === "function") {
      file(request, response);
    } else if (pathname === `${HEALTH}throttling-config`) {
      seen.asked += 1;
      response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(JSON.stringify(config));
    } else if (pathname === `${HEALTH}events`) {
      seen.streams += 1;
      streams.add(response);
      seen.mostStreams = Math.max(seen.mostStreams, streams.size);
      response.on("close", () => streams.delete(response));
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      say(response, "config", config);
    } else if (pathname.startsWith("/app/") && app) {
      app(request, response);
    } else if (pathname.startsWith("/app/")) {
      seen.app.push({ at: Date.now(), path: pathname, page: searchParams.get("page") ?? "" });
      seen.inFlight += 1;
      seen.most = Math.max(seen.most, seen.inFlight);
      let ended = false;
      const end = () => {
        if (!ended) seen.inFlight -= 1;
        ended = true;
      };
      response.on("close", end);
      setTimeout(() => {
        // For the client, a request is in flight until it has the head.
        end();
        response.writeHead(200, { "poolgate-config": header(config), "cache-control": "no-store" }).end("{}");
      }, work.ms);
    } else if (pathname.startsWith("/pkg/")) {
      const part = path.join(PACKAGE, path.posix.normalize(pathname.slice("/pkg/".length)));
      if (!existsSync(part)) return void response.writeHead(404).end();
      // Also for frames without an origin.
      const headers = { "content-type": TYPES[path.extname(part)] ?? "text/plain", "access-control-allow-origin": "*" };
      response.writeHead(200, headers);
      createReadStream(part).pipe(response);
    } else {
      const type = pathname.endsWith(".js") ? "text/javascript" : "text/html";
      response.writeHead(200, { "content-type": type }).end(file ?? PAGE);
    }
  }
  await new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(undefined)));
  const heartbeat = setInterval(() => {
    for (const stream of streams) say(stream, "heartbeat", { epoch: config.epoch, version: config.version });
  }, 2000);
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());

  return {
    files,
    url: `${tls ? "https" : "http"}://127.0.0.1:${port}`,
    /** The current header. */
    header: () => header(config),
    seen,
    work,
    open: () => streams.size,
    /** @param {object} changes to the golden config with a limit in force */
    limit(changes) {
      publish({ ...golden("moderate"), ...changes });
    },
    release() {
      publish(golden("normal"));
    },
    /** Resets the counts. */
    reset() {
      Object.assign(seen, { app: [], most: 0, streams: 0, mostStreams: streams.size, asked: 0 });
    },
    async stop() {
      clearInterval(heartbeat);
      sockets.forEach((socket) => socket.destroy());
      await new Promise((closed) => server.close(closed));
    },
  };

  /** @param {typeof config} next */
  function publish(next) {
    config = { ...next, version: config.version + 1 };
    for (const stream of streams) say(stream, "config", config);
  }
}

/**
 * @param {import("node:http").ServerResponse} stream
 * @param {string} event
 * @param {object} data
 */
function say(stream, event, data) {
  stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** @param {string} name */
function golden(name) {
  return JSON.parse(readFileSync(path.join(ROOT, `tests/fixtures/config-${name}.json`), "utf8"));
}

/** @param {any} config */
function header({ epoch, version, throttling_level: level, max_concurrent_requests: slots, fair_rate_per_second: rate }) {
  const interval = rate ? `, interval=${Math.round(1000 / rate)}` : "";
  return `e=${epoch}, v=${version}, level=${level}${interval}, concurrency=${slots}, open=?0`;
}
