// Access to the page's document.

/**
 * The element with an id; throws if it is missing, because the page is broken then.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`the page has no ${kind.name} #${id}`);
}

/**
 * Sets a text only if it differs: figures come twice a second, and most stay the same.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {string} [className]
 * @param {...(Node | string)} children
 */
export function create(name, className = "", ...children) {
  const element = document.createElement(name);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

/**
 * A definition list that is built once; later only its values change.
 * @param {HTMLElement} list a `dl`
 * @param {readonly { name: string, title?: string, key: string, period?: string }[]} rows
 * @returns {(values: Record<string, string>) => void}
 */
export function definitionList(list, rows) {
  const cells = rows.map(({ name, title = "", key, period }) => {
    const value = create("dd", "", "–");
    value.dataset["key"] = `${list.id}-${key}`;
    const head = create("dt", "", name);
    if (period !== undefined) head.append(" ", create("small", "", period));
    const group = create("div", "", head, value);
    group.title = title;
    list.append(group);
    return { key, value };
  });
  return (values) => cells.forEach(({ key, value }) => setText(value, values[key] ?? "–"));
}

/**
 * What figures mean, for those who cannot hover.
 * @param {HTMLElement} list a `dl`
 * @param {readonly { name: string, title?: string }[]} rows
 */
export function explain(list, rows) {
  list.append(...rows.map(({ name, title = "" }) => create("div", "", create("dt", "", name), create("dd", "", `${title}.`))));
}
