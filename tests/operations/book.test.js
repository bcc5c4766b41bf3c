// The manual: mdBook builds it without a warning, its links lead somewhere, and the commands of its chapters work.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { plainEnvironment, root } from "../packaging/process.js";

/** @typedef {import("node:test").TestContext} Context */

const mdbook = process.env.TEST_MDBOOK ?? "mdbook";
const binary = process.env.TEST_POOLGATE_BIN ?? "";
const docs = join(root, "docs");
/** Documents that stand beside the book. */
const BESIDE = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"];
/** For the commands of one chapter. */
const PATIENCE_MS = 180_000;
/** A chapter whose commands are run has this line in its first block. */
const RUNNABLE = 'export PORT="${PORT:-8000}"';

/** The book's pages, by their path in docs/. */
const pages = filesBelow(docs, ".md").filter((page) => page !== "SUMMARY.md");
const chapters = pages.filter((page) => read(page).includes(RUNNABLE));

describe("the book", () => {
  const book = mkdtempSync(join(tmpdir(), "poolgate-book-"));
  after(() => rmSync(book, { recursive: true, force: true }));
  /** @type {string} */
  let said;
  before(async () => {
    const { stdout, stderr } = await promisify(execFile)(mdbook, ["build", docs, "--dest-dir", book], { timeout: 60_000 });
    said = stdout + stderr;
  });

  test("mdBook builds it without a warning", () => {
    assert.match(said, /HTML book written to/);
    assert.doesNotMatch(said, /\b(WARN|ERROR)\b/);
  });

  test("every page has its place in it, once", () => {
    const listed = linksOfMarkdown(readFileSync(join(docs, "SUMMARY.md"), "utf8"));
    assert.deepEqual(listed.toSorted(), pages.toSorted());
  });

  test("its links lead to pages, headings and files", (t) => {
    const elsewhere = new Set();
    /** @type {string[]} */
    const broken = [];
    for (const page of filesBelow(book, ".html")) {
      const html = readFileSync(join(book, page), "utf8");
      const base = /<base href="\/">/.test(html) ? book : join(book, dirname(page));
      for (const link of linksOfHtml(html)) {
        if (isElsewhere(link)) elsewhere.add(link);
        else if (!leads(link, join(book, page), base)) broken.push(`${page}: ${link}`);
      }
    }
    assert.deepEqual(broken, []);
    t.diagnostic(`not followed: ${[...elsewhere].toSorted().join(" ")}`);

    /**
     * Whether a link of a page leads somewhere. Files of the repository that are no pages of the book are linked by their place
     * beside docs/, and mdBook has given Markdown the ending .html.
     * @param {string} link
     * @param {string} page
     * @param {string} base
     */
    function leads(link, page, base) {
      const [path, anchor] = split(link);
      const target = path === "" ? page : resolve(base, path);
      const inBook = relative(book, target);
      if (inBook.startsWith("..")) {
        const file = join(docs, inBook);
        const source = existsSync(file) ? file : file.replace(/\.html$/, ".md");
        return existsSync(source) && hasHeading(source, anchor);
      }
      const file = existsSync(target) && statSync(target).isDirectory() ? join(target, "index.html") : target;
      if (!existsSync(file)) return false;
      if (anchor === "" || !file.endsWith(".html")) return true;
      return readFileSync(file, "utf8").includes(` id="${anchor}"`);
    }
  });
});

test("the links of the documents lead to files and headings, as GitHub shows them", (t) => {
  const elsewhere = new Set();
  /** @type {string[]} */
  const broken = [];
  for (const document of [...BESIDE, "docs/SUMMARY.md", ...pages.map((page) => join("docs", page))]) {
    const file = join(root, document);
    for (const link of linksOfMarkdown(readFileSync(file, "utf8"))) {
      const [path, anchor] = split(link);
      const target = path === "" ? file : resolve(dirname(file), path);
      if (isElsewhere(link)) elsewhere.add(link);
      else if (!existsSync(target) || !hasHeading(target, anchor)) broken.push(`${document}: ${link}`);
    }
  }
  assert.deepEqual(broken, []);
  t.diagnostic(`not followed: ${[...elsewhere].toSorted().join(" ")}`);
});

test("the example that a chapter shows is a part of the real one", () => {
  const example = readFileSync(join(root, "crates/poolgate-server/examples/your_app.rs"), "utf8");
  const shown = blocksOf(read("adopt.md")).filter(({ language }) => language === "rust");
  assert.equal(shown.length, 1);
  for (const { text } of shown) assert.ok(example.includes(text), text);
});

describe("the commands of its chapters", () => {
  test("are found", () => assert.ok(chapters.length >= 7, chapters.join(" ")));
  for (const chapter of chapters) test(`of ${chapter} work`, (t) => follow(t, chapter));
});

/**
 * Runs the `sh` blocks of a chapter in one shell, in a folder of their own and with free ports, and compares what each has
 * printed with the `text` block below it.
 * @param {Context} t
 * @param {string} chapter
 */
