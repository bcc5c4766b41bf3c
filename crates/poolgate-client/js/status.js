// @ts-check
// <poolgate-status>: tells users how busy the service is. Plain JavaScript: it is needed most when things are slow.
//
// It asks the server itself (`src`), or shares a client (`.source`), and then also knows what of this user waits. It shows a
// level after it has lasted two seconds and lets it go after ten, so that it does not flicker, and tells screen readers at
// most every twenty seconds.

/** How long a worse state must last before it is shown, and a better one before it replaces a worse one. */
const WORSE_AFTER_MS = 2000;
const BETTER_AFTER_MS = 10_000;
const ANNOUNCE_SPACING_MS = 20_000;
/** How long a request must wait before a banner speaks of it. */
const NOTICED_MS = 1000;
/** How often the wait is told anew, and how often it may grow: whoever waits must not see it run away. */
const WAIT_REFRESH_MS = 1000;
const WAIT_GROWTH_MS = 5000;
/** Seconds that a wait is rounded up to. */
const STEPS = [1, 2, 3, 5, 10, 15, 20, 30, 45, 60];

const POLL_SECONDS = { default: 30, min: 5, max: 600 };
const TIMEOUT_MS = 10_000;
const DEFAULT_SOURCE = "/api/v1/health/database/throttling-config";
const CLIENT_EVENTS = ["config", "levelchange", "breakerchange", "queuechange", "syncchange"];

/** From good to bad; `unknown` beside them. */
const ORDER = ["normal", "moderate", "aggressive", "emergency"];
const ICONS = { normal: "\u25cf", moderate: "\u25d0", aggressive: "\u25b2", emergency: "\u25a0", unknown: "\u25cb" };
const LABELS = {
  normal: "Everything is working",
  moderate: "Slightly slower than usual",
  aggressive: "We are busy; requests take their turn",
  emergency: "We are very busy; requests are held back for a moment",
  unreachable: "Something is not responding; requests go on as soon as it is back",
  unknown: "Status unknown",
  waiting: "{count} waiting",
  wait: "about {range} s",
  long: "more than a minute",
  retry: "Try now",
  recovered: "Back to normal",
};

const STYLE = `
  :host { display: inline-block; contain: content; font: 0.875rem/1.4 var(--poolgate-font, system-ui, sans-serif); }
  :host([hidden]), .base[hidden] { display: none; }
  :host([variant="banner"]) { display: block; }
  .base {
    --color: var(--poolgate-color-unknown, light-dark(#57606a, #9ea7b3));
    display: inline-flex; align-items: center; gap: 0.5em; color: var(--color);
  }
  .base[data-state="normal"] { --color: var(--poolgate-color-normal, light-dark(#0072b2, #56b4e9)); }
  .base[data-state="moderate"] { --color: var(--poolgate-color-moderate, light-dark(#8a6100, #e69f00)); }
  .base[data-state="aggressive"] { --color: var(--poolgate-color-aggressive, light-dark(#b84f00, #f0803c)); }
  .base[data-state="emergency"] { --color: var(--poolgate-color-emergency, light-dark(#8b1a4f, #ff9ac8)); }
  .icon { inline-size: 1em; text-align: center; }
  .base[data-variant="badge"] {
    padding: 0.125em 0.75em; border: 1px solid currentColor; border-radius: var(--poolgate-radius, 1em);
    background: var(--poolgate-bg, Canvas);
  }
  .base[data-variant="dot"] .label {
    position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
  }
  .base[data-variant="banner"] {
    display: flex; padding: 0.75em 1em; border-inline-start: 0.375em solid currentColor;
    background: var(--poolgate-bg, Canvas); border-radius: var(--poolgate-radius, 0);
  }
  .base[data-variant="banner"][hidden] { display: none; }
  .base[data-variant="banner"] .label { color: var(--poolgate-text, CanvasText); }
  button {
    font: inherit; color: inherit; min-block-size: 1.75rem; padding: 0 0.75em; margin-inline-start: auto; cursor: pointer;
    background: transparent; border: 1px solid currentColor; border-radius: 0.25em;
  }
  button[hidden] { display: none; }
  button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
  @media (forced-colors: active) { .base { color: CanvasText; } }
`;

