// Loads the app. With ?adopt the page's JavaScript makes the client, and the app adopts it: one budget for both.

import "./pkg/status.js";

import init from "./leptos-shop.js";

if (new URLSearchParams(location.search).has("adopt")) {
  const { createClient } = await import("./pkg/index.js");
  globalThis.poolgate = await createClient();
}
await init({ module_or_path: new URL("leptos-shop_bg.wasm", import.meta.url) });
