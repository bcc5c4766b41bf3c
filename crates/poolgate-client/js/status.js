// @ts-check
// <poolgate-status>: tells users how busy the service is. It needs no WebAssembly, because it matters most when all is slow.
//
// It asks the server itself (`src`), or shares a client (`.source`) and then also shows how many of the user's requests wait.
// While all is not well it says how old its news is, so that users see that it works.
// It shows a worse state after two seconds and a better one after ten, so that it does not flicker.

import { THROTTLING_CONFIG } from "./contract.js";
import { announce, announcer } from "./status/announcer.js";
import { ORDER, ask, fromClient } from "./status/observation.js";
import { adopt } from "./status/style.js";

/** How long a worse state must last before it is shown, and a better one before it replaces a worse one. */
const WORSE_AFTER_MS = 2000;
const BETTER_AFTER_MS = 10_000;
/** For how long the button says that it checks, at least. */
const CHECK_MS = 1000;
/** How long a request must wait before it is mentioned. */
const NOTICED_MS = 1000;
/** How often the shown wait and age are refreshed. */
const REFRESH_MS = 1000;
/** How often the shown wait may grow: a user must not see it grow all the time. */
const WAIT_GROWTH_MS = 5000;
/** A shown wait is rounded up to one of these numbers of seconds, and an age down. */
const STEPS = [2, 3, 5, 10, 15, 20, 30, 45, 60];

/** News of the last seconds is up to date. */
const CURRENT_SECONDS = 5;

const POLL_SECONDS = { default: 30, min: 5, max: 600 };
const CLIENT_EVENTS = ["config", "levelchange", "breakerchange", "queuechange", "syncchange"];

const ICONS = { normal: "\u25cf", moderate: "\u25d0", aggressive: "\u25b2", emergency: "\u25a0", unknown: "\u25cb" };
const LABELS = {
  normal: "No delays",
  moderate: "Slightly slower than usual",
  aggressive: "We are busy; requests wait for their turn",
  emergency: "We are very busy; requests are delayed",
  unreachable: "The service is not responding; please try again later",
  unknown: "The status cannot be checked",
  waiting: "{count} of yours waiting",
  wait: "about {range} seconds",
  long: "more than a minute",
  retry: "Check again",
  checking: "Checking",
  recovered: "Back to normal",
  current: "up to date",
  updated: "updated {seconds} seconds ago",
  outdated: "updated more than a minute ago",
};

// On a server that renders pages, importing must not fail.
const Base = globalThis.HTMLElement ?? /** @type {typeof HTMLElement} */ (class {});

export class PoolgateStatus extends Base {
  static observedAttributes = ["src", "variant", "poll", "always", "labels"];

