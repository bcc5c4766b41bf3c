// The header as JavaScript reads it, as numbers; empty if it is malformed.

import { LEVELS } from "../../js/contract.js";
import { codeIn, readHeader } from "../../js/engine/config.js";

/** @param {string} word */
export const levelOf = (word) => codeIn(LEVELS, word);

/** @param {string} text */
export function read(text) {
  const header = readHeader(text);
  if (!header) return new Float64Array();
  const { epoch, version, level, interval = -1, concurrency, open } = header;
  return new Float64Array([epoch, version, levelOf(level), interval, concurrency, Number(open)]);
}
