// @ts-check
// What is left of a server's quotas: `RateLimit` and `RateLimit-Policy` (IETF httpapi drafts 8 to 10, RFC 9651 lists), and what
// servers said before: one field with `remaining` and `reset` (draft 7), or fields of their own (drafts 0 to 6, `X-RateLimit`).

// The members of a list of strings with their parameters, as RFC 9651 has them.
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
/** As a string is written: there is but one way. */
const REQUESTS = '"requests"';
const NAME = new RegExp(STRING, "y");
const COMMA = /[ \t]*,[ \t]*(?!$)/y;

/**
 * @typedef {object} Quota
 * @property {number} remaining requests
 * @property {number} reset seconds
 */

/**
 * The tightest of the quotas in requests: one that is used up for the longest, or the one with the least left. `undefined`:
 * the field is malformed, or says nothing that can be obeyed.
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
    // Without a reset the window is the longest that it can take.
    const reset = t ?? w;
    if (qu !== REQUESTS || remaining === undefined || reset === undefined) continue;
    const difference = tightest ? remaining - tightest.remaining || tightest.reset - reset : -1;
    if (difference < 0) tightest = { remaining: Math.min(remaining, 0xffff_ffff), reset };
  }
  return tightest;
}

/**
 * The quota in the older forms. A reset is a number of seconds from now, or a time of day in seconds or milliseconds.
 * @param {(name: string) => string} field
 * @param {number} now of whoever says it, in Unix milliseconds
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
 * The members of a list of strings, and of their parameters those that matter; `undefined` where it is malformed, as RFC
 * 9651 has it or by the type of a parameter.
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
