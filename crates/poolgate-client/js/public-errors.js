// @ts-check
// What every entry exports besides its own functions.

export {
  CircuitOpenError,
  ClientClosedError,
  PoolgateError,
  QueueFullError,
  QueueTimeoutError,
  isPoolgateError,
} from "./errors.js";
