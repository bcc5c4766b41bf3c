// What the shell reads of a header, as numbers; nothing, where it reads none.

import { levelOf, readHeader } from "../../js/config.js";

/** @param {string} text */
export function read(text) {
  const header = readHeader(text);
  if (!header) return new Float64Array();
  const { epoch, version, level, interval = -1, concurrency, open } = header;
  return new Float64Array([epoch, version, levelOf(level), interval, concurrency, Number(open)]);
}
