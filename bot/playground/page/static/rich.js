// rich_text blocks: their format is structure, so nothing has to be parsed.

import { h, link } from "./dom.js";
import { emoji } from "./emoji.js";
import { channelMention, dateElement, emojiElement, mention } from "./mrkdwn.js";

const WRAPPED = { bold: "strong", italic: "em", strike: "s", code: "code", underline: "u" };

function leaf(part) {
  const drawn = DRAWN[part.type]?.(part) ?? "";
  return Object.entries(WRAPPED).reduce(
    (inner, [name, tag]) => (part.style?.[name] ? h(tag, {}, inner) : inner),
    drawn,
  );
}

const DRAWN = {
  text: (part) => part.text.split("\n").flatMap((line, n) => (n ? [h("br"), line] : [line])).length > 1
    ? h("span", {}, part.text.split("\n").flatMap((line, n) => (n ? [h("br"), line] : [line])))
    : part.text,
  link: (part) => link(part.url, part.text || part.url),
  emoji: (part) => (emoji(part.name) ? emojiElement(part.name, emoji(part.name)) : `:${part.name}:`),
  user: (part) => mention(part.user_id),
  channel: (part) => channelMention(part.channel_id),
  usergroup: (part) => h("span", { class: "mention" }, `@${part.usergroup_id}`),
  team: (part) => h("span", { class: "mention" }, `@${part.team_id}`),
  broadcast: (part) => h("span", { class: "mention everyone" }, `@${part.range}`),
  date: (part) => dateElement(part.timestamp, part.format ?? "{date} {time}", part.fallback ?? ""),
  color: (part) => h("span", { class: "swatch" }, h("i", { style: { background: part.value } }), part.value),
};

function list(part) {
  const ordered = part.style === "ordered";
  const indent = Math.min(Number(part.indent) || 0, 8);
  return h(ordered ? "ol" : "ul", {
    class: `indent-${indent}`,
    start: ordered && part.offset ? part.offset + 1 : null,
  }, part.elements.map((item) => h("li", {}, item.elements.map(leaf))));
}

const PARTS = {
  rich_text_section: (part) => h("div", { class: "rich-section" }, part.elements.map(leaf)),
  rich_text_preformatted: (part) =>
    h("pre", { class: "code" }, h("code", {}, part.elements.map((e) => e.text ?? e.url ?? "").join(""))),
  rich_text_quote: (part) => h("blockquote", {}, part.elements.map(leaf)),
  rich_text_list: list,
};

/** A rich_text block (or one inside a table's cell or a task). */
export function richText(block) {
  return h("div", { class: "rich" }, (block.elements ?? []).map((part) => PARTS[part.type]?.(part)));
}
