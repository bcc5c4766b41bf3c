// The few ways in which the page touches its document.

/**
 * The element with an id; a page without it is broken, which must show at once.
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
 * Sets a text, only when it differs: figures come twice a second, and most are the same.
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
 * A definition list that is built once and then only changes its values.
 * @param {HTMLElement} list a `dl`
 * @param {readonly { name: string, title?: string, key: string }[]} rows
 * @returns {(values: Record<string, string>) => void}
 */
export function definitionList(list, rows) {
  const cells = rows.map(({ name, title = "", key }) => {
    const value = create("dd", "", "–");
    value.dataset["key"] = `${list.id}-${key}`;
    const group = create("div", "", create("dt", "", name), value);
    group.title = title;
    list.append(group);
    return { key, value };
  });
  return (values) => cells.forEach(({ key, value }) => setText(value, values[key] ?? "–"));
}
