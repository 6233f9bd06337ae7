// The side panel: what travelled between Slack and the bot, newest first.

import { time } from "./dates.js";
import { fill, h, icon } from "./dom.js";
import { ask, state } from "./store.js";

const seconds = (at) => {
  const date = new Date(at * 1000);
  return `${time(date).replace(/\s?[AP]M/i, "")}:${String(date.getSeconds()).padStart(2, "0")}`;
};

const json = (value) => h("pre", { class: "code" }, h("code", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2)));

function entry(one) {
  const toBot = one.way === "to bot";
  const failed = one.ok === false;
  const state_ = failed ? "failed" : one.ok === null ? "on its way" : one.took === undefined ? "ok" : `acknowledged in ${Math.round(one.took * 1000)} ms`;
  const inside = () => [h("p", {}, toBot ? "Slack sent" : "The bot sent"), json(one.sent), h("p", {}, "Answer"), json(one.answer ?? "…")];
  const made = h("details", { class: `travelled ${toBot ? "to-bot" : "to-slack"}${failed ? " failed" : ""}` },
    h("summary", {},
      h("span", { class: "arrow", "aria-hidden": "true" }, toBot ? "→" : "←"),
      h("span", { class: "travelled-name" }, one.name),
      h("span", { class: "travelled-state" }, `${one.way}, ${state_}`),
      h("span", { class: "time" }, seconds(one.at))));
  made.addEventListener("toggle", () => made.open && made.childElementCount === 1 && made.append(...inside()));
  return made;
}

/** The panel. `toggle` is the button that opens and closes it. */
export function trafficPanel(panel, toggle) {
  const list = h("div", { class: "panel-body" });
  let drawn = -1;
  let asking = false;

  async function refresh() {
    if (panel.hidden || asking || drawn === state.traffic) return;
    asking = true;
    try {
      const { count, entries } = await ask("traffic");
      drawn = count;
      draw(entries);
    } catch {
      drawn = -1;
    }
    asking = false;
    if (drawn >= 0 && drawn < state.traffic) refresh();
  }

  function draw(entries) {
    const there = new Map([...list.children].map((child) => [child.dataset.key, child]));
    const wanted = entries.map((one) => {
      const key = `${one.at} ${one.way} ${one.name} ${one.ok}`;
      const element = there.get(key) ?? entry(one);
      element.dataset.key = key;
      return element;
    });
    const open = document.activeElement;
    fill(list, wanted.reverse(), entries.length ? "" : h("p", { class: "nothing" }, "Nothing yet. Type a command and look again."));
    if (list.contains(open)) open.focus({ preventScroll: true });
  }

  function open(isOpen) {
    panel.hidden = !isOpen;
    toggle.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) {
      drawn = -1;
      refresh();
      panel.querySelector("button").focus({ preventScroll: true });
    } else toggle.focus();
  }

  fill(panel,
    h("header", { class: "panel-head" },
      h("div", {}, h("h2", {}, "What travelled"), h("p", {}, "Between Slack and the bot, newest first")),
      h("button", { type: "button", class: "tool", "aria-label": "Close this panel", onclick: () => open(false) }, icon("close"))),
    list);
  fill(toggle, icon("swap"), h("span", { class: "tool-text" }, "What travelled"));
  toggle.addEventListener("click", () => open(panel.hidden));
  panel.addEventListener("keydown", (event) => event.key === "Escape" && open(false));
  return refresh;
}
