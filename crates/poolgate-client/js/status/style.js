// @ts-check
// How <poolgate-status> looks.

const STYLE = `
  :host { display: inline-block; contain: content; font: 0.875rem/1.4 var(--poolgate-font, system-ui, sans-serif); }
  :host([hidden]), .base[hidden] { display: none; }
  :host([variant="banner"]) { display: block; }
  .base {
    --color: var(--poolgate-color-unknown, light-dark(#57606a, #9ea7b3));
    display: inline-flex; align-items: center; gap: 0.5em; color: var(--color);
  }
  .base[data-state="normal"] { --color: var(--poolgate-color-normal, light-dark(#0072b2, #56b4e9)); }
  .base[data-state="moderate"] { --color: var(--poolgate-color-moderate, light-dark(#8a6100, #e69f00)); }
  .base[data-state="aggressive"] { --color: var(--poolgate-color-aggressive, light-dark(#b84f00, #f0803c)); }
  .base[data-state="emergency"] { --color: var(--poolgate-color-emergency, light-dark(#8b1a4f, #ff9ac8)); }
  .icon { inline-size: 1em; text-align: center; }
  .base[data-variant="badge"] {
    padding: 0.125em 0.75em; border: 1px solid currentColor; border-radius: var(--poolgate-radius, 0.8em);
    background: var(--poolgate-bg, Canvas);
  }
  :host([variant="dot"]) { contain: none; position: relative; }
  .base[data-variant="dot"] .label { position: absolute; inset-block-end: 100%; inset-inline-start: 0; white-space: nowrap; }
  .base[data-variant="dot"]:not(:hover, :focus) .label { inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
  .base[data-variant="dot"]:is(:hover, :focus) .label {
    padding: 0.25em 0.5em; border: 1px solid currentColor; border-radius: 0.25em; background: var(--poolgate-bg, Canvas);
  }
  .age { font-size: 0.857em; white-space: nowrap; }
  .base[data-variant="dot"] .age, .age:empty { display: none; }
  .base[data-variant="banner"] .age { color: var(--poolgate-text, CanvasText); }
  .base:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
  .base[data-variant="banner"] {
    display: flex; flex-wrap: wrap; padding: 0.75em 1em; border-inline-start: 0.375em solid currentColor;
    background: var(--poolgate-bg, Canvas); border-radius: var(--poolgate-radius, 0);
  }
  .base[data-variant="banner"][hidden] { display: none; }
  .base[data-variant="banner"] .label { flex: 1 1 14em; color: var(--poolgate-text, CanvasText); }
  button {
    font: inherit; color: inherit; min-block-size: 1.75rem; padding: 0 0.75em; margin-inline-start: auto; cursor: pointer;
    background: transparent; border: 1px solid currentColor; border-radius: 0.25em;
  }
  button[aria-disabled="true"] { opacity: 0.7; cursor: default; }
  button[hidden] { display: none; }
  button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
  @media (forced-colors: active) { .base { color: CanvasText; } }
`;

/** @type {CSSStyleSheet | undefined} */
let sheet;

/**
 * Uses a constructed sheet, which a content security policy allows that forbids inline styles.
 * @param {ShadowRoot} root
 */
export function adopt(root) {
  try {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
    }
    root.adoptedStyleSheets = [sheet];
  } catch {
    // An old browser shows the element without style.
  }
}
