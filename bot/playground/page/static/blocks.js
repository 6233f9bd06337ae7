// Every block that the bot can send. Unknown ones say so instead of vanishing.

import { h, safeUrl } from "./dom.js";
import { element, words } from "./elements.js";
import { withEmoji } from "./emoji.js";
import { field } from "./inputs.js";
import { markdown } from "./markdown.js";
import { richText } from "./rich.js";
import { chart, dataTable, table } from "./tables.js";

/** Only pictures that come with the page are loaded: it contacts no other host. */
function image(value, small = false) {
  const address = value.image_url ?? "";
  const alt = value.alt_text ?? "";
  if (/^data:image\/(png|jpeg|gif|webp);/.test(address)) {
    return h("img", { src: address, alt, class: small ? "picture small" : "picture" });
  }
  if (small) return h("span", { class: "picture-away small", title: alt }, alt);
  const href = safeUrl(address);
  return h("span", { class: "picture-away" }, "Picture: ",
    href ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, alt || href) : alt);
}

function section(block, context) {
  const accessory = block.accessory;
  return h("div", { class: "block section" },
    h("div", { class: "section-text" },
      block.text ? h("div", { class: "text" }, words(block.text)) : "",
      block.fields?.length
        ? h("div", { class: "fields" }, block.fields.map((one) => h("div", { class: "text" }, words(one))))
        : ""),
    accessory
      ? h("div", { class: "accessory" },
          accessory.type === "image" ? image(accessory) : element(accessory, block, context))
      : "");
}

const contextBlock = (block) =>
  h("div", { class: "block context" },
    block.elements.map((one) => (one.type === "image" ? image(one, true) : h("span", { class: "text" }, words(one)))));

const actions = (block, context) =>
  h("div", { class: "block actions" }, block.elements.map((one) => element(one, block, context)));

const imageBlock = (block) =>
  h("figure", { class: "block" }, block.title ? h("figcaption", {}, words(block.title)) : "", image(block));

const STATES = {
  complete: ["✓", "done"],
  in_progress: ["", "in progress"],
  error: ["!", "failed"],
  pending: ["", "to do"],
};

function task(value) {
  const [sign, told] = STATES[value.status] ?? STATES.pending;
  const more = [value.details, value.output].filter(Boolean).map(richText);
  return h("li", { class: `task ${value.status ?? "pending"}` },
    h("span", { class: "task-sign", role: "img", "aria-label": told }, sign),
    h("div", {}, h("span", { class: "task-title" }, withEmoji(value.title)), more));
}

const plan = (block) =>
  h("div", { class: "block plan" },
    h("p", { class: "plan-title" }, withEmoji(block.title)),
    h("ol", { class: "tasks" }, (block.tasks ?? []).map(task)));

const card = (block, context) =>
  h("div", { class: "block card" },
    block.hero_image ? image(block.hero_image) : "",
    h("div", { class: "card-head" },
      block.icon ? image(block.icon, true) : "",
      h("div", {},
        block.title ? h("div", { class: "card-title" }, words(block.title)) : "",
        block.subtitle ? h("div", { class: "card-subtitle" }, words(block.subtitle)) : "")),
    block.body ? h("div", { class: "text" }, words(block.body)) : "",
    block.actions?.length ? actions({ ...block, elements: block.actions }, context) : "");

function container(block, context) {
  const head = [words(block.title), block.subtitle ? h("small", {}, words(block.subtitle)) : ""];
  const inside = blocks(block.child_blocks ?? [], context);
  if (!block.is_collapsible) {
    return h("div", { class: "block container" }, block.title ? h("div", { class: "container-title" }, head) : "", inside);
  }
  return h("details", { class: "block container", open: !block.default_collapsed },
    h("summary", { class: "container-title" }, head), inside);
}

const DRAWN = {
  section,
  context: contextBlock,
  actions,
  header: (block) => h("h3", { class: "block header" }, words(block.text)),
  divider: () => h("hr", { class: "block" }),
  image: imageBlock,
  input: field,
  rich_text: (block) => h("div", { class: "block text" }, richText(block)),
  markdown: (block) => h("div", { class: "block text markdown" }, markdown(block.text)),
  table: (block) => h("div", { class: "block" }, table(block)),
  data_table: (block) => h("div", { class: "block" }, dataTable(block)),
  data_visualization: (block) => h("div", { class: "block" }, chart(block)),
  plan,
  task_card: (block) => h("ol", { class: "block tasks alone" }, task(block)),
  alert: (block) => h("div", { class: `block alert ${block.level ?? "default"}`, role: "note" }, words(block.text)),
  card,
  carousel: (block, context) =>
    h("div", { class: "block carousel", tabindex: "0" }, block.elements.map((one) => card(one, context))),
  container,
};

/** Blocks as elements. */
export function blocks(list, context) {
  return list.map((block) => DRAWN[block.type]?.(block, context)
    ?? h("div", { class: "block unknown" }, `A block of the type ${block.type}, which is not drawn here.`));
}