// Where there is no page (server-side rendering), importing must not fail.
const Base = globalThis.HTMLElement ?? /** @type {typeof HTMLElement} */ (class {});

export class PoolgateStatus extends Base {
  static observedAttributes = ["src", "variant", "poll", "always"];

  /** @type {import("./status.js").StatusSource | null} */
  #source = null;
  #labels = LABELS;
  /** What was learned, and what is on the screen. @type {import("./status.js").Observation} */
  #seen = { state: "unknown", unreachable: false, queued: 0, oldestWaitMs: 0, eta: null };
  #shown = this.#seen;
  /** Seconds as they are shown, and since when they have not grown. */
  #wait = { latest: 0, at: -WAIT_GROWTH_MS };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;
  #settlesWorse = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #polling;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #refreshing;
  #failures = 0;
  /** Counts connections, so that an answer that comes too late is known as such. */
  #round = 0;
  #base;
  #icon;
  #label;
  #retry;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    adopt(root);
    this.#base = part("span", "base");
    this.#icon = part("span", "icon");
    this.#icon.setAttribute("aria-hidden", "true");
    this.#label = part("span", "label");
    this.#retry = /** @type {HTMLButtonElement} */ (part("button", "retry"));
    this.#retry.type = "button";
    this.#retry.addEventListener("click", () => this.#source?.refresh?.().catch(() => {}));
    const slot = document.createElement("slot");
    slot.name = "actions";
    slot.append(this.#retry);
    this.#base.append(this.#icon, this.#label, slot);
    root.append(this.#base);
    this.#render();
  }

  connectedCallback() {
    // Set before the element was defined.
    for (const name of /** @type {const} */ (["source", "labels"])) {
      if (Object.hasOwn(this, name)) {
        const value = this[name];
        delete (/** @type {any} */ (this)[name]);
        /** @type {any} */ (this)[name] = value;
      }
    }
    announcer();
    this.#restart();
  }

  disconnectedCallback() {
    this.#stop();
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (this.isConnected && (name === "src" || name === "poll")) this.#restart();
    this.#render();
  }

  /** The client that this element shares; it then asks nothing itself. */
  get source() {
    return this.#source;
  }

  set source(source) {
    this.#stop();
    // Whatever is given, a page must not break because of its status line.
    this.#source = typeof source?.addEventListener === "function" ? source : null;
    if (this.isConnected) this.#restart();
  }

  /** Texts by state, merged into the English ones. */
  get labels() {
    return this.#labels;
  }

  set labels(labels) {
    this.#labels = { ...LABELS, ...labels };
    this.#render();
  }

  #restart() {
    this.#stop();
    if (this.#source) {
      for (const type of CLIENT_EVENTS) this.#source.addEventListener(type, this.#read);
      this.#read();
    } else {
      document.addEventListener("visibilitychange", this.#look);
      this.#poll();
    }
  }

  #stop() {
    this.#round += 1;
    this.#failures = 0;
    clearTimeout(this.#polling);
    clearTimeout(this.#refreshing);
    clearTimeout(this.#settling);
    this.#settling = undefined;
    for (const type of CLIENT_EVENTS) this.#source?.removeEventListener(type, this.#read);
    document.removeEventListener("visibilitychange", this.#look);
  }

  #read = () => {
    clearTimeout(this.#refreshing);
    const state = this.#source?.state;
    if (!state) return;
    this.#observe(fromClient(state));
    // A wait gets shorter without an event.
    if (state.queued > 0) this.#refreshing = setTimeout(this.#read, WAIT_REFRESH_MS);
  };

  #look = () => {
    if (document.visibilityState !== "hidden") {
      clearTimeout(this.#polling);
      this.#poll();
    }
  };

  async #poll() {
    const round = ++this.#round;
    const observation = await ask(this.getAttribute("src") || DEFAULT_SOURCE);
    if (round !== this.#round) return;
    this.#failures = observation.state === "unknown" ? this.#failures + 1 : 0;
    this.#observe(observation);
    if (document.visibilityState === "hidden") return;
    const seconds = Math.min(this.#interval() * 2 ** Math.min(this.#failures, 6), POLL_SECONDS.max);
    // 20 % to either side, so that pages opened together do not ask together.
    this.#polling = setTimeout(() => this.#poll(), seconds * 1000 * (0.8 + 0.4 * Math.random()));
  }

  #interval() {
    const given = Number(this.getAttribute("poll"));
    return given > 0 ? Math.min(Math.max(given, POLL_SECONDS.min), POLL_SECONDS.max) : POLL_SECONDS.default;
  }

  /** @param {import("./status.js").Observation} seen */
  #observe(seen) {
    this.#seen = seen;
    const same = seen.state === this.#shown.state && seen.unreachable === this.#shown.unreachable;
    if (same || this.#shown.state === "unknown") {
      this.#settle();
      return;
    }
    const worse = ORDER.indexOf(seen.state) >= ORDER.indexOf(this.#shown.state);
    if (this.#settling === undefined || this.#settlesWorse !== worse) {
      clearTimeout(this.#settling);
      this.#settlesWorse = worse;
      this.#settling = setTimeout(() => this.#settle(), worse ? WORSE_AFTER_MS : BETTER_AFTER_MS);
    }
  }

  /** Shows what was seen last. */
  #settle() {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    const from = this.#shown.state;
    this.#shown = this.#seen;
    this.#render();
    const to = this.#shown.state;
    if (from === to) return;
    this.dispatchEvent(
      new CustomEvent("poolgate-levelchange", { bubbles: true, composed: true, detail: { from, to } }),
    );
    if (this.getAttribute("announce") === "off") return;
    if (ORDER.indexOf(to) >= 2) announce(this.#text());
    else if (to === "normal" && ORDER.indexOf(from) >= 2) announce(this.#labels.recovered);
  }

  #render() {
    const { state, unreachable } = this.#shown;
    const variant = this.getAttribute("variant");
    const text = this.#text();
    this.#base.dataset.variant = variant === "dot" || variant === "banner" ? variant : "badge";
    this.#base.dataset.state = state;
    this.#base.hidden = this.#isQuiet() && !this.hasAttribute("always");
    this.#icon.textContent = ICONS[state];
    this.#label.textContent = text;
    this.#retry.textContent = String(this.#labels.retry);
    this.#retry.hidden = variant !== "banner" || !(unreachable || state === "emergency") || !this.#source?.refresh;
    if (variant === "dot") this.#base.title = text;
    else this.#base.removeAttribute("title");
  }

  /** Nothing to tell: the others stay away while all is well, and a banner, which interrupts, unless it concerns this user. */
  #isQuiet() {
    const { state, queued, oldestWaitMs } = this.#shown;
    if (this.getAttribute("variant") !== "banner") return state === "normal";
    if (state === "aggressive" && this.#source) return queued === 0 || oldestWaitMs < NOTICED_MS;
    return !["aggressive", "emergency"].includes(state);
  }

  #text() {
    const { state, unreachable, queued, eta } = this.#shown;
    const text = String(this.#labels[unreachable ? "unreachable" : state]);
    if (queued === 0) {
      this.#wait = { latest: 0, at: -WAIT_GROWTH_MS };
      return text;
    }
    const waiting = String(this.#labels.waiting).replace("{count}", String(queued));
    return `${text} (${[waiting, ...this.#range(eta)].join(", ")})`;
  }

  /**
   * How long, as a range that is rounded up; nothing where nobody knows.
   * @param {import("./status.js").Observation["eta"]} eta
   */
  #range(eta) {
    if (!eta) return [];
    const now = performance.now();
    const up = (/** @type {number} */ ms) => STEPS.find((step) => step * 1000 >= ms) ?? Infinity;
    let [earliest, latest] = [up(eta.earliest), up(eta.latest)];
    if (latest > this.#wait.latest && now - this.#wait.at < WAIT_GROWTH_MS) latest = this.#wait.latest;
    else if (latest > this.#wait.latest) this.#wait.at = now;
    this.#wait.latest = latest;
    earliest = Math.min(earliest, latest);
    if (latest === Infinity) return [String(this.#labels.long)];
    const range = earliest < latest ? `${earliest}\u2013${latest}` : `${latest}`;
    return [String(this.#labels.wait).replace("{range}", range)];
  }
}

/** Makes the element known, unless another copy has. */
export function define(name = "poolgate-status") {
  if (globalThis.customElements && !customElements.get(name)) {
    customElements.define(name, PoolgateStatus);
  }
}

define();

/**
 * @param {string} url of the config or the status document
 * @returns {Promise<import("./status.js").Observation>}
 */
async function ask(url) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
  try {
    const answer = await fetch(url, { cache: "no-cache", signal: controller.signal });
    // A database that does not answer is a 503 with the document's members.
    if (!answer.ok && answer.status !== 503) return fromDocument(null);
    return fromDocument(await answer.json());
  } catch {
    return fromDocument(null);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {any} document the config or the status document
 * @returns {import("./status.js").Observation}
 */
function fromDocument(document) {
  const open = document?.circuit_breaker_open === true || document?.circuit_breaker === "open";
  return { state: stateOf(document?.throttling_level), unreachable: open, queued: 0, oldestWaitMs: 0, eta: null };
}

/**
 * @param {import("./status.js").StatusSource["state"]} state
 * @returns {import("./status.js").Observation}
 */
function fromClient(state) {
  const known = state.transport !== "none" && !state.stale;
  return {
    state: known ? stateOf(state.level) : "unknown",
    unreachable: known && state.breaker === "open",
    queued: state.queued,
    oldestWaitMs: state.oldestWaitMs ?? Infinity,
    eta: state.etaMs ?? null,
  };
}

/**
 * @param {unknown} level
 * @returns {import("./status.js").Observation["state"]}
 */
function stateOf(level) {
  const state = String(level).toLowerCase();
  if (ORDER.includes(state)) return /** @type {any} */ (state);
  // From a newer server: a level that is not known counts as the worst, no level at all as unknown.
  return typeof level === "string" ? "emergency" : "unknown";
}

/**
 * @param {string} tag
 * @param {string} name
 */
function part(tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  element.setAttribute("part", name);
  return element;
}

/** @type {CSSStyleSheet | undefined} */
let sheet;

/**
 * A constructed sheet passes a content security policy that forbids inline styles.
 * @param {ShadowRoot} root
 */
function adopt(root) {
  try {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
    }
    root.adoptedStyleSheets = [sheet];
  } catch {
    // An old browser shows it plain.
  }
}

let lastAnnounced = -ANNOUNCE_SPACING_MS;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let announcing;

/**
 * Tells screen readers; what comes too soon after another message is told later, unless something newer comes first.
 * @param {string} text
 */
function announce(text) {
  clearTimeout(announcing);
  const wait = lastAnnounced + ANNOUNCE_SPACING_MS - performance.now();
  // A region that has just been added needs a moment before it is listened to.
  announcing = setTimeout(() => {
    lastAnnounced = performance.now();
    announcer().textContent = text;
  }, Math.max(wait, 100));
}

/**
 * The live region all elements share, outside of shadow roots, where screen readers find it, and in the page before
 * the first message.
 */
function announcer() {
  const existing = document.querySelector("[data-poolgate-announcer]");
  if (existing) return existing;
  const region = document.createElement("div");
  region.setAttribute("data-poolgate-announcer", "");
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  region.setAttribute("aria-atomic", "true");
  Object.assign(region.style, {
    position: "absolute",
    inlineSize: "1px",
    blockSize: "1px",
    overflow: "hidden",
    clipPath: "inset(50%)",
    whiteSpace: "nowrap",
  });
  (document.body ?? document.documentElement).append(region);
  return region;
}
