// `cargo xtask bench client`: the package's cost in Chromium compared with similar libraries. Prints tables, or writes
// them into a document between its marks.

import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { launch } from "../../browser/support/browser.js";
import { enforcement } from "./enforcement.js";
import { markdown } from "./figures.js";
import { handover } from "./handover.js";
import { memory } from "./memory.js";
import { overhead } from "./overhead.js";
import { sizes } from "./sizes.js";

const { values: options } = parseArgs({
  options: {
    /** Few rounds, to check that it works. */
    quick: { type: "boolean", default: false },
    /** Only this table; may be repeated. */
    only: { type: "string", multiple: true },
    document: { type: "string" },
  },
});

const browser = await launch();
const quick = options.quick;
/** @type {Record<string, () => Promise<{ head: string[], rows: string[][] }>>} */
const tables = {
  overhead: () => overhead(browser, quick ? { rounds: 2, calls: 1000 } : { rounds: 15, calls: 10_000 }),
  memory: () => memory(browser, { rounds: quick ? 1 : 5 }),
  enforcement: () => enforcement(browser, { scale: quick ? 0.1 : 1 }),
  handover: () => handover(browser, { times: quick ? 2 : 20 }),
  sizes,
};
try {
  for (const [name, measure] of Object.entries(tables)) {
    if (options.only && !options.only.includes(name)) continue;
    const table = markdown(await measure());
    console.log(`${name}\n\n${table}\n`);
    if (options.document) await put(options.document, name, table);
  }
} finally {
  await browser.close();
}

/**
 * @param {string} document
 * @param {string} name
 * @param {string} table
 */
async function put(document, name, table) {
  const text = await readFile(document, "utf8");
  const marks = new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`);
  if (!marks.test(text)) throw new Error(`${document} has no marks for ${name}`);
  await writeFile(document, text.replace(marks, (_, begin, end) => `${begin}${table}\n${end}`));
}
