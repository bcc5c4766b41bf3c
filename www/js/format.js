// Figures as text. Each keeps its width if possible, so that changing values move nothing.

/** Shown for an unknown value. */
export const UNKNOWN = "–";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const clockFormat = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** @param {number | null | undefined} value */
export function count(value) {
  return isKnown(value) ? whole.format(value) : UNKNOWN;
}

/**
 * A rate per second: one decimal below 100, none above.
 * @param {number | null | undefined} value
 */
export function rate(value) {
  if (!isKnown(value)) return UNKNOWN;
  return value < 99.95 ? value.toFixed(1) : whole.format(value);
}

/**
 * A rate per second or per minute, whichever gives a readable figure.
 * @param {number} perSecond
 * @param {string} second what follows a rate per second
 * @param {string} minute what follows a rate per minute
 */
export function perTime(perSecond, second, minute) {
  if (perSecond >= 0.95) return rate(perSecond) + second;
  const perMinute = perSecond * 60;
  return (perMinute >= 10 ? perMinute.toFixed(0) : perMinute.toFixed(1)) + minute;
}

/**
 * Milliseconds in the most readable unit.
 * @param {number | null | undefined} value
 */
export function milliseconds(value) {
  if (!isKnown(value)) return UNKNOWN;
  if (value >= 9_950) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 9.95 || value === 0) return `${value.toFixed(0)} ms`;
  return `${value.toFixed(1)} ms`;
}

/**
 * A share from 0 to 1 in percent. Only all shows as 100%, and only nothing as 0%.
 * @param {number | null | undefined} value
 */
export function share(value) {
  if (!isKnown(value)) return UNKNOWN;
  const percent = value * 100;
  if (percent >= 99.95 && value < 1) return "99.9%";
  if (percent > 0 && percent < 0.1) return "0.1%";
  return `${percent >= 99.95 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)}%`;
}

/**
 * Bytes in the most readable unit.
 * @param {number} value
 */
export function bytes(value) {
  if (value < 1024) return `${value} bytes`;
  return value < 1_048_576 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1_048_576).toFixed(1)} MiB`;
}

/**
 * A duration in short words.
 * @param {number} seconds
 */
export function duration(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  if (left < 60) return `${left} s`;
  if (left < 3_600) return `${Math.floor(left / 60)} min ${left % 60} s`;
  return `${Math.floor(left / 3_600)} h ${Math.floor((left % 3_600) / 60)} min`;
}

/**
 * A long duration, without seconds after the first minute.
 * @param {number} seconds
 */
export function minutes(seconds) {
  if (seconds < 60) return duration(seconds);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/**
 * The time of day in the viewer's time zone.
 * @param {number | string} time Unix milliseconds, or RFC 3339
 */
export function clock(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? UNKNOWN : clockFormat.format(date);
}

/**
 * `1 request`, `2 requests`.
 * @param {number} n
 * @param {string} noun
 */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/**
 * @param {number | null | undefined} value
 * @returns {value is number}
 */
function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}
