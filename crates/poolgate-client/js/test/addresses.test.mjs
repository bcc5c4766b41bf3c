// Which requests count is read off the text of an address where it can be; the platform's parser is the judge.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { backend, config, load, until } from "./support.mjs";

const { createClient } = await load();

/** After the origin, or alone. */
const PATHS = JSON.parse(readFileSync(new URL("addresses.json", import.meta.url), "utf8"));

for (const path of ["", "/under/a/path"]) {
  test(`with ${path || "no path"} in baseUrl, an address counts exactly where its URL does`, async (t) => {
    const server = await backend({ config: () => config("open") });
    t.after(() => server.stop());
    const route = "/api/v1/health/database/throttling-config";
    const real = fetch;
    let passed = false;
    const client = await createClient({
      baseUrl: server.url + path,
      transport: "poll",
      fetch: (input, init) => {
        // The client's own requests have an init.
        if (init) return real(server.url + route, init);
        passed = true;
        return Promise.resolve(new Response());
      },
    });
    t.after(() => client.close());
    await until(() => client.state.breaker === "open", "nothing that counts passes");
    const { origin, host } = new URL(server.url);
    const others = ["http://other.example/x", `https://${host}/x`, `HTTP://${host}/x`, "data:,x", 7, null, undefined];
    const own = PATHS.flatMap((text) => [origin + text, origin + path + text]);
    for (const address of [...own, ...PATHS, ...others]) {
      passed = false;
      await client.fetch(address).catch(() => {});
      const url = URL.canParse(address) ? new URL(address) : undefined;
      const counts = url?.origin === origin && !url.pathname.startsWith(`${path}/api/v1/health/`);
      assert.equal(passed, !counts, JSON.stringify(address));
    }
  });
}