async function follow(t, chapter) {
  const blocks = blocksOf(read(chapter));
  const commands = blocks.filter(({ language }) => language === "sh");
  assert.ok(commands[0]?.text.startsWith(RUNNABLE), "the first block names the ports");
  const folder = mkdtempSync(join(tmpdir(), "poolgate-chapter-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const mark = "==== next block ====";
  const script = ["set -euo pipefail", ...commands.map(({ text }) => `${text}printf '\\n${mark}\\n'`)].join("\n");
  const [port, admin, app] = await freePorts(3);
  const env = {
    ...plainEnvironment(),
    PATH: [dirname(binary), process.env.PATH].join(delimiter),
    PORT: port,
    ADMIN_PORT: admin,
    APP_PORT: app,
  };
  const { ended, printed, log } = await runGroup(script, folder, env);
  const report = `${ended}\n${printed}\n${log}`;
  assert.equal(ended, "exit 0", report);
  const outputs = printed.split(`\n${mark}\n`);
  assert.equal(outputs.length, commands.length + 1, report);
  commands.forEach((command, number) => {
    const next = blocks[blocks.indexOf(command) + 1];
    if (next?.language !== "text" || !next.isAdjacent) return;
    assertPrinted(outputs[number] ?? "", next.text, report);
  });
}

/**
 * Fails unless each expected line was printed, in this order; `…` stands for anything.
 * @param {string} printed
 * @param {string} expected
 * @param {string} report
 */
function assertPrinted(printed, expected, report) {
  let rest = printed;
  for (const line of expected.trimEnd().split("\n")) {
    const pattern = line.split("…").map(escaped).join(".*");
    const found = new RegExp(pattern).exec(rest);
    assert.ok(found, `not printed: ${line}\n${report}`);
    rest = rest.slice(found.index + found[0].length);
  }
}

/**
 * Runs a script of bash. What it has started ends with it, or when the time is up.
 * @param {string} script
 * @param {string} cwd
 * @param {Record<string, string | undefined>} env
 */
async function runGroup(script, cwd, env) {
  const child = spawn("bash", ["-c", script], { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const endGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // None is left.
    }
  };
  let printed = "";
  let log = "";
  child.stdout.on("data", (chunk) => (printed += chunk));
  child.stderr.on("data", (chunk) => (log += chunk));
  const closed = new Promise((resolve) => child.on("close", resolve));
  const late = setTimeout(endGroup, PATIENCE_MS);
  /** @type {string} */
  const ended = await new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(code === null ? `ended by ${signal}` : `exit ${code}`));
  });
  clearTimeout(late);
  endGroup();
  await closed;
  return { ended, printed, log };
}

/**
 * Ports that are free now, all different.
 * @param {number} count
 * @returns {Promise<string[]>}
 */
async function freePorts(count) {
  const held = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
      return server;
    }),
  );
  const ports = held.map((server) => String(/** @type {import("node:net").AddressInfo} */ (server.address()).port));
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/**
 * The fenced blocks of a page; `isAdjacent`: nothing stands between it and the block before.
 * @param {string} page
 */
function blocksOf(page) {
  let end = 0;
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((found) => {
    const isAdjacent = end > 0 && page.slice(end, found.index).trim() === "";
    end = found.index + found[0].length;
    return { language: found[1] ?? "", text: found[2] ?? "", isAdjacent };
  });
}

/**
 * The links of a document outside of code.
 * @param {string} markdown
 * @returns {string[]}
 */
function linksOfMarkdown(markdown) {
  const text = markdown.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "code");
  return [...text.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link ?? "");
}

/**
 * @param {string} html
 * @returns {string[]}
 */
function linksOfHtml(html) {
  const found = html.matchAll(/<(?:a|img|link|script)\b[^>]*?\s(?:href|src)="([^"]*)"/g);
  return [...found].map(([, link]) => (link ?? "").replaceAll("&amp;", "&"));
}

/** @param {string} link */
function isElsewhere(link) {
  return /^(?:[a-z]+:|\/\/)/.test(link);
}

/**
 * Path and anchor.
 * @param {string} link
 * @returns {[string, string]}
 */
function split(link) {
  const [path = "", anchor = ""] = link.split("#");
  return [decodeURIComponent(path), decodeURIComponent(anchor)];
}

/**
 * Whether a file has a heading with this anchor, as GitHub makes it of the heading's text.
 * @param {string} file
 * @param {string} anchor
 */
function hasHeading(file, anchor) {
  if (anchor === "") return true;
  if (!file.endsWith(".md")) return false;
  const text = readFileSync(file, "utf8").replace(/^```[\s\S]*?^```$/gm, "");
  const seen = new Map();
  const anchors = [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => {
    const words = (heading ?? "").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").trim().toLowerCase();
    const name = words.replace(/[^\p{L}\p{M}\p{N}_ -]/gu, "").replaceAll(" ", "-");
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return before === 0 ? name : `${name}-${before}`;
  });
  return anchors.includes(anchor);
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** @param {string} page */
function read(page) {
  return readFileSync(join(docs, page), "utf8");
}

/**
 * Paths, relative to the folder, of its files with this ending.
 * @param {string} folder
 * @param {string} ending
 */
function filesBelow(folder, ending) {
  const all = /** @type {string[]} */ (readdirSync(folder, { recursive: true }));
  return all.filter((name) => name.endsWith(ending)).sort();
}
