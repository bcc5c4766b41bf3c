// The operations page. Documents arrive (feed), update the state (state), and are drawn at most once per frame.

import { activityPanels, followActivity } from "./js/activity.js";
import { alertList } from "./js/alerts.js";
import { fetchHistory } from "./js/api.js";
import { BrowserPanel, showWidget } from "./js/browser.js";
import { charts } from "./js/charts.js";
import { cleanupPanel } from "./js/cleanup.js";
import { loadClient, loadStatusElement } from "./js/client.js";
import { clusterPanel } from "./js/cluster.js";
import { contactLine, freshness } from "./js/contact.js";
import { byId, setText } from "./js/dom.js";
import { Driver } from "./js/driver.js";
import { Feed } from "./js/feed.js";
import { foldOnPhones } from "./js/fold.js";
import { gauges, origin, statRow } from "./js/figures.js";
import { changes, eventLog, restart } from "./js/log.js";
import { gatewayPanel } from "./js/gateway.js";
import { keepWhileReloading } from "./js/memory.js";
import { State } from "./js/state.js";
import { levelStrip } from "./js/strip.js";
import { followTheme } from "./js/theme.js";
import { verdictPanel } from "./js/verdict.js";
import * as words from "./js/words.js";

/** A longer gap between two messages is filled from the server's history. */
const GAP_MS = 6_000;
/** Screen readers hear of changes at most so often. */
const ANNOUNCE_MS = 15_000;

const state = new State();
const log = eventLog();
const driver = new Driver((event) => log.add(event));
const browser = new BrowserPanel(() => driver.withPoolgate);
const plots = charts();
const cleanup = cleanupPanel();
const showContact = contactLine();
const showVerdict = verdictPanel();
const panels = [statRow(), gauges(), levelStrip(), alertList(), clusterPanel(), gatewayPanel(), activityPanels(), cleanup.show];

/** When the page was paused (`performance.now()`). @type {number | null} */
let pausedAt = null;
/** When the page last came into view, or left it (`performance.now()`). */
let seenAt = performance.now();
let lost = false;
let frame = 0;
let announced = { text: "", at: -Infinity };

const feed = new Feed({
  onStatus(status) {
    const known = state.status;
    const before = state.observe(status);
    driver.observe(status);
    setText(byId("origin", HTMLElement), origin(status));
    if (known === null) remember(Date.parse(status.sampled_at));
    else if (before === null) log.add(restart(status));
    else log.add(...changes(before, status, words.cause(state.config?.reason ?? "").text));
    drawSoon();
  },
  onConfig(config) {
    state.config = config;
    drawSoon();
  },
  onContact() {
    const now = performance.now();
    const gap = now - (state.contactAt ?? now);
    state.contactAt = now;
    state.trouble = null;
    if (lost) noteContact(false);
    if (gap > GAP_MS) remember(Date.now());
  },
  onTrouble(why) {
    state.trouble = why;
    drawSoon();
  },
});

foldOnPhones();
followTheme(() => plots.recolor());
keepWhileReloading({ history: state.history, log, driver });
pauseButton();
feed.start();
setInterval(drawSoon, 1_000);
document.addEventListener("visibilitychange", () => {
  const hiddenFor = performance.now() - seenAt;
  seenAt = performance.now();
  // Polls see only what is there when they come.
  if (!document.hidden && hiddenFor > GAP_MS) remember(Date.now());
  drawSoon();
});
followActivity((activity) => {
  state.activity = activity;
  drawSoon();
});
startDemo();
startPackage();

/**
 * Shows the past at once, as the server remembers it.
 * @param {number} until when this page began to see for itself (Unix ms)
 */
async function remember(until) {
  try {
    const past = await fetchHistory();
    state.remember(past);
    log.remember(past.events, until);
    drawSoon();
  } catch (error) {
    console.warn("The server's history cannot be read; the charts begin now", error);
  }
}

/** At most one drawing per frame, and none while the page is hidden. */
function drawSoon() {
  if (frame !== 0 || document.hidden) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    draw();
  });
}

function draw() {
  const now = performance.now();
  const fresh = freshness(state.contactAt, now, feed.patience, seenAt);
  if (fresh.stale && !lost) noteContact(true);
  showContact(fresh, feed.transport, pausedAt === null ? null : (now - pausedAt) / 1000);
  driver.setContact(!fresh.stale);
  cleanup.setContact(!fresh.stale);
  if (pausedAt !== null) return;
  document.documentElement.dataset["stale"] = String(fresh.stale);
  const { tone, headline } = showVerdict(state, fresh);
  announce(tone, headline);
  for (const show of panels) show(state);
  plots.show(state);
  browser.draw();
}

/** @param {boolean} isLost */
function noteContact(isLost) {
  lost = isLost;
  const text = isLost
    ? `Lost contact with the server. ${state.trouble ?? "No answer arrives."}`
    : "Reconnected to the server";
  log.add({ at: Date.now(), kind: "contact", text });
}

/**
 * For screen readers: a new condition is announced, not each figure, and not each swing.
 * @param {string} tone
 * @param {string} headline
 */
function announce(tone, headline) {
  const now = performance.now();
  if (tone === announced.text || now - announced.at < ANNOUNCE_MS) return;
  // The first one is what the page says when it is opened.
  if (announced.text !== "") setText(byId("announcer", HTMLElement), headline);
  announced = { text: tone, at: announced.text === "" ? -Infinity : now };
}

function pauseButton() {
  const button = byId("pause", HTMLButtonElement);
  button.addEventListener("click", () => {
    pausedAt = pausedAt === null ? performance.now() : null;
    button.setAttribute("aria-pressed", String(pausedAt !== null));
    document.documentElement.dataset["paused"] = String(pausedAt !== null);
    setText(button, pausedAt === null ? "Pause" : "Resume");
    drawSoon();
  });
}

/** Only demo mode has a load driver. */
async function startDemo() {
  try {
    const demo = await driver.appear();
    document.documentElement.dataset["demo"] = String(demo);
  } catch {
    document.documentElement.dataset["demo"] ??= "unknown"; // No contact yet.
    setTimeout(startDemo, 3_000);
  }
}

async function startPackage() {
  const [defined, loaded] = await Promise.all([loadStatusElement(), loadClient()]);
  browser.useClient(loaded);
  showWidget(defined, loaded.client);
}
