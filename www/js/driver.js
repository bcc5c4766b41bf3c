// The load driver's panel: starts, switches and stops native users on the server's machine.

import { ApiError, fetchLoad, inWords, startLoad, stopLoad } from "./api.js";
import { comparison, modeOf } from "./comparison.js";
import { byId, setText } from "./dom.js";
import * as format from "./format.js";

/** @import { LoadReport, LoadRequest, Status } from "../types/wire.js" */
/** @import { LogEvent } from "./log.js" */

const RUNNING_POLL_MS = 500;
const IDLE_POLL_MS = 3_000;

export class Driver {
  #form = byId("driver", HTMLFormElement);
  #start = byId("driver-start", HTMLButtonElement);
  #stop = byId("driver-stop", HTMLButtonElement);
  #line = byId("driver-state", HTMLElement);
  #demand = byId("driver-demand", HTMLElement);
  #problem = byId("driver-problem", HTMLElement);
  #results = comparison(byId("comparison", HTMLElement));
  #log;
  /** @type {LoadReport | null} */
  #report = null;
  /** @type {number | null} */
  #gatePermits = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #nextPoll;
  /** Numbers the actions, so that an older answer does not overwrite a newer one. */
  #turn = 0;
  /** Settled when the last action has ended. */
  #asked = Promise.resolve();
  #hasContact = true;

