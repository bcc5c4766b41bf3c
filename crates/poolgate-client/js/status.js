// @ts-check
// <poolgate-status>: tells users how busy the service is. Plain JavaScript: it is needed most when things are slow.
//
// It asks the server itself (`src`), or shares a client (`.source`). It shows a level after it has lasted two seconds
// and lets it go after ten, so that it does not flicker, and tells screen readers at most every twenty seconds.

/** How long a worse state must last before it is shown, and a better one before it replaces a worse one. */
const WORSE_AFTER_MS = 2000;
const BETTER_AFTER_MS = 10_000;
const ANNOUNCE_SPACING_MS = 20_000;

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
  #seen = { state: "unknown", unreachable: false, queued: 0 };
  #shown = this.#seen;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;
  #settlesWorse = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #polling;
  #failures = 0;
  /** Counts connections, so that an answer that comes too late is known as such. */
  #round = 0;
  #base;
  #icon;
  #label;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    adopt(root);
    this.#base = part("span", "base");
    this.#icon = part("span", "icon");
    this.#icon.setAttribute("aria-hidden", "true");
    this.#label = part("span", "label");
    const slot = document.createElement("slot");
    slot.name = "actions";
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
    clearTimeout(this.#settling);
    this.#settling = undefined;
    for (const type of CLIENT_EVENTS) this.#source?.removeEventListener(type, this.#read);
    document.removeEventListener("visibilitychange", this.#look);
  }

  #read = () => {
    const state = this.#source?.state;
    if (state) this.#observe(fromClient(state));
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
    const { state } = this.#shown;
    const variant = this.getAttribute("variant");
    this.#base.dataset.variant = variant === "dot" || variant === "banner" ? variant : "badge";
    this.#base.dataset.state = state;
    // A banner interrupts, so only when something is wrong; the others stay away while all is well.
    const quiet = variant === "banner" ? ["normal", "moderate", "unknown"] : ["normal"];
    this.#base.hidden = quiet.includes(state) && !this.hasAttribute("always");
    this.#icon.textContent = ICONS[state];
    this.#label.textContent = this.#text();
    if (variant === "dot") this.#base.title = this.#text();
    else this.#base.removeAttribute("title");
  }

  #text() {
    const { state, unreachable, queued } = this.#shown;
    const text = String(this.#labels[unreachable ? "unreachable" : state]);
    return queued > 0 ? `${text} (${String(this.#labels.waiting).replace("{count}", String(queued))})` : text;
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
  return { state: stateOf(document?.throttling_level), unreachable: open, queued: 0 };
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
