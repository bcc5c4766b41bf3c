// What a server's `RateLimit` fields say, read as a library for structured fields reads them.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import { load } from "./support.mjs";

const { entries, tightest } = await load("requests/rate-limit.js");
const { parseList } = createRequire(join(process.env.POOLGATE_TOOLS ?? "", "package.json"))("structured-headers");

const quota = (/** @type {number} */ remaining, /** @type {number} */ reset) => ({ remaining, reset });

test("it says what is left and until when", () => {
  assert.deepEqual(tightest('"default";r=50;t=30', ""), quota(50, 30));
  assert.deepEqual(tightest('"per-client";r=0;t=3', ""), quota(0, 3));
  assert.equal(tightest('"a";pk=:c29tZQ==:;t=7;r=1;new=(a b)', ""), undefined, "a parameter is no list");
  assert.deepEqual(tightest('"a";pk=:c29tZQ==:;t=7;r=1;new=?0', ""), quota(1, 7));
});

test("the tightest of several counts", () => {
  assert.deepEqual(tightest('"hour";r=900;t=3000, "minute";r=3;t=20', ""), quota(3, 20));
  assert.deepEqual(tightest('"minute";r=0;t=20, "hour";r=0;t=3000, "day";r=5;t=9', ""), quota(0, 3000));
});

test("the policy has the window and the unit", () => {
  const policy = '"a";q=10;w=60, "b";q=1000;w=60;qu="content-bytes", "c";q=4;w=9;qu="requests", "a";w=1';
  assert.deepEqual(tightest('"a";r=2', policy), quota(2, 60), "the first of a name");
  assert.equal(tightest('"a";r=2', ""), undefined, "until when is not known");
  assert.equal(tightest('"b";r=0;t=5', policy), undefined, "bytes are not requests");
  assert.deepEqual(tightest('"b";r=0;t=5, "c";r=1', policy), quota(1, 9));
  assert.deepEqual(tightest('"a";r=2;t=5', "malformed;;"), quota(2, 5));
  assert.deepEqual(tightest('"\\"";r=2', '"\\"";w=7'), quota(2, 7), "a name may be any text");
});

test("what is malformed is ignored", () => {
  for (const malformed of [
    "",
    "limit=10, remaining=1, reset=4",
    "100",
    "default;r=1;t=1",
    '"a";r=-1;t=5',
    '"a";r=1.5;t=5',
    '"a";r="1";t=5',
    '"a";r;t=5',
    '"a";r=1;t=soon',
    '"a";t=5',
    '("a" "b");r=1;t=5',
    '"a";r=0;t=5,',
    '"a;r=0;t=5',
    '"a";r=0;t=99999999999999999',
    "ü",
  ]) {
    assert.equal(tightest(malformed, ""), undefined, malformed);
  }
});

test("large numbers are cut to what the module takes", () => {
  const most = 999_999_999_999_999;
  assert.deepEqual(tightest(`"a";r=${most};t=${most}`, ""), quota(0xffff_ffff, most));
});

test("dates and bytes say nothing, as long as they look like some", () => {
  for (const value of ["@-12", "@0", ":YQ==:", "::"]) assert.deepEqual(tightest(`"a";r=1;x=${value};t=2`, ""), quota(1, 2), value);
  for (const value of ["@", "@1.5", "@9999999999999999", ":YQ", ":é:"]) {
    assert.equal(tightest(`"a";r=1;x=${value};t=2`, ""), undefined, value);
  }
});

/** Good fields. No date, which the library reads at the end of a field only, and no bytes, which it decodes. */
const GOOD = [
  '"a\\"";r=50;t=30, "b";x=-1.25;z=tok/en:;q=?1;v, "c"',
  '  "minute";r=3;  t=20;pk="x",\t"hour";r=900;qu="requests"  ',
  '"d";w=-0;r=0;*k=*;t=1',
];
const INSERTED = ["", '"', "\\", ";", ",", "=", " ", "\t", "(", "?", "-", ".", "0", "A", "a", "*", "é"];

test("every field that differs from a good one by one character is read, or refused, as the library does", () => {
  let refused = 0;
  for (const good of GOOD) {
    assert.ok(entries(good), good);
    for (let at = 0; at <= good.length; at += 1) {
      for (const inserted of INSERTED) {
        for (const skipped of [0, 1]) {
          const field = good.slice(0, at) + inserted + good.slice(at + skipped);
          const theirs = read(field);
          assert.deepEqual(ours(field), theirs, JSON.stringify(field));
          refused += theirs ? 0 : 1;
        }
      }
    }
  }
  assert.ok(refused > 1000, `${refused}`);
});

/** Names and counts as this package reads them. @param {string} field */
const ours = (field) =>
  entries(field)?.map(([name, { r, t, w, qu }]) => [unquoted(name), r, t, w, qu && unquoted(qu)]);

const unquoted = (/** @type {string} */ text) => text.slice(1, -1).replace(/\\(.)/g, "$1");

/** The same by the library; `undefined` where it, or the draft, refuses the field. @param {string} field */
function read(field) {
  let list;
  try {
    list = parseList(field);
  } catch {
    return undefined;
  }
  // For the library they are numbers like whole ones.
  if (/; *[rtw]=-?\d+\.\d/.test(field)) return undefined;
  const isCount = (/** @type {unknown} */ value) => value === undefined || (Number.isInteger(value) && Number(value) >= 0);
  const members = list.map(([item, parameters]) => {
    const [r, t, w, qu] = ["r", "t", "w", "qu"].map((name) => parameters.get(name));
    const isEntry = typeof item === "string" && [r, t, w].every(isCount) && (qu === undefined || typeof qu === "string");
    return isEntry ? [item, ...[r, t, w].map((count) => (count === undefined ? count : Math.abs(count))), qu] : undefined;
  });
  return members.every(Boolean) ? members : undefined;
}
