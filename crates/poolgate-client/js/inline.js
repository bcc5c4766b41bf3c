// @ts-check
// The entry without a second file, for bundlers and hosts that cannot serve one. It is larger.

import { entry } from "./client/client.js";
import { base64 } from "./poolgate_client_inline.js";

export const { init, createClient, createThrottledFetch } = entry(
  (given) => given ?? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)),
);

export * from "./requests/errors.js";
