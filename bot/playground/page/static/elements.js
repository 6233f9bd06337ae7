// Buttons, menus and pickers inside blocks. `context.act(block, element, value)` does what they ask.

import { fill, h, safeUrl } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { mrkdwn } from "./mrkdwn.js";

export const words = (text) =>
  !text ? "" : text.type === "mrkdwn" ? mrkdwn(text.text, { verbatim: text.verbatim }) : withEmoji(text.text ?? text);

let serial = 0;
export const newId = (prefix) => `${prefix}-${(serial += 1)}`;

function button(element, block, context) {
  const made = h("button", {
    type: "button",
    class: `button ${element.style ?? ""}`.trim(),
    "aria-label": element.accessibility_label,
    dataset: { action: element.action_id ?? "", block: block.block_id ?? "" },
  }, withEmoji(element.text.text));
  made.addEventListener("click", () => {
    const url = element.url && safeUrl(element.url);
    context.act(block, element, undefined, made);
    if (url) window.open(url, "_blank", "noopener,noreferrer");
  });
  return made;
}

/** All options of a menu, with the label of their group. */
export const optionsOf = (element) =>
  (element.options ?? []).map((option) => ({ option })).concat(
    (element.option_groups ?? []).flatMap((group) =>
      group.options.map((option) => ({ option, group: group.label.text }))),
  );

/**
 * A field that narrows its list down while somebody types. `source(typed)` gives the choices (or a
 * promise of them); `chosen(choice)` is called with {option, group}.
 */
export function typeAhead({ placeholder, label, initial, source, chosen, clearable }) {
  const id = newId("list");
  const list = h("ul", { class: "choices", role: "listbox", id, hidden: true });
  const input = h("input", {
    type: "text", class: "field", role: "combobox", autocomplete: "off", "aria-expanded": "false",
    "aria-controls": id, "aria-autocomplete": "list", "aria-label": label, placeholder,
  });
  input.value = initial ?? "";
  let shown = [];
  let at = -1;
  let turn = 0;
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const pick = (choice) => {
    input.value = clearable ? "" : choice.option.text.text;
    close();
    chosen(choice);
  };
  const mark = (n) => {
    at = n;
    [...list.querySelectorAll("[role=option]")].forEach((item, k) => {
      item.setAttribute("aria-selected", String(k === n));
      if (k === n) {
        input.setAttribute("aria-activedescendant", item.id);
        item.scrollIntoView({ block: "nearest" });
      }
    });
  };
  const open = async (typed) => {
    const mine = (turn += 1);
    const found = await source(typed);
    if (mine !== turn) return;
    shown = found;
    let group;
    fill(list, found.map((choice, n) => [
      choice.group && choice.group !== group ? h("li", { class: "choice-group", role: "presentation" }, (group = choice.group)) : "",
      h("li", { class: "choice", role: "option", id: `${id}-${n}`, onmousedown: (e) => (e.preventDefault(), pick(choice)) },
        words(choice.option.text), choice.option.description ? h("small", {}, words(choice.option.description)) : ""),
    ]), found.length ? "" : h("li", { class: "choice-none" }, "Nothing fits"));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(found.length ? 0 : -1);
  };
  input.addEventListener("input", () => open(input.value));
  input.addEventListener("focus", () => { input.select(); open(""); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) open("");
      else if (shown.length) mark((at + (event.key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length);
    } else if (event.key === "Enter" && !list.hidden) {
      event.preventDefault();
      if (shown[at]) pick(shown[at]);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });
  return h("div", { class: "type-ahead" }, input, list);
}

/** The choices of a menu that came with the block, or that the app suggests. */
export function sourceOf(element, block, context) {
  if (element.type.endsWith("external_select")) {
    return (typed) => context.suggest(block, element, typed).then((found) => found.map((option) => ({ option })));
  }
  const named = { users_select: context.people, channels_select: context.channels, conversations_select: context.channels };
  const all = named[element.type]
    ? named[element.type]().map(({ id, name }) => ({ option: { value: id, text: { type: "plain_text", text: name } } }))
    : optionsOf(element);
  return (typed) => all.filter(({ option }) => option.text.text.toLowerCase().includes(typed.trim().toLowerCase()));
}

function menu(element, block, context) {
  const initial = element.initial_option?.text.text;
  const picker = element.type !== "static_select" && !element.type.endsWith("external_select");
  return typeAhead({
    placeholder: words(element.placeholder) || "Choose…", label: words(element.placeholder) || "Choose", initial,
    source: sourceOf(element, block, context),
    chosen: ({ option }) => context.act(block, element, picker ? option.value : option),
  });
}

function overflow(element, block, context) {
  const choose = (option) => () => {
    made.open = false;
    context.act(block, element, option);
  };
  const made = h("details", { class: "overflow" },
    h("summary", { class: "button", "aria-label": "More" }, "⋯"),
    h("div", { class: "choices" }, element.options.map((option) =>
      h("button", { type: "button", class: "choice", onclick: choose(option) }, words(option.text)))));
  return made;
}

function boxes(element, block, context) {
  return choiceList(element, newId("box"), (chosen) =>
    context.act(block, element, element.type === "checkboxes" ? chosen : chosen[0]));
}

/** Check boxes or radio buttons; `changed` gets the options that are chosen. */
export function choiceList(element, name, changed = () => {}) {
  const kind = element.type === "checkboxes" ? "checkbox" : "radio";
  const first = [...(element.initial_options ?? []), element.initial_option].filter(Boolean).map((o) => o.value);
  const made = h("div", { class: "boxes", role: kind === "radio" ? "radiogroup" : "group" },
    element.options.map((option) =>
      h("label", { class: "box" },
        h("input", { type: kind, name, value: option.value, checked: first.includes(option.value) }),
        h("span", {}, words(option.text), option.description ? h("small", {}, words(option.description)) : ""))));
  made.chosen = () =>
    [...made.querySelectorAll("input")].flatMap((box, n) => (box.checked ? [element.options[n]] : []));
  made.addEventListener("change", () => changed(made.chosen()));
  return made;
}

const picker = (type) => (element, block, context) =>
  h("input", {
    type, class: "field", "aria-label": words(element.placeholder) || type,
    value: element.initial_date ?? element.initial_time,
    onchange: (event) => context.act(block, element, event.target.value),
  });

const DRAWN = {
  button, workflow_button: button, overflow, checkboxes: boxes, radio_buttons: boxes,
  static_select: menu, external_select: menu, users_select: menu, channels_select: menu,
  conversations_select: menu, multi_static_select: menu,
  datepicker: picker("date"), timepicker: picker("time"), datetimepicker: picker("datetime-local"),
};

/** One interactive element. */
export function element(value, block, context) {
  return DRAWN[value.type]?.(value, block, context) ?? h("span", { class: "unknown" }, `(${value.type})`);
}
