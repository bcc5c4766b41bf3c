// A server with a GraphQL route in front of a Poolgate server, like an app.

import { createServer, request } from "node:http";

import { buildSchema, graphql } from "graphql";

const SCHEMA = buildSchema("type Query { products: [Product!]! } type Product { name: String! }");
const ROOT = { products: [{ name: "lamp" }, { name: "chair" }] };

/**
 * Answers `/graphql` and forwards all other requests.
 * @param {string} upstream
 */
export async function startGraphql(upstream) {
  const server = createServer(async (incoming, outgoing) => {
    if (incoming.url !== "/graphql") return handOn(upstream, incoming, outgoing);
    const { query: source } = JSON.parse((await incoming.toArray()).join(""));
    outgoing.setHeader("content-type", "application/json");
    outgoing.end(JSON.stringify(await graphql({ schema: SCHEMA, source, rootValue: ROOT })));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/**
 * @param {string} upstream
 * @param {import("node:http").IncomingMessage} incoming
 * @param {import("node:http").ServerResponse} outgoing
 */
function handOn(upstream, incoming, outgoing) {
  const { method, headers, url = "/" } = incoming;
  const onward = request(new URL(url, upstream), { method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  onward.on("error", () => outgoing.destroy());
  outgoing.on("close", () => onward.destroy());
  incoming.pipe(onward);
}