  /** @type {import("./status.js").StatusSource | null} */
  #source = null;
  #labels = LABELS;
  /** The newest observation, and the one that is shown. @type {import("./status.js").Observation} */
  #seen = { state: "unknown", unreachable: false, queued: 0, oldestWaitMs: 0, eta: null };
  #shown = this.#seen;
  /** The longest wait that is shown, in seconds, and when it grew last. */
  #wait = { latest: 0, at: -WAIT_GROWTH_MS };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;
  #settlesWorse = false;
  /** The last known state was bad: then it is told that nothing is known. */
  #wasBad = false;
  #checking = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #polling;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #refreshing;
  /** When a state was known last (`performance.now()`). @type {number | null} */
  #heard = null;
  #failures = 0;
  /** Counts polls and restarts, to recognize an answer that comes too late. */
  #round = 0;
  #base;
  #icon;
  #label;
  #age;
  #retry;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    adopt(root);
    this.#base = part("span", "base");
    this.#icon = part("span", "icon");
    this.#icon.setAttribute("aria-hidden", "true");
    this.#label = part("span", "label");
    this.#age = part("span", "age");
    this.#retry = /** @type {HTMLButtonElement} */ (part("button", "retry"));
    this.#retry.type = "button";
    this.#retry.addEventListener("click", () => this.#check());
    const slot = document.createElement("slot");
    slot.name = "actions";
    slot.append(this.#retry);
    this.#base.append(this.#icon, this.#label, this.#age, slot);
    root.append(this.#base);
    this.#render();
  }

  connectedCallback() {
    // Properties that were set before the element was defined.
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
    if (name === "labels") this.labels = parsed(this.getAttribute("labels"));
    if (this.isConnected && (name === "src" || name === "poll")) this.#restart();
    this.#render();
  }

  /** The client that this element shares instead of asking the server. */
  get source() {
    return this.#source;
  }

  set source(source) {
    this.#stop();
    // A wrong value must not break the page.
    this.#source = typeof source?.addEventListener === "function" ? source : null;
    if (this.isConnected) this.#restart();
  }

  /** Texts by state, merged into the English ones. */
  get labels() {
    return this.#labels;
  }

  set labels(labels) {
    this.#labels = Object.keys(labels ?? {}).length === 0 ? LABELS : { ...LABELS, ...labels };
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
    this.#heard = null;
    clearTimeout(this.#polling);
    clearTimeout(this.#refreshing);
    clearTimeout(this.#settling);
    this.#settling = undefined;
    for (const type of CLIENT_EVENTS) this.#source?.removeEventListener(type, this.#read);
    document.removeEventListener("visibilitychange", this.#look);
  }

  #read = () => {
    const state = this.#source?.state;
    if (state) this.#observe(fromClient(state));
  };

  /** The wait gets shorter and the news older without an event. */
  #refreshSoon() {
    clearTimeout(this.#refreshing);
    if (this.#heard === null || (this.#seen.state === "normal" && this.#seen.queued === 0)) return;
    this.#refreshing = setTimeout(() => {
      if (this.#source) return this.#read();
      this.#render();
      this.#refreshSoon();
    }, REFRESH_MS);
  }

  #look = () => {
    if (document.visibilityState !== "hidden") {
      clearTimeout(this.#polling);
      this.#poll();
    }
  };

  async #poll() {
    const round = ++this.#round;
    const observation = await ask(this.getAttribute("src") || THROTTLING_CONFIG);
    if (round !== this.#round) return;
    this.#failures = observation.state === "unknown" ? this.#failures + 1 : 0;
    this.#observe(observation);
    if (document.visibilityState === "hidden") return;
    const seconds = Math.min(this.#interval() * 2 ** Math.min(this.#failures, 6), POLL_SECONDS.max);
    // +-20 %, so that pages opened together do not ask together.
    this.#polling = setTimeout(() => this.#poll(), seconds * 1000 * (0.8 + 0.4 * Math.random()));
  }

  #interval() {
    const given = Number(this.getAttribute("poll"));
    return given > 0 ? Math.min(Math.max(given, POLL_SECONDS.min), POLL_SECONDS.max) : POLL_SECONDS.default;
  }

  /** Asks for the config at once, and says so for a second at least. */
  async #check() {
    if (this.#checking) return;
    this.#checking = true;
    this.#render();
    const seen = new Promise((over) => setTimeout(over, CHECK_MS));
    await Promise.allSettled([this.#source?.refresh?.(), seen]);
    this.#checking = false;
    this.#render();
  }

  /** @param {import("./status.js").Observation} seen */
  #observe(seen) {
    // A client that has lost its contact knew the state until now.
    const wasKnown = this.#source !== null && this.#seen.state !== "unknown";
    if (wasKnown || seen.state !== "unknown") this.#heard = performance.now();
    this.#seen = seen;
    this.#refreshSoon();
    const same = seen.state === this.#shown.state && seen.unreachable === this.#shown.unreachable;
    if (same || this.#shown.state === "unknown") {
      this.#settle();
      return;
    }
    const worse = seen.state === "unknown" || ORDER.indexOf(seen.state) >= ORDER.indexOf(this.#shown.state);
    if (this.#settling === undefined || this.#settlesWorse !== worse) {
      clearTimeout(this.#settling);
      this.#settlesWorse = worse;
      this.#settling = setTimeout(() => this.#settle(), worse ? WORSE_AFTER_MS : BETTER_AFTER_MS);
    }
  }

  /** Shows the newest observation. */
  #settle() {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    const { state: from, unreachable: before } = this.#shown;
    this.#shown = this.#seen;
    const { state: to, unreachable } = this.#shown;
    const wasBad = this.#wasBad;
    if (to !== "unknown") this.#wasBad = ORDER.indexOf(to) >= 2;
    this.#render();
    if (from === to && before === unreachable) return;
    const detail = { from, to, unreachable };
    this.dispatchEvent(new CustomEvent("poolgate-levelchange", { bubbles: true, composed: true, detail }));
    if (this.getAttribute("announce") === "off") return;
    if (ORDER.indexOf(to) >= 2 || (to === "unknown" && wasBad)) announce(this.#text());
    else if (to === "normal" && wasBad) announce(this.#labels.recovered);
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
    this.#age.textContent = this.#ageText();
    for (const words of [this.#label, this.#age]) {
      // A page in another language must not have English read as its own.
      if (this.#labels === LABELS) words.lang = "en";
      else words.removeAttribute("lang");
    }
    this.#retry.textContent = String(this.#checking ? this.#labels.checking : this.#labels.retry);
    // Disabled for real, it would lose the focus.
    this.#retry.setAttribute("aria-disabled", String(this.#checking));
    const isBad = unreachable || state === "emergency" || state === "unknown";
    this.#retry.hidden = variant !== "banner" || !isBad || !this.#source?.refresh;
    // A dot has its words for those who point at it, tap it or come by keyboard.
    if (variant === "dot") this.#base.tabIndex = 0;
    else this.#base.removeAttribute("tabindex");
  }

  /** Whether there is nothing to show. Badge and dot are hidden in the normal state; a banner unless it concerns this user. */
  #isQuiet() {
    const { state, queued, oldestWaitMs } = this.#shown;
    if (this.getAttribute("variant") !== "banner") return state === "normal";
    if (state === "aggressive" && this.#source) return queued === 0 || oldestWaitMs < NOTICED_MS;
    if (state === "unknown") return !this.#wasBad;
    return !["aggressive", "emergency"].includes(state);
  }

  #text() {
    const { state, unreachable, queued, eta } = this.#shown;
    const text = String(this.#labels[unreachable ? "unreachable" : state]);
    const more = [];
    if (queued > 0) more.push(this.#plural(this.#labels.waiting, queued).replace("{count}", String(queued)));
    // Without a request in line it is the wait of the next one.
    const isLimited = !unreachable && ORDER.indexOf(state) > 0;
    if (queued > 0 || (isLimited && eta && eta.latest >= NOTICED_MS)) more.push(...this.#range(eta));
    else this.#wait = { latest: 0, at: -WAIT_GROWTH_MS };
    return more.length > 0 ? `${text} (${more.join(", ")})` : text;
  }

  #ageText() {
    const { state } = this.#shown;
    if (this.#heard === null || state === "normal") return "";
    const seconds = (performance.now() - this.#heard) / 1000;
    if (seconds < CURRENT_SECONDS && state !== "unknown") return String(this.#labels.current);
    if (seconds >= 60) return String(this.#labels.outdated);
    const step = STEPS.filter((step) => step <= seconds).at(-1) ?? 2;
    return String(this.#labels.updated).replace("{seconds}", String(step));
  }

  /**
   * The form of a text for a number, in the language of the page around the element.
   * @param {string | Partial<Record<Intl.LDMLPluralRule, string>>} text
   * @param {number} number
   */
  #plural(text, number) {
    if (typeof text !== "object" || text === null) return String(text);
    const language = this.#labels === LABELS ? "en" : /** @type {HTMLElement | null} */ (this.closest("[lang]"))?.lang;
    return String(text[rules(language).select(number)] ?? text.other);
  }

  /**
   * The expected wait as a range that is rounded up; nothing if it is unknown.
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

/** Defines the element, unless another copy has. */
export function define(name = "poolgate-status") {
  if (globalThis.customElements && !customElements.get(name)) {
    customElements.define(name, PoolgateStatus);
  }
}

define();

/**
 * The texts in the attribute `labels`; none if it is not an object in JSON.
 * @param {string | null} labels
 */
function parsed(labels) {
  try {
    return JSON.parse(labels ?? "{}");
  } catch {
    console.warn("<poolgate-status>: the attribute labels must be an object in JSON");
    return {};
  }
}

/** @param {string | undefined} language */
function rules(language) {
  try {
    return new Intl.PluralRules(language || undefined);
  } catch {
    return new Intl.PluralRules(); // A page may name a language that is none.
  }
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
