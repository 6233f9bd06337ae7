// The fields of a modal. Each drawn field has `read()`, which gives what was typed or chosen.

import { fill, h } from "./dom.js";
import { choiceList, newId, sourceOf, typeAhead, words } from "./elements.js";

function text(element, kept) {
  const props = {
    class: "field",
    placeholder: words(element.placeholder) || null,
    maxlength: element.max_length,
    minlength: element.min_length,
  };
  const types = { email_text_input: "email", url_text_input: "url", number_input: "number",
    datepicker: "date", timepicker: "time", datetimepicker: "datetime-local" };
  const made = element.multiline || element.type === "rich_text_input"
    ? h("textarea", { ...props, rows: "4" })
    : h("input", { ...props, type: types[element.type] ?? "text" });
  const initial = element.initial_value ?? element.initial_date ?? element.initial_time ?? "";
  made.value = kept ?? initial;
  made.read = () => made.value;
  return made;
}

/** A menu for one choice. What an external menu gives is the option itself, as the app must know it. */
function single(element, block, context, kept) {
  const external = element.type.endsWith("external_select");
  let option = kept ?? element.initial_option;
  const made = typeAhead({
    placeholder: words(element.placeholder) || "Choose…", label: block.label.text,
    initial: option?.text?.text, source: sourceOf(element, block, context),
    chosen: (choice) => {
      option = choice.option;
      if (block.dispatch_action) context.act(block, element, option, undefined, context.values());
    },
  });
  made.read = () => (external ? option : option?.value);
  made.keep = () => option;
  return made;
}

function several(element, block, context, kept) {
  const external = element.type.endsWith("external_select");
  let options = kept ?? [...(element.initial_options ?? [])];
  const chips = h("div", { class: "chips" });
  const draw = () => fill(chips, options.map((option) =>
    h("span", { class: "chip" }, words(option.text),
      h("button", { type: "button", "aria-label": `Remove ${option.text.text}`,
        onclick: () => { options = options.filter((o) => o !== option); draw(); } }, "×"))));
  draw();
  const made = h("div", {}, chips, typeAhead({
    placeholder: words(element.placeholder) || "Add…", label: block.label.text, clearable: true,
    source: sourceOf(element, block, context),
    chosen: ({ option }) => {
      if (!options.some((o) => o.value === option.value)) options = [...options, option];
      draw();
    },
  }));
  made.read = () => (external ? options : options.map((o) => o.value));
  made.keep = () => options;
  return made;
}

function boxes(element, kept) {
  const given = kept ? { ...element, initial_options: kept, initial_option: undefined } : element;
  const made = choiceList(given, newId("choice"));
  made.read = () => {
    const values = made.chosen().map((option) => option.value);
    return element.type === "checkboxes" ? values : values[0];
  };
  made.keep = () => made.chosen();
  return made;
}

function control(block, context, kept) {
  const { element } = block;
  if (["checkboxes", "radio_buttons"].includes(element.type)) return boxes(element, kept);
  if (element.type.startsWith("multi_")) return several(element, block, context, kept);
  if (element.type.endsWith("_select")) return single(element, block, context, kept);
  return text(element, kept);
}

/** An input block: label, field, hint, and what is wrong with it. */
export function field(block, context) {
  const made = control(block, context, context.kept?.(block.block_id));
  const [id, hint, error] = [newId("field"), newId("hint"), newId("error")];
  const wrong = context.errors?.[block.block_id];
  const target = made.matches("input, textarea") ? made : (made.querySelector("input") ?? made);
  target.id ||= id;
  const about = [wrong ? error : "", block.hint ? hint : ""].filter(Boolean).join(" ");
  if (about) target.setAttribute("aria-describedby", about);
  if (wrong) target.setAttribute("aria-invalid", "true");
  if (!block.optional) target.setAttribute("aria-required", "true");
  context.register?.(block.block_id, made);
  // A label "for" the first of several boxes would tick it when clicked.
  const many = made.matches(".boxes");
  const labelId = newId("label");
  if (many) made.setAttribute("aria-labelledby", labelId);
  return h("div", { class: wrong ? "block input wrong" : "block input", dataset: { block: block.block_id } },
    h(many ? "div" : "label", { class: "label", id: labelId, for: many ? null : target.id }, words(block.label),
      block.optional ? h("span", { class: "optional" }, " (optional)") : ""),
    made,
    wrong ? h("p", { class: "error", id: error, role: "alert" }, wrong) : "",
    block.hint ? h("p", { class: "hint", id: hint }, words(block.hint)) : "");
}
