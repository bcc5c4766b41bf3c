// The panel "This browser": real requests of this page, through the package's client or around it.

import { LAB_HOLD, SHOP_PREFIX } from "./contract.js";
import { byId, create, definitionList, setText } from "./dom.js";
import * as format from "./format.js";
import { Generator } from "./generator.js";

/** @import { PoolgateClient } from "../pkg/index.js" */
/** @import { Loaded } from "./client.js" */

const TALLY = [
  { key: "wanted", name: "Attempted", title: "Requests that this page tried to send since Start" },
  { key: "succeeded", name: "Succeeded", title: "Answered 2xx" },
  { key: "rejected", name: "Rejected", title: "Answered 503 or 429" },
  { key: "givenUp", name: "Dropped", title: "Rejected by the client before they were sent" },
  { key: "failed", name: "Failed", title: "No answer within 10 s, or another answer" },
  { key: "queued", name: "Queued", title: "Waiting in the client's queue now" },
  { key: "flight", name: "In flight", title: "Sent, not yet answered" },
  { key: "latency", name: "Latency p50", title: "Median of the last 50 successes, from the attempt to send" },
];

/** @type {Record<string, { name: string, make: (holdMs: number) => [url: string, init?: RequestInit] }>} */
const REQUESTS = {
  hold: { name: "Hold a connection", make: (holdMs) => [`${LAB_HOLD}?hold_ms=${holdMs}`] },
  search: { name: "Shop: search", make: () => [`${SHOP_PREFIX}/products?search=lamp`] },
  product: { name: "Shop: a product's page", make: () => [`${SHOP_PREFIX}/products/${upTo(PRODUCTS)}`] },
  order: { name: "Shop: place an order", make: () => [`${SHOP_PREFIX}/orders`, order()] },
  report: { name: "Shop: sales report (heavy)", make: () => [`${SHOP_PREFIX}/reports/sales`] },
};

/**
 * Of a request's ten seconds two are left for the answer: one that queues for longer is rejected instead of sent in
 * vain.
 */
const QUEUE_TIMEOUT_MS = 8_000;

/** Rows of each kind in the sample shop, numbered from 1. */
const PRODUCTS = 2_000;
const CUSTOMERS = 8_000;

export class BrowserPanel {
  #form = byId("browser", HTMLFormElement);
  #start = byId("browser-start", HTMLButtonElement);
  #stop = byId("browser-stop", HTMLButtonElement);
  #line = byId("client-line", HTMLElement);
  #showTally = definitionList(byId("browser-tally", HTMLElement), TALLY);
  #generator;
  #withPoolgate;
  /** @type {Loaded | null} */
  #loaded = null;

  /** @param {() => boolean} withPoolgate state of the switch */
  constructor(withPoolgate) {
    this.#withPoolgate = withPoolgate;
    this.#generator = new Generator(
      (url, init) => this.#send(url, init),
      (error) => this.#loaded?.isPoolgateError(error) ?? false,
    );
    const route = byId("browser-route", HTMLSelectElement);
    for (const [value, { name }] of Object.entries(REQUESTS)) route.append(new Option(name, value));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    this.#stop.addEventListener("click", () => {
      this.#generator.stop();
      this.draw();
    });
  }

  /** @param {Loaded} loaded */
  useClient(loaded) {
    this.#loaded = loaded;
    this.draw();
  }

  draw() {
    const { tally, latencyMs, running } = this.#generator;
    const state = this.#loaded?.client?.state;
    const queued = this.#throughClient() ? (state?.queued ?? 0) : 0;
    this.#showTally({
      wanted: format.count(tally.wanted),
      succeeded: format.count(tally.succeeded),
      rejected: format.count(tally.rejected),
      givenUp: format.count(tally.givenUp),
      failed: format.count(tally.failed),
      queued: this.#throughClient() ? format.count(queued) : format.UNKNOWN,
      flight: format.count(Math.max(0, tally.pending - queued)),
      latency: format.milliseconds(latencyMs),
    });
    setText(this.#start, running ? "Restart requests" : "Start requests");
    this.#stop.disabled = !running;
    setText(this.#line, this.#clientLine());
  }

  #run() {
    if (!this.#form.reportValidity()) return;
    const data = new FormData(this.#form);
    const request = REQUESTS[String(data.get("route"))];
    if (request === undefined) return;
    const holdMs = Number(data.get("hold_ms"));
    this.#generator.start(() => request.make(holdMs), Number(data.get("rate")));
    this.draw();
  }

  /**
   * Low priority in the browser, so that the page's own calls go first on its six connections; the client's queue
   * treats these requests as normal.
   * @param {string} url
   * @param {RequestInit} init
   */
  #send(url, init) {
    const client = this.#throughClient() ? this.#loaded?.client : null;
    if (!client) return fetch(url, { ...init, priority: "low" });
    return client.fetch(url, {
      ...init,
      priority: "low",
      poolgate: { priority: "normal", queueTimeoutMs: QUEUE_TIMEOUT_MS },
    });
  }

  #throughClient() {
    return this.#withPoolgate() && this.#loaded?.client != null;
  }

  #clientLine() {
    if (this.#loaded === null) return "The client is loading.";
    if (this.#loaded.client === null) {
      return `The WebAssembly client did not load (${this.#loaded.problem}). Requests are sent unthrottled.`;
    }
    const { level, enforced, ratePerSecond, transport, stale, config } = this.#loaded.client.state;
    const limit = !enforced
      ? "not limited"
      : ratePerSecond == null
        ? "limited"
        : `${format.rate(ratePerSecond)} requests/s`;
    const version = config == null ? "no config yet" : `config v${config.version}`;
    return `Client: ${level}, ${limit}, ${version} by ${transport}${stale ? ", stale" : ""}.`;
  }
}

/** @returns {RequestInit} */
function order() {
  const lines = [{ product_id: upTo(PRODUCTS), quantity: 1 }];
  return {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ customer_id: upTo(CUSTOMERS), lines }),
  };
}

/** @param {number} most */
function upTo(most) {
  return 1 + Math.floor(Math.random() * most);
}

/**
 * Adds the element that an app's users would see. It shares the page's client, if there is one.
 * @param {boolean} defined
 * @param {PoolgateClient | null} client
 */
export function showWidget(defined, client) {
  const place = byId("widget", HTMLElement);
  if (!defined) {
    place.replaceChildren(create("span", "note", "the status element did not load"));
    return;
  }
  const widget = document.createElement("poolgate-status");
  widget.setAttribute("always", "");
  widget.source = client;
  place.replaceChildren(widget);
}
