// The functions of a WebAssembly module: their names and bytes.

const IMPORT = 2;
const CODE = 10;
const CUSTOM = 0;
const FUNCTION_NAMES = 1;

/** @param {Buffer} module with a name section */
export function functions(module) {
  let at = 8;
  const byte = () => module[at++] ?? 0;
  const number = () => {
    let [value, shift, part] = [0, 0, 0];
    do {
      part = byte();
      value += (part & 0x7f) * 2 ** shift;
      shift += 7;
    } while (part & 0x80);
    return value;
  };
  const text = () => {
    const end = number() + at;
    const read = module.toString("utf8", at, end);
    at = end;
    return read;
  };
  const limits = () => {
    if (byte() & 1) number();
    number();
  };

  let imported = 0;
  /** @type {number[]} */
  const bytes = [];
  /** @type {Map<number, string>} */
  const names = new Map();
  while (at < module.length) {
    const kind = byte();
    const end = number() + at;
    if (kind === IMPORT) {
      for (let left = number(); left > 0; left -= 1) {
        text();
        text();
        const what = byte();
        if (what === 0) {
          imported += 1;
          number();
        } else if (what === 3) {
          at += 2;
        } else {
          if (what === 1) byte();
          limits();
        }
      }
    } else if (kind === CODE) {
      for (let left = number(); left > 0; left -= 1) {
        const size = number();
        bytes.push(size);
        at += size;
      }
    } else if (kind === CUSTOM && text() === "name") {
      while (at < end) {
        const what = byte();
        const next = number() + at;
        if (what === FUNCTION_NAMES) {
          for (let left = number(); left > 0; left -= 1) names.set(number(), text());
        }
        at = next;
      }
    }
    at = end;
  }
  return bytes.map((size, index) => ({ name: names.get(imported + index) ?? "", bytes: size }));
}
