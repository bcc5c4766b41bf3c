// @ts-check
// The entry without a second file, where a bundler or a host cannot serve one. Larger, and compiled after it has arrived
// instead of meanwhile.

import { entry } from "./client.js";
import { base64 } from "./poolgate_client_inline.js";

export const { init, createClient, createThrottledFetch } = entry(
  (given) => given ?? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)),
);

export * from "./errors.js";
