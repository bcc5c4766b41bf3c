// What stands where on a page, measured in the page itself.

/** @typedef {import("playwright-core").Page} Page */

/**
 * The lower edge of an element in the document; Infinity if it is not shown.
 * @param {Page} page
 * @param {string} selector
 */
export function bottom(page, selector) {
  return page.locator(selector).first().evaluate((element) => {
    const { height, bottom } = element.getBoundingClientRect();
    return height === 0 ? Infinity : bottom + scrollY;
  });
}

/** @param {Page} page */
export function pageLength(page) {
  return page.evaluate(() => document.documentElement.scrollHeight);
}

/**
 * How far down the panels reach in the column that ends first, as a share of the page.
 * @param {Page} page
 */
export function shortestColumn(page) {
  return page.evaluate(() => {
    const panels = [...document.querySelectorAll("main .panel")].map((panel) => panel.getBoundingClientRect()).filter(({ height }) => height > 0);
    const [top, end] = [Math.min(...panels.map(({ top }) => top)), Math.max(...panels.map(({ bottom }) => bottom))];
    const reach = (/** @type {number} */ x) => Math.max(...panels.filter(({ left, right }) => left <= x && x <= right).map(({ bottom }) => bottom));
    // The middle of a panel over several columns may be a gap between them.
    const middles = panels.filter(({ width }) => width < innerWidth * 0.6).map(({ left, width }) => left + width / 2);
    return Math.min(...middles.map(reach).map((bottom) => bottom - top)) / (end - top);
  });
}

/**
 * Texts that run into another text or out of their panel.
 * @param {Page} page
 */
export function collisions(page) {
  return page.evaluate(() => {
    /** @type {{ text: string, parent: Element, box: DOMRect }[]} */
    const texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const parent = node.parentElement;
      const text = node.textContent?.trim() ?? "";
      // What scrolls may be wider than its panel; what screen readers alone get has no place.
      if (text === "" || parent === null || !parent.checkVisibility({ visibilityProperty: true }) || parent.closest(".unseen, .skip, .scroll, .log, .alerts, option, script, noscript")) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) if (box.width > 1) texts.push({ text, parent, box });
    }
    const found = new Set();
    for (const [index, { text, parent, box }] of texts.entries()) {
      const panel = parent.closest(".panel, .bar")?.getBoundingClientRect();
      if (panel !== undefined && (box.left < panel.left - 1 || box.right > panel.right + 1)) found.add(`"${text}" leaves its panel`);
      for (const other of texts.slice(index + 1)) {
        if (other.parent === parent) continue;
        const [width, height] = [Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left), Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top)];
        // Line boxes of dense lines touch; letters do not.
        if (width > 1 && height > box.height / 3) found.add(`"${text}" meets "${other.text}"`);
      }
    }
    return [...found];
  });
}

/**
 * The spacing that users may set without loss (WCAG 2.2, 1.4.12).
 * @param {Page} page
 */
export function spaceText(page) {
  return page.addStyleTag({
    content: "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-bottom: 2em !important }",
  });
}
