// App routes that echo their requests and answer in every way that fetch can meet.

/** A body with a known hash. */
export const FIXED = "the same every time";

/** @typedef {{ method: string, path: string, headers: string[], body: string }} Asked */

/**
 * @param {() => string} config the header of gated responses
 */
export function mirror(config) {
  /** @type {Map<string, Asked[]>} by the `case` in the URL */
  const asked = new Map();
  /** @type {Map<string, () => void>} answers that are held back, by the same key */
  const held = new Map();

  return {
    /** @param {string} name the requests of a case */
    asked: (name) => asked.get(name) ?? [],
    app,
  };

  /** @param {any} request @param {any} response */
  async function app(request, response) {
    const url = new URL(request.url, "http://localhost");
    const name = url.searchParams.get("case") ?? "";
    const entry = { method: request.method, path: request.url, headers: headersOf(request), body: "" };
    if (url.pathname !== "/app/go-on") asked.set(name, [...(asked.get(name) ?? []), entry]);
    response.setHeader("poolgate-config", config());
    response.sendDate = false;
    const { origin } = request.headers;
    if (origin) {
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("access-control-allow-credentials", "true");
      response.setHeader("access-control-allow-headers", "x-a, content-type");
      response.setHeader("access-control-allow-methods", "GET, POST, PUT, PURGE");
    }
    if (request.method === "OPTIONS" && request.headers["access-control-request-method"]) {
      return void response.writeHead(204).end();
    }
    /** @type {Buffer[]} */
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // The browser has given up.
    }
    entry.body = normalized(Buffer.concat(chunks).toString("latin1"), request.headers["content-type"]);
    answer(url, name, response);
  }

  /** @param {URL} url @param {string} name @param {any} response */
  function answer({ pathname, searchParams }, name, response) {
    const plain = { "content-type": "text/plain" };
    switch (pathname) {
      case "/app/status":
        return void response.writeHead(Number(searchParams.get("code")), plain).end(FIXED);
      case "/app/empty":
        return void response.writeHead(204).end();
      case "/app/redirect": {
        const location = next(searchParams.get("to") ?? pathname, name);
        return void response.writeHead(Number(searchParams.get("code") ?? 302), { location }).end();
      }
      case "/app/cookie":
        return void response.writeHead(200, { ...plain, "set-cookie": "seen=yes; Path=/app/" }).end();
      case "/app/cached":
        response.writeHead(200, { ...plain, "cache-control": "max-age=60", etag: '"1"' });
        return void response.end(String(asked.get(name)?.length));
      case "/app/form":
        response.writeHead(200, { "content-type": "application/x-www-form-urlencoded" });
        return void response.end("a=1&b=%20");
      case "/app/slow":
        return void held.set(name, () => response.end());
      case "/app/parts":
        // The second part follows when the first has been read.
        response.writeHead(200, plain).write("first ");
        return void held.set(name, () => response.end("second"));
      case "/app/go-on":
        held.get(name)?.();
        return void response.writeHead(204).end();
      case "/app/reset":
        return void (response.stream ?? response.socket).destroy();
      default:
        return void response.writeHead(200, { ...plain, "x-one": "1", "x-two": "2, 3" }).end(FIXED);
    }
  }
}

/** @param {string} address @param {string} name */
function next(address, name) {
  return `${address}${address.includes("?") ? "&" : "?"}case=${name}`;
}

/** @param {any} request */
function headersOf({ rawHeaders, headers }) {
  const boundary = boundaryIn(headers["content-type"]);
  const list = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name, value] = [rawHeaders[at], rawHeaders[at + 1]];
    // Names the connection and the case.
    if (!["host", ":authority", ":path", "connection", "cookie"].includes(name.toLowerCase())) {
      list.push(`${name}: ${boundary ? value.replaceAll(boundary, "BOUNDARY") : value}`);
    }
  }
  if (headers.cookie) list.push("cookie: some");
  // Form boundaries have equal lengths, so compare only their lengths.
  return list.sort();
}

/** @param {string} body @param {string} [type] */
function normalized(body, type) {
  const boundary = boundaryIn(type);
  return boundary ? body.replaceAll(boundary, "BOUNDARY") : body;
}

/** @param {string} [type] */
function boundaryIn(type) {
  return type?.match(/boundary=([^;]+)/)?.[1];
}
