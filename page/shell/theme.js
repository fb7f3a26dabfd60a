/** Light or dark: as the system has it, until the reader chooses. */

const PLACE = "lucarne.theme";

/** @returns {"light"|"dark"} */
export function theme() {
  const kept = localStorage.getItem(PLACE);
  if (kept === "light" || kept === "dark") return kept;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

export function toggleTheme() {
  localStorage.setItem(PLACE, theme() === "dark" ? "light" : "dark");
  applyTheme();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
