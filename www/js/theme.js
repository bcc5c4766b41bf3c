// Light, dark or the system's theme; the choice is remembered.

import { byId } from "./dom.js";

const KEY = "poolgate-theme";

/** @param {() => void} onChange the colors have changed */
export function followTheme(onChange) {
  const select = byId("theme", HTMLSelectElement);
  select.value = remembered();
  apply(select.value);
  select.addEventListener("change", () => {
    apply(select.value);
    remember(select.value);
    onChange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}

/** @param {string} theme */
function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

function remembered() {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === "light" || theme === "dark" ? theme : "auto";
  } catch {
    return "auto"; // Storage is switched off.
  }
}

/** @param {string} theme */
function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage is disabled: the choice holds for this visit.
  }
}
