// @ts-check
// Reads the remaining quota: `RateLimit` and `RateLimit-Policy` (IETF httpapi drafts 8 to 10, RFC 9651 lists), and the older
// forms: one field with `remaining` and `reset` (draft 7), or one field for each (drafts 0 to 6, `X-RateLimit`).

// The grammar of a list of strings with parameters (RFC 9651).
const STRING = String.raw`"(?:[ !#-\[\]-~]|\\["\\])*"`;
const BARE = [
  STRING,
  String.raw`-?(?:\d{1,12}\.\d{1,3}|\d{1,15})(?![\d.])`,
  String.raw`\?[01]`,
  String.raw`:[A-Za-z0-9+/=]*:`,
  String.raw`@-?\d{1,15}(?![\d.])`,
  String.raw`[A-Za-z*][!#$%&'*+\-.^_${"`"}|~:/\w]*`,
].join("|");
const PARAMETER = new RegExp(String.raw`; *([a-z*][a-z\d_\-.*]*)(?:=(${BARE}))?`, "y");
/** The serialized string; RFC 9651 allows no other form. */
const REQUESTS = '"requests"';
const NAME = new RegExp(STRING, "y");
const COMMA = /[ \t]*,[ \t]*(?!$)/y;

/**
 * @typedef {object} Quota
 * @property {number} remaining requests
 * @property {number} reset seconds
 */

/**
 * The tightest quota that counts requests: the one with the fewest left; of several that are used up, the one with the latest
 * reset. `undefined`: the field is malformed or has no such quota.
 * @param {string} limit
 * @param {string} policy
 * @returns {Quota | undefined}
 */
export function tightest(limit, policy) {
  const policies = new Map(entries(policy)?.reverse());
  /** @type {Quota | undefined} */
  let tightest;
  for (const [name, { r: remaining, t }] of entries(limit) ?? []) {
    const { w, qu = REQUESTS } = policies.get(name) ?? {};
    // Without a reset: it comes at the end of the window at the latest.
    const reset = t ?? w;
    if (qu !== REQUESTS || remaining === undefined || reset === undefined) continue;
    const difference = tightest ? remaining - tightest.remaining || tightest.reset - reset : -1;
    if (difference < 0) tightest = { remaining: Math.min(remaining, 0xffff_ffff), reset };
  }
  return tightest;
}

/**
 * The quota in the older forms. A reset is a number of seconds from now, or a Unix time in seconds or milliseconds.
 * @param {(name: string) => string} field
 * @param {number} now the sender's time in Unix milliseconds
 * @returns {Quota | undefined}
 */
export function olderQuota(field, now) {
  const pairs = field("ratelimit").matchAll(/([a-z]+)\s*=\s*(\d+)/gi);
  const together = new Map(Array.from(pairs, ([, name, number]) => [name.toLowerCase(), number]));
  for (const prefix of ["", "ratelimit-", "x-ratelimit-"]) {
    const [remaining, reset] = ["remaining", "reset"].map((name) => {
      const text = prefix ? field(prefix + name) : together.get(name);
      return text ? Number(text) : NaN;
    });
    if (!(remaining >= 0 && reset >= 0)) continue;
    const seconds = reset > 1e11 ? (reset - now) / 1000 : reset > 1e9 ? reset - now / 1000 : reset;
    return { remaining: Math.min(Math.floor(remaining), 0xffff_ffff), reset: Math.max(Math.ceil(seconds), 0) };
  }
  return undefined;
}

/**
 * The members of a list of strings with the parameters that matter; `undefined` if the list is malformed by RFC 9651, or a
 * parameter has a wrong type.
 * @param {string} field
 * @returns {[string, { r?: number, t?: number, w?: number, qu?: string }][] | undefined}
 */
export function entries(field) {
  const text = field.replace(/^ +/, "").replace(/[ \t]+$/, "");
  /** @type {[string, any][]} */
  const members = [];
  let at = 0;
  const next = (/** @type {RegExp} */ pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    at += match?.[0].length ?? 0;
    return match;
  };
  while (at < text.length) {
    const name = next(NAME);
    if (!name) return undefined;
    /** @type {Record<string, unknown>} */
    const parameters = {};
    for (let match; (match = next(PARAMETER)); ) {
      const [, key, value] = match;
      if (key === "qu" ? value?.[0] !== '"' : /^[rtw]$/.test(key) && !/^(-0+|\d+)$/.test(value)) return undefined;
      parameters[key] = key === "qu" ? value : Math.abs(Number(value));
    }
    members.push([name[0], parameters]);
    if (at < text.length && !next(COMMA)) return undefined;
  }
  return members;
}
