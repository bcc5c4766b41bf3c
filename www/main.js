// The operations page. Documents arrive (feed), update the state (state), and are drawn at most once per frame.

import { alertList, cleanupPanel } from "./js/alerts.js";
import { BrowserPanel, showWidget } from "./js/browser.js";
import { charts } from "./js/charts.js";
import { loadClient, loadStatusElement } from "./js/client.js";
import { contactLine, freshness } from "./js/contact.js";
import { byId, setText } from "./js/dom.js";
import { Driver } from "./js/driver.js";
import { Feed } from "./js/feed.js";
import { gauges, origin, statRow } from "./js/figures.js";
import { changes, eventLog } from "./js/log.js";
import { keepWhileReloading } from "./js/memory.js";
import { State } from "./js/state.js";
import { levelStrip } from "./js/strip.js";
import { followTheme } from "./js/theme.js";
import { verdictPanel } from "./js/verdict.js";
import * as words from "./js/words.js";

const state = new State();
const log = eventLog();
const driver = new Driver((event) => log.add(event));
const browser = new BrowserPanel(() => driver.withPoolgate);
const plots = charts();
const showContact = contactLine();
const showVerdict = verdictPanel();
const panels = [
  statRow(),
  gauges(),
  levelStrip(),
  alertList(),
  cleanupPanel((report) =>
    log.add({
      at: Date.parse(report.started_at),
      kind: "cleanup",
      text: `Cleanup from this page: ${report.summary}`,
    }),
  ),
];

/** When the page was paused (`performance.now()`). @type {number | null} */
let pausedAt = null;
let lost = false;
let frame = 0;

const feed = new Feed({
  onStatus(status) {
    const before = state.observe(status);
    driver.observe(status);
    setText(byId("origin", HTMLElement), origin(status));
    if (before !== null) log.add(...changes(before, status, words.cause(state.config)));
    if (before !== null && before.throttling_level !== status.throttling_level)
      announce(words.verdict(status, state.since));
    drawSoon();
  },
  onConfig(config) {
    state.config = config;
    drawSoon();
  },
  onContact() {
    state.contactAt = performance.now();
    if (lost) noteContact(false);
  },
});

followTheme(() => plots.recolor());
keepWhileReloading({ history: state.history, log, driver });
pauseButton();
feed.start();
setInterval(everySecond, 1_000);
document.addEventListener("visibilitychange", drawSoon);
startDemo();
startPackage();

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
  const fresh = freshness(state.contactAt, now);
  showContact(fresh, feed.transport, pausedAt === null ? null : (now - pausedAt) / 1000);
  if (pausedAt !== null) return;
  document.documentElement.dataset["stale"] = String(fresh.stale);
  showVerdict(state, fresh);
  for (const show of panels) show(state);
  plots.show(state);
  browser.draw();
}

function everySecond() {
  if (!lost && freshness(state.contactAt, performance.now()).stale) noteContact(true);
  drawSoon();
}

/** @param {boolean} isLost */
function noteContact(isLost) {
  lost = isLost;
  const text = isLost ? "Contact with the server lost" : "Contact with the server restored";
  log.add({ at: Date.now(), kind: "contact", text });
  announce(text);
}

/**
 * For screen readers: announces changes, not each figure.
 * @param {string} text
 */
function announce(text) {
  if (pausedAt === null) setText(byId("announcer", HTMLElement), text);
}

function pauseButton() {
  const button = byId("pause", HTMLButtonElement);
  button.addEventListener("click", () => {
    pausedAt = pausedAt === null ? performance.now() : null;
    button.setAttribute("aria-pressed", String(pausedAt !== null));
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
    setTimeout(startDemo, 3_000); // No contact yet.
  }
}

async function startPackage() {
  const [defined, loaded] = await Promise.all([loadStatusElement(), loadClient()]);
  browser.useClient(loaded);
  showWidget(defined, loaded.client);
}
