// @ts-check
// The entry for Node, whose fetch does not read files.

import { readFile } from "node:fs/promises";

import { entry } from "./client/client.js";

export const { init, createClient, createThrottledFetch } = entry(
  (source = new URL("poolgate_client_bg.wasm", import.meta.url)) => {
    const isAddress = typeof source === "string" || source instanceof URL;
    return isAddress && String(source).startsWith("file:") ? readFile(new URL(source)) : source;
  },
);

export * from "./requests/errors.js";
