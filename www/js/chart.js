// One chart: uPlot for the eye, and a sentence and a table for screen readers.

import { create, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * @typedef {object} Line
 * @property {string} key name of the line's color in the style sheet
 * @property {string} name
 * @property {(value: number | null | undefined) => string} text
 * @property {"left" | "right"} [axis] default left
 * @property {boolean} [area] fills the area below the line
 * @property {boolean} [dashed]
 *
 * @typedef {{ level: string, begin: number, end: number }} Band a period at one level, in Unix seconds
 *
 * @typedef {object} Options
 * @property {string} title
 * @property {string} unit of the left axis
 * @property {string} [rightUnit]
 * @property {readonly Line[]} lines
 */

const AXIS_WIDTH = 52;
const TABLE_ROWS = 12;

export class Chart {
  #options;
  #box = create("div", "chart-box");
  #table = create("tbody");
  #details = create("details");
  /** Reads a level's color from the style sheet. */
  #ink = create("i", "swatch");
  /** @type {HTMLElement[]} the swatches, which set the lines' colors */
  #swatches = [];
  /** @type {HTMLElement[]} */
  #values = [];
  /** @type {uPlot} */
  #plot;
  /** @type {(number | null)[][]} */
  #data;
  /** @type {readonly Band[]} */
  #bands = [];
  /** @type {readonly (number | null)[]} */
  #now = [];
  #span = "";

  /**
   * @param {HTMLElement} parent
   * @param {Options} options
   */
  constructor(parent, options) {
    this.#options = options;
    this.#data = [[], ...options.lines.map(() => [])];
    this.#box.setAttribute("role", "img");
    this.#ink.hidden = true;
    const figure = create("figure", "chart", this.#caption(), this.#box, this.#tableView(), this.#ink);
    parent.append(figure);
    this.#plot = new uPlot(this.#plotOptions(), /** @type {uPlot.AlignedData} */ (this.#data), this.#box);
    new ResizeObserver(() => this.#fit()).observe(this.#box);
  }

  /**
   * Shows new data.
   * @param {(number | null)[][]} data seconds first, then one column per line
   * @param {readonly Band[]} bands drawn behind the lines
   * @param {readonly (number | null)[]} now the newest values, one per line
   * @param {string} span the time that is shown, in words
   */
  show(data, bands, now, span) {
    this.#data = data;
    this.#bands = bands;
    this.#now = now;
    this.#span = span;
    this.#plot.setData(/** @type {uPlot.AlignedData} */ (data));
    this.#label();
    if (this.#details.open) this.#fillTable();
  }

  /**
   * Shows new values in the legend only.
   * @param {readonly (number | null)[]} now
   */
  update(now) {
    this.#now = now;
    if (this.#plot.cursor.idx == null) this.#legend(null);
  }

  /** Redraws with the current colors. */
  recolor() {
    this.#plot.redraw(false);
  }

  #caption() {
    const keys = this.#options.lines.map((line) => {
      const swatch = create("i", `line ${line.key}`);
      const value = create("b", "", format.UNKNOWN);
      this.#swatches.push(swatch);
      this.#values.push(value);
      return create("span", "legend", swatch, line.name, " ", value);
    });
    return create("figcaption", "", create("h2", "", this.#options.title), ...keys);
  }

  #tableView() {
    const heads = ["Time", ...this.#options.lines.map((line) => line.name)].map((name) =>
      create("th", "", name),
    );
    const table = create("table", "", create("thead", "", create("tr", "", ...heads)), this.#table);
    this.#details.append(create("summary", "", "Show as table"), table);
    this.#details.addEventListener("toggle", () => this.#details.open && this.#fillTable());
    return this.#details;
  }

  #label() {
    const words = this.#options.lines.map((line, index) => `${line.name} ${line.text(this.#now[index])}`).join(", ");
    this.#box.setAttribute("aria-label", `${this.#options.title}, last ${this.#span}. Now: ${words}.`);
    if (this.#plot.cursor.idx == null) this.#legend(null);
  }

  /** @param {number | null} slot whose values the legend shows; null for the newest ones, as in the key figures */
  #legend(slot) {
    this.#options.lines.forEach((line, index) => {
      const value = this.#values[index];
      const shown = slot === null ? this.#now[index] : this.#data[index + 1]?.[slot];
      if (value !== undefined) setText(value, line.text(shown));
    });
  }

  #fillTable() {
    const seconds = this.#data[0] ?? [];
    const rows = [];
    for (let slot = seconds.length - 1; slot >= 0 && rows.length < TABLE_ROWS; slot -= 1) {
      const cells = this.#options.lines.map((line, index) =>
        create("td", "", line.text(this.#data[index + 1]?.[slot])),
      );
      rows.push(create("tr", "", create("th", "", format.clock((seconds[slot] ?? 0) * 1000)), ...cells));
    }
    this.#table.replaceChildren(...rows);
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.#box;
    if (width > 0 && (width !== this.#plot.width || height !== this.#plot.height)) this.#plot.setSize({ width, height });
  }

  /** @returns {uPlot.Options} */
  #plotOptions() {
    const { lines, unit, rightUnit } = this.#options;
    const muted = () => getComputedStyle(this.#box).color;
    const grid = () => getComputedStyle(this.#box).borderTopColor;
    const font = "11px system-ui, sans-serif";
    /** @type {uPlot.Axis} */
    const axis = { font, stroke: muted, grid: { stroke: grid, width: 1 }, ticks: { show: false }, gap: 6 };
    return {
      width: Math.max(this.#box.clientWidth, 200),
      height: this.#box.clientHeight, // The style sheet decides.
      padding: [8, 0, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "poolgate" }, drag: { x: false, y: false }, points: { size: 5 } },
      scales: { left: { range: fromZero }, right: { range: fromZero } },
      axes: [
        {
          ...axis,
          size: 24,
          space: 70,
          values: (_plot, ticks, _axis, _space, step) => ticks.map((tick) => timeText(tick, step)),
        },
        {
          ...axis,
          scale: "left",
          size: AXIS_WIDTH,
          space: 30,
          values: (_, ticks) => ticks.map((tick) => axisText(tick, unit)),
        },
        {
          ...axis,
          scale: "right",
          side: 1,
          size: AXIS_WIDTH,
          space: 30,
          grid: { show: false },
          // The room of a missing right axis stays, so that the time axes of all charts align.
          values: (_, ticks) =>
            ticks.map((tick) => (rightUnit === undefined ? "" : axisText(tick, rightUnit))),
        },
      ],
      series: [{}, ...lines.map((line, index) => this.#series(line, index))],
      hooks: {
        drawClear: [(plot) => this.#drawBands(plot)],
        setCursor: [(plot) => this.#legend(plot.cursor.idx ?? null)],
      },
    };
  }

  /** @param {uPlot} plot */
  #drawBands({ ctx, bbox, valToPos }) {
    for (const { level, begin, end } of this.#bands) {
      const left = Math.max(bbox.left, valToPos(begin, "x", true));
      const right = Math.min(bbox.left + bbox.width, valToPos(end, "x", true));
      if (right <= left) continue;
      this.#ink.dataset["level"] = level;
      ctx.fillStyle = translucent(getComputedStyle(this.#ink).color, 0.09);
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
  }

  /**
   * @param {Line} line
   * @param {number} index
   * @returns {uPlot.Series}
   */
  #series(line, index) {
    const color = () => getComputedStyle(this.#swatches[index] ?? this.#box).color;
    return {
      label: line.name,
      scale: line.axis ?? "left",
      stroke: color,
      width: line.area ? 1 : 1.5,
      points: { show: false },
      ...(line.area && { fill: () => translucent(color(), 0.22) }),
      ...(line.dashed && { dash: [4, 4] }),
    };
  }
}

/** @type {uPlot.Range.Function} */
function fromZero(_plot, _min, max) {
  return [0, Math.max(1, (max ?? 0) * 1.08)];
}

/**
 * @param {number} tick
 * @param {string} unit
 */
function axisText(tick, unit) {
  if (unit === "ms" && tick >= 1000) return `${tick / 1000} s`;
  const text = tick >= 10_000 ? `${tick / 1000}k` : String(tick);
  return unit === "" ? text : `${text} ${unit}`;
}

/**
 * @param {string} color in the form of `getComputedStyle`
 * @param {number} alpha
 */
function translucent(color, alpha) {
  return color.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

/**
 * @param {number} tick Unix seconds
 * @param {number} step seconds between two ticks
 */
function timeText(tick, step) {
  return format.clock(tick * 1000).slice(0, step < 60 ? 8 : 5);
}
