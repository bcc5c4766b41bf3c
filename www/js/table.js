// A table whose rows are replaced only when one of them has changed.

import { byId, create } from "./dom.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} name
 * @property {string} title
 * @property {(row: Row) => string} text
 * @property {(row: Row) => boolean} [isBad] shown in the color of a problem
 */

/**
 * The columns of an empty `table` element; the function returned fills its rows.
 * @template Row
 * @param {string} id
 * @param {readonly Column<Row>[]} columns
 * @param {string} empty
 * @returns {(rows: readonly Row[], none?: string, rest?: string) => void} `none` is shown instead of rows, `rest` below them
 */
export function table(id, columns, empty) {
  const body = create("tbody");
  const heads = columns.map(({ name, title }) => {
    const head = create("th", "", name);
    head.scope = "col";
    head.title = title;
    return head;
  });
  byId(id, HTMLTableElement).append(create("thead", "", create("tr", "", ...heads)), body);
  let shown = "";
  const wide = (/** @type {string} */ text) => {
    const cell = create("td", "none", text);
    cell.colSpan = columns.length;
    return create("tr", "", cell);
  };
  return (rows, none = empty, rest = "") => {
    const texts = rows.map((row) => columns.map(({ text, isBad }) => ({ text: text(row), bad: isBad?.(row) ?? false })));
    const key = JSON.stringify([texts, none, rest]);
    if (key === shown) return;
    shown = key;
    if (texts.length === 0) return body.replaceChildren(wide(none));
    const cell = (/** @type {(typeof texts)[0][0]} */ { text, bad }) => create("td", bad ? "bad" : "", text);
    const lines = texts.map((cells) => create("tr", "", ...cells.map(cell)));
    body.replaceChildren(...lines, ...(rest === "" ? [] : [wide(rest)]));
  };
}
