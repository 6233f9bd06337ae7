// The panel beside the messages: one message with its replies, and a field to answer.

import { composer } from "./composer.js";
import { fill, h, icon } from "./dom.js";
import { items, reconcile } from "./messages.js";
import { state } from "./store.js";

export function threadPanel(panel, { send, close, contextFor, title }) {
  const list = h("div", { class: "panel-body messages", tabindex: "0" });
  const where = h("p");
  const field = composer({
    names: { field: "thread-composer", send: "thread-send" },
    label: () => "Reply…",
    commands: () => [],
    send,
    historyKey: () => `replied/${state.user}`,
  });
  fill(panel,
    h("header", { class: "panel-head" }, h("div", {}, h("h2", {}, "Thread"), where),
      h("button", { type: "button", class: "tool", "aria-label": "Close the thread", dataset: { testid: "thread-close" }, onclick: close }, icon("close"))),
    list,
    h("div", { class: "composer-slot" }, field.element));
  panel.addEventListener("keydown", (event) => event.key === "Escape" && close());

  return {
    focus: () => field.focus(),
    draw(parent, replies) {
      const wasHidden = panel.hidden;
      panel.hidden = !parent;
      if (!parent) return;
      const stick = wasHidden || list.scrollHeight - list.scrollTop - list.clientHeight < 120;
      where.textContent = title();
      const count = replies.length === 1 ? "1 reply" : `${replies.length} replies`;
      const line = { key: "replies", sign: count, make: () => h("div", { class: "day reply-line" }, h("span", {}, count)) };
      const [first, ...rest] = [items([parent], null, { contextFor }), items(replies, null, { contextFor })];
      reconcile(list, [...first, ...(replies.length ? [line] : []), ...rest.flat().filter(({ key }) => !key.startsWith("day "))]);
      if (stick) list.scrollTop = list.scrollHeight;
    },
  };
}
