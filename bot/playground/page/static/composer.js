// Where one types: Enter sends, "/" shows the commands, ArrowUp brings back what was sent before.

import { fill, h, icon } from "./dom.js";
import { newId } from "./elements.js";

const HISTORY = 50;

const verbOf = (usage) => usage.split(/\s+/)[1] ?? "";
const commandOf = (usage) => usage.split(/\s+/)[0];

/** What fits what was typed so far: {list} to choose from, or {usage} of the one verb meant. */
export function hints(text, commands) {
  if (!text.startsWith("/") || text.includes("\n")) return { list: [] };
  const [command, verb, ...rest] = text.split(/\s+/);
  const known = commands.filter(([usage]) => commandOf(usage).startsWith(command));
  if (verb === undefined) return { list: known };
  const mine = known.filter(([usage]) => commandOf(usage) === command);
  const exact = mine.find(([usage]) => verbOf(usage) === verb);
  if (rest.length) return { list: [], usage: exact };
  return { list: mine.filter(([usage]) => verbOf(usage).startsWith(verb)), usage: exact };
}

/**
 * A composer.
 *
 * names: the data-testid of field and button. commands(): [usage, summary] pairs.
 * send(text): a promise; the text comes back into the field where it fails.
 */
export function composer({ names, label, commands, send, historyKey }) {
  const id = newId("hints");
  const field = h("textarea", {
    rows: "1", class: "composer-field", dataset: { testid: names.field }, "aria-label": label(), placeholder: label(),
    "aria-controls": id, "aria-expanded": "false", "aria-autocomplete": "list", spellcheck: "false", autocapitalize: "off",
  });
  const list = h("div", { class: "hint-list", role: "listbox", id, "aria-label": "Commands" });
  const usage = h("div", { class: "hint-usage" });
  const popup = h("div", { class: "hints", hidden: true }, list, usage);
  const button = h("button", { type: "button", class: "send", dataset: { testid: names.send }, "aria-label": "Send", title: "Send" }, icon("send", 18));
  const tip = h("span", { class: "composer-tip" });
  const foot = h("div", { class: "composer-foot" }, tip, button);
  let shown = [];
  let at = -1;
  let past = -1;
  let closed = false;

  const history = () => JSON.parse(sessionStorage.getItem(historyKey()) ?? "[]");
  const grow = () => {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, 200)}px`;
  };
  const set = (text) => {
    field.value = text;
    field.setSelectionRange(text.length, text.length);
    grow();
  };

  function mark(n) {
    at = n;
    [...list.children].forEach((item, k) => item.setAttribute("aria-selected", String(k === n)));
    if (n >= 0) {
      field.setAttribute("aria-activedescendant", `${id}-${n}`);
      list.children[n].scrollIntoView({ block: "nearest" });
    } else field.removeAttribute("aria-activedescendant");
  }

  function complete(n) {
    const [line] = shown[Math.max(n, 0)];
    // Nothing marked and no verb begun: only the command is meant.
    const verb = n < 0 && !/\s/.test(field.value) ? "" : verbOf(line);
    set(`${commandOf(line)} ${verb ? `${verb} ` : ""}`);
    closed = false;
    show();
    field.focus();
  }

  function show() {
    const found = closed ? { list: [] } : hints(field.value, commands());
    shown = found.list;
    fill(list, shown.map(([line, summary], n) =>
      h("div", { class: "hint", role: "option", id: `${id}-${n}`, "aria-selected": "false",
        onmousedown: (event) => (event.preventDefault(), complete(n)) },
        h("code", {}, line), h("span", {}, summary))));
    const told = found.usage && (shown.length !== 1 || field.value.trim().split(/\s+/).length > 2) ? found.usage : null;
    fill(usage, told ? [h("code", {}, told[0]), h("span", {}, told[1])] : "");
    usage.hidden = !told;
    list.hidden = !shown.length;
    popup.hidden = !shown.length && !told;
    field.setAttribute("aria-expanded", String(Boolean(shown.length)));
    mark(-1);
    button.classList.toggle("ready", Boolean(field.value.trim()));
  }

  async function submit() {
    const text = field.value.trim();
    if (!text) return;
    sessionStorage.setItem(historyKey(), JSON.stringify([...history().filter((t) => t !== text), text].slice(-HISTORY)));
    past = -1;
    set("");
    show();
    try {
      await send(text);
    } catch {
      if (!field.value) set(text);
      show();
    }
  }

  function recall(step) {
    const all = history();
    const next = past + step;
    if (next < -1 || next >= all.length) return;
    past = next;
    set(past < 0 ? "" : all[all.length - 1 - past]);
    closed = true;
    show();
  }

  field.addEventListener("input", () => {
    closed = false;
    past = -1;
    grow();
    show();
  });
  field.addEventListener("blur", () => (popup.hidden = true));
  field.addEventListener("focus", show);
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const choosing = shown.length > 0 && !popup.hidden;
    const { key, shiftKey } = event;
    const onlyPart = field.value.startsWith("/") && !/\s/.test(field.value) && !commands().some(([u]) => commandOf(u) === field.value);
    if (key === "Tab" && choosing && !shiftKey) complete(at);
    else if (key === "Enter" && !shiftKey && choosing && (at >= 0 || onlyPart)) complete(at);
    else if (key === "Enter" && !shiftKey) submit();
    else if (key === "Escape" && !popup.hidden) {
      closed = true;
      show();
    } else if (key === "ArrowDown" && choosing) mark((at + 1) % shown.length);
    else if (key === "ArrowUp" && choosing) mark(at <= 0 ? shown.length - 1 : at - 1);
    else if (key === "ArrowUp" && (!field.value || past >= 0)) recall(1);
    else if (key === "ArrowDown" && past >= 0) recall(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  button.addEventListener("click", () => {
    submit();
    field.focus();
  });

  const element = h("div", { class: "composer" }, popup, field, foot);
  return {
    element,
    focus: () => field.focus({ preventScroll: true }),
    relabel: () => {
      field.placeholder = label();
      field.setAttribute("aria-label", label());
      fill(tip, commands().length ? [h("kbd", {}, "/"), " commands, ", h("kbd", {}, "↑"), " what you sent before"] : "");
      past = -1;
    },
  };
}
