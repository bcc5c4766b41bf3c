// @ts-check
// The entry for browsers: the module is a file beside this one. Bundlers recognize this form of `new URL`.

import { entry } from "./client/client.js";

export const { init, createClient, createThrottledFetch } = entry(
  (given) => given ?? new URL("poolgate_client_bg.wasm", import.meta.url),
);

export * from "./requests/errors.js";
