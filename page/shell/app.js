/** `<lucarne-app>`: the head of the page, and below it the view that the address names. */

import { fill, h, icon } from "../dom.js";
import { language, setLanguage, t } from "../language/index.js";
import { models, modelsProblem, onModels, refreshModels } from "../server/models.js";
import { onReach } from "../server/request.js";
import { VIEWS, href, onChange, read } from "../state/address.js";
import { theme, toggleTheme } from "./theme.js";
import "../parts/key-dialog.js";
import "../parts/problem-box.js";
import "../views/compare/compare-view.js";
import "../views/explain/explain-view.js";
import "../views/status/status-view.js";
import "../views/try/try-view.js";

const SUN = "M10 6a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM9 1h2v3H9zM9 16h2v3H9zM1 9h3v2H1zM16 9h3v2h-3zM3.2 4.6l1.4-1.4 2 2-1.4 1.4zM13.4 14.8l1.4-1.4 2 2-1.4 1.4zM3.2 15.4l2-2 1.4 1.4-2 2zM13.4 5.2l2-2 1.4 1.4-2 2z";
const MOON = "M13.6 2.4A8 8 0 1 0 18 12.2 6.5 6.5 0 0 1 13.6 2.4z";
/** What a change of view keeps: what is looked at, not how. */
const CARRIED = ["model", "picture", "other"];

class LucarneApp extends HTMLElement {
  #banner = h("p.banner", { role: "alert", hidden: true });
  #links = new Map();
  #main = h("main", { id: "main", tabIndex: -1 });
  #view = null;

  connectedCallback() {
    this.#build();
    onChange(() => this.#show());
    onModels(() => this.#show());
    onReach((isThere) => this.#reach(isThere));
    refreshModels();
  }

  #build() {
    document.documentElement.lang = language();
    this.#links = new Map(VIEWS.map((view) => [view, h("a.view-link", { href: `#${view}` }, t(`view.${view}`))]));
    fill(this,
      h("a.skip", { href: "#main", on: { click: (event) => this.#skip(event) } }, t("shell.skip")),
      h("header.top", {},
        h("a.brand", { href: "#try" }, mark(), h("span", {}, "Lucarne")),
        h("nav", { "aria-label": t("shell.views") }, [...this.#links.values()]),
        h("span.grow"),
        this.#languageSwitch(), this.#themeSwitch()),
      this.#banner, this.#main, h("key-dialog"));
    this.#view = null;
    this.#show();
  }

  #skip(event) {
    event.preventDefault();
    this.#main.focus();
  }

  #languageSwitch() {
    const other = language() === "en" ? "fr" : "en";
    const act = () => {
      setLanguage(other);
      this.#banner.textContent = t("server.away");
      this.#build();
      this.querySelector(".language").focus();
    };
    const name = { en: "English", fr: "Français" }[other];
    return h("button.quiet.language", { type: "button", lang: other, title: name, "aria-label": name, on: { click: act } }, other.toUpperCase());
  }

  #themeSwitch() {
    const button = h("button.quiet.square", { type: "button", title: t("shell.theme"), "aria-label": t("shell.theme") });
    const paint = () => {
      fill(button, icon(theme() === "dark" ? SUN : MOON));
      button.setAttribute("aria-pressed", String(theme() === "dark"));
    };
    button.addEventListener("click", () => {
      toggleTheme();
      paint();
    });
    paint();
    return button;
  }

  #show() {
    const { view, params } = read();
    const carried = Object.fromEntries(CARRIED.map((name) => [name, params[name]]));
    for (const [name, link] of this.#links) {
      link.href = href(name, carried);
      if (name === view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${t(`view.${view}`)} · Lucarne`;
    if (this.#view?.localName !== `${view}-view`) {
      this.#view = h(`${view}-view`);
      fill(this.#main, h("h1.visually-hidden", {}, t(`view.${view}`)), this.#view);
    }
    if (models() === null && view !== "status") return this.#wait();
    return this.#view.show(params);
  }

  #wait() {
    const box = h("problem-box");
    fill(this.#main, box);
    this.#view = null;
    if (modelsProblem() !== null) box.problem = modelsProblem();
  }

  #reach(isThere) {
    this.#banner.textContent = t("server.away");
    this.#banner.hidden = isThere;
    refreshModels();
    // What was asked for meanwhile had no answer.
    if (isThere) this.#show();
  }
}

/** The sign: a skylight, ajar. */
function mark() {
  const svg = icon("M3 4.5 10 2l7 2.5V16H3zm2 1.4V14h4V4.5zm6-1.4V14h4V5.9z");
  svg.setAttribute("class", "icon mark");
  return svg;
}

customElements.define("lucarne-app", LucarneApp);
