// The last fifteen minutes in ring buffers, one slot per second.

/** Length of the history, in seconds. */
export const SPAN_SECONDS = 900;

const CLOCK_JUMP_SECONDS = 60;

/** @template {string} Name */
export class History {
  /** @type {Record<Name, Float64Array>} */
  #columns;
  /** The newest recorded second (Unix). @type {number | null} */
  #newest = null;

  /** @param {readonly Name[]} names */
  constructor(names) {
    this.#columns = /** @type {Record<Name, Float64Array>} */ (
      Object.fromEntries(names.map((name) => [name, new Float64Array(SPAN_SECONDS).fill(NaN)]))
    );
  }

  get newest() {
    return this.#newest;
  }

  /**
   * Writes the slot of a second; a later value for the same second replaces the earlier one, and values for past
   * seconds are ignored.
   * @param {number} unixSeconds
   * @param {Partial<Record<Name, number>>} values
   */
  record(unixSeconds, values) {
    const second = Math.floor(unixSeconds);
    if (!Number.isFinite(second)) return;
    if (this.#newest !== null && second < this.#newest) {
      if (second > this.#newest - CLOCK_JUMP_SECONDS) return;
      this.#newest = null; // The server's clock was set back: begin anew.
      for (const name of this.#names()) this.#columns[name].fill(NaN);
    }
    this.#openSlots(second);
    for (const name of this.#names()) {
      const value = values[name];
      if (value !== undefined) this.#columns[name][second % SPAN_SECONDS] = value;
    }
  }

  /**
   * Fills the slots of a past second where nothing was recorded; what this page has seen itself stays.
   * @param {number} unixSeconds
   * @param {Partial<Record<Name, number>>} values
   */
  backfill(unixSeconds, values) {
    const second = Math.floor(unixSeconds);
    if (!Number.isFinite(second)) return;
    if (this.#newest === null || second > this.#newest) return this.record(second, values);
    if (second <= this.#newest - SPAN_SECONDS) return;
    for (const name of this.#names()) {
      const column = this.#columns[name];
      const slot = second % SPAN_SECONDS;
      if (Number.isNaN(column[slot])) column[slot] = values[name] ?? NaN;
    }
  }

  /**
   * Fills the seconds since the newest one with its values: nothing newer was told, and the next document comes now.
   * @param {number} unixSeconds the second of that document, which is left out
   */
  hold(unixSeconds) {
    const last = this.#newest;
    if (last === null) return;
    const held = Object.fromEntries(this.#names().map((name) => [name, this.#columns[name][last % SPAN_SECONDS]]));
    for (let second = last + 1; second < Math.floor(unixSeconds); second += 1)
      this.record(second, /** @type {Record<Name, number>} */ (held));
  }

  /** The seconds of all slots, oldest first. */
  seconds() {
    const newest = this.#newest ?? 0;
    return Array.from({ length: SPAN_SECONDS }, (_, slot) => newest - SPAN_SECONDS + 1 + slot);
  }

  /**
   * The values of a column, oldest first; null where nothing was recorded.
   * @param {Name} name
   * @returns {(number | null)[]}
   */
  column(name) {
    const ring = this.#columns[name];
    const begin = (this.#newest ?? SPAN_SECONDS - 1) + 1;
    return Array.from({ length: SPAN_SECONDS }, (_, slot) => {
      const value = ring[(begin + slot) % SPAN_SECONDS];
      return value === undefined || Number.isNaN(value) ? null : value;
    });
  }

  /**
   * The periods of equal values of a column, oldest first, as slots from `begin` to before `end`.
   * @param {Name} name
   */
  runs(name) {
    /** @type {{ value: number | null, begin: number, end: number }[]} */
    const runs = [];
    this.column(name).forEach((value, slot) => {
      const last = runs.at(-1);
      if (last !== undefined && last.value === value) last.end = slot + 1;
      else runs.push({ value, begin: slot, end: slot + 1 });
    });
    return runs;
  }

  /** A copy for JSON. */
  save() {
    return {
      newest: this.#newest,
      columns: Object.fromEntries(this.#names().map((name) => [name, this.column(name)])),
    };
  }

  /**
   * Restores what `save` returned; invalid parts are left out.
   * @param {{ newest?: unknown, columns?: Record<string, unknown> } | null} saved
   */
  restore(saved) {
    const newest = saved?.newest;
    if (typeof newest !== "number" || !Number.isSafeInteger(newest)) return;
    this.#newest = newest;
    for (const name of this.#names()) {
      const values = saved?.columns?.[name];
      if (!Array.isArray(values) || values.length !== SPAN_SECONDS) continue;
      values.forEach((value, slot) => {
        this.#columns[name][(newest + 1 + slot) % SPAN_SECONDS] = typeof value === "number" ? value : NaN;
      });
    }
  }

  /**
   * Empties the slots between the newest second and this one.
   * @param {number} second
   */
  #openSlots(second) {
    const first = this.#newest === null ? second : Math.max(this.#newest + 1, second - SPAN_SECONDS + 1);
    for (let at = first; at <= second; at += 1) {
      for (const name of this.#names()) this.#columns[name][at % SPAN_SECONDS] = NaN;
    }
    this.#newest = second;
  }

  /** @returns {Name[]} */
  #names() {
    return /** @type {Name[]} */ (Object.keys(this.#columns));
  }
}
