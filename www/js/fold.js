// Panels that are rarely needed. A phone shows their titles only, because it has a small window and a long page.

const NARROW = "(max-width: 520px)";

/** Folds them once, when the page begins. Later each is as the user leaves it. */
export function foldOnPhones() {
  if (!matchMedia(NARROW).matches) return;
  for (const panel of document.querySelectorAll("details.fold")) panel.removeAttribute("open");
}