  /** @param {(event: LogEvent) => void} log */
  constructor(log) {
    this.#log = log;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    this.#stop.addEventListener("click", () => this.#end());
    this.#form.addEventListener("input", () => this.#describeDemand());
    this.#form.addEventListener("change", (event) => {
      const switched = event.target instanceof HTMLInputElement && event.target.name === "poolgate";
      if (switched && this.#report?.state === "running") this.#run();
    });
  }

  /** State of the switch: whether requests go through Poolgate. */
  get withPoolgate() {
    return new FormData(this.#form).get("poolgate") === "with";
  }

  /**
   * Shows the panel if the server has a load driver.
   * @returns {Promise<boolean>}
   */
  async appear() {
    try {
      this.#show(await fetchLoad());
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      throw error;
    }
    this.#select(this.#report);
    byId("drive", HTMLElement).hidden = false;
    this.#describeDemand();
    this.#pollIn(IDLE_POLL_MS);
    return true;
  }

  /** @param {Status} status */
  observe({ gate }) {
    if (gate === null || gate.max_concurrent_requests === this.#gatePermits) return;
    this.#gatePermits = gate.max_concurrent_requests;
    setText(byId("gate-size", HTMLElement), String(gate.max_concurrent_requests));
    this.#describeDemand();
  }

  save() {
    return this.#results.save();
  }

  /** @param {unknown} saved */
  restore(saved) {
    this.#results.restore(saved);
  }

  /** Starts the load in the form; a running one is stopped first. */
  async #run() {
    if (!this.#form.reportValidity()) return;
    const request = this.#request();
    const way = request.poolgate ? "with Poolgate" : "without Poolgate";
    await this.#ask(async () => {
      this.#show(await stopLoad()); // The last figures of the other mode, if one was running.
      const report = await startLoad(request);
      this.#note(
        `Load of ${request.users} users ${way}, ${format.rate(request.requests_per_second)} requests/s`,
      );
      return report;
    });
  }

  async #end() {
    await this.#ask(stopLoad);
  }

  /**
   * Runs actions one after another, so that a switch that is flipped twice ends in its last state.
   * @param {() => Promise<LoadReport>} action
   */
  #ask(action) {
    this.#asked = this.#asked.then(() => this.#act(action));
    return this.#asked;
  }

  /** @param {() => Promise<LoadReport>} action */
  async #act(action) {
    clearTimeout(this.#nextPoll);
    this.#turn += 1;
    setText(this.#problem, "");
    this.#start.disabled = true;
    try {
      this.#show(await action());
    } catch (error) {
      setText(this.#problem, `Nothing was changed. ${inWords(error)}`);
    } finally {
      this.#start.disabled = !this.#hasContact;
      this.#pollIn(RUNNING_POLL_MS);
    }
  }

  /** @param {number} ms */
  #pollIn(ms) {
    clearTimeout(this.#nextPoll);
    this.#nextPoll = setTimeout(() => this.#poll(), ms);
  }

  async #poll() {
    const turn = this.#turn;
    try {
      const report = await fetchLoad();
      if (turn === this.#turn) {
        this.#followOther(report);
        this.#show(report);
      }
    } catch {
      // No contact: the header shows it, and the next poll follows.
    }
    if (turn === this.#turn) this.#pollIn(this.#report?.state === "running" ? RUNNING_POLL_MS : IDLE_POLL_MS);
  }

  /** @param {LoadReport} report */
  #show(report) {
    const ended = this.#report?.state === "running" && report.state === "ended";
    this.#report = report;
    const running = report.state === "running";
    this.#stop.disabled = !running || !this.#hasContact;
    setText(this.#start, running ? "Restart load" : "Start load");
    setText(this.#line, stateLine(report));
    this.#results.show(report);
    if (ended) this.#note(`Load ended after ${format.duration(report.elapsed_seconds)}`);
  }

  /**
   * The server is reached, or not: without it nothing can be started.
   * @param {boolean} hasContact
   */
  setContact(hasContact) {
    if (hasContact === this.#hasContact) return;
    this.#hasContact = hasContact;
    this.#start.disabled = !hasContact;
    this.#stop.disabled = !hasContact || this.#report?.state !== "running";
    if (hasContact) setText(this.#problem, "");
    else if (this.#report?.state === "running") setText(this.#line, "No contact: whether the load still runs is unknown.");
  }

  /**
   * The form follows a load that was started elsewhere, so that the switch always says what runs.
   * @param {LoadReport} report
   */
  #followOther(report) {
    if (report.state !== "running" || report.request === null) return;
    const known = this.#report?.state === "running" ? this.#report : null;
    const isNew = JSON.stringify(known?.request) !== JSON.stringify(report.request);
    if (!isNew && report.elapsed_seconds >= (known?.elapsed_seconds ?? 0)) return;
    this.#select(report);
    this.#describeDemand();
    this.#note("A load was started elsewhere: another page, or the API");
  }

  /**
   * A load that ran before this page was opened sets the form.
   * @param {LoadReport | null} report
   */
  #select(report) {
    if (!report?.request || report.state !== "running") return;
    for (const input of this.#form.querySelectorAll("input")) {
      if (input.name === "poolgate") input.checked = input.value === modeOf(report);
      else input.value = String(report.request[/** @type {"users"} */ (input.name)]);
    }
  }

  #describeDemand() {
    const { requests_per_second: asked, hold_ms: hold } = this.#request();
    if (this.#gatePermits === null || hold <= 0 || !(asked > 0)) {
      setText(this.#demand, "\u00a0");
      return;
    }
    const capacity = (this.#gatePermits * 1000) / hold;
    setText(
      this.#demand,
      `${format.rate(asked)}/s is ${(asked / capacity).toFixed(1)} × the gate's capacity: ` +
        `${this.#gatePermits} ÷ ${format.milliseconds(hold)} = ${format.rate(capacity)}/s.`,
    );
  }

  /** @returns {LoadRequest} */
  #request() {
    const data = new FormData(this.#form);
    /** @param {string} name */
    const number = (name) => Number(data.get(name));
    return {
      users: number("users"),
      requests_per_second: number("requests_per_second"),
      hold_ms: number("hold_ms"),
      poolgate: this.withPoolgate,
      seconds: number("seconds"),
    };
  }

  /** @param {string} text */
  #note(text) {
    this.#log({ at: Date.now(), kind: "load", text });
  }
}

/** @param {LoadReport} report */
function stateLine({ state, request, elapsed_seconds: elapsed }) {
  if (state !== "running" || request === null) return "No load is running.";
  return `${request.users} users, ${format.duration(Math.max(0, request.seconds - elapsed))} left`;
}
