// Standard Markdown (the `markdown` block) as elements; HTML in it stays text.

import { h, link } from "./dom.js";
import { emoji } from "./emoji.js";
import { emojiElement } from "./mrkdwn.js";

const INLINE = [
  [/^(`+)(.+?)\1(?!`)/, (m) => h("code", {}, m[2].trim())],
  [/^!\[([^\]]*)\]\(([^)\s]+)[^)]*\)/, (m) => link(m[2], m[1] || m[2])],
  [/^\[([^\]]+)\]\(([^)\s]+)[^)]*\)/, (m) => link(m[2], ...inline(m[1]))],
  [/^<(https?:[^>\s]+)>/, (m) => link(m[1])],
  [/^(\*\*|__)(?=\S)(.+?)(?<=\S)\1/, (m) => h("strong", {}, ...inline(m[2]))],
  [/^(\*|_)(?=\S)(.+?)(?<=\S)\1(?![\p{L}\p{N}])/u, (m) => h("em", {}, ...inline(m[2]))],
  [/^~~(?=\S)(.+?)(?<=\S)~~/, (m) => h("s", {}, ...inline(m[1]))],
  [/^:([\w+-]+):/, (m) => (emoji(m[1]) ? emojiElement(m[1], emoji(m[1])) : m[0])],
  [/^\\([\\`*_{}[\]()#+\-.!|~>])/, (m) => m[1]],
  [/^https?:\/\/[^\s<>]+[^\s<>.,;:!?)]/, (m) => link(m[0])],
];

function inline(text) {
  const made = [];
  let plain = "";
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    const found = INLINE.map(([shape, make]) => [shape.exec(rest), make]).find(([match]) => match);
    if (!found) {
      plain += text[at];
      at += 1;
      continue;
    }
    if (plain) made.push(plain);
    plain = "";
    made.push(found[1](found[0]));
    at += found[0][0].length;
  }
  return plain ? [...made, plain] : made;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((c) => c.trim());

function table(lines) {
  const row = (line, tag) => h("tr", {}, cells(line).map((cell) => h(tag, {}, ...inline(cell))));
  return h("div", { class: "table-scroll", tabindex: "0" },
    h("table", {}, h("thead", {}, row(lines[0], "th")), h("tbody", {}, lines.slice(2).map((l) => row(l, "td")))));
}

function list(lines) {
  const ordered = /^\s*\d/.test(lines[0]);
  const made = h(ordered ? "ol" : "ul");
  const depth = (line) => /^\s*/.exec(line)[0].length;
  for (let n = 0; n < lines.length; ) {
    let end = n + 1;
    while (end < lines.length && depth(lines[end]) > depth(lines[0])) end += 1;
    let text = lines[n].replace(/^\s*([-*+]|\d+[.)])\s+/, "");
    const box = /^\[([ xX])\]\s+/.exec(text);
    if (box) text = (box[1] === " " ? "☐ " : "☑ ") + text.slice(box[0].length);
    made.append(h("li", {}, ...inline(text), end > n + 1 ? list(lines.slice(n + 1, end)) : ""));
    n = end;
  }
  return made;
}

const ITEM = /^\s*([-*+]|\d+[.)])\s+/;
const STARTS = /^(#{1,6}\s|>|```|\s*([-*+]|\d+[.)])\s+|\s*([-*_]\s*){3,}$)/;

/** A text in Markdown as a list of nodes. */
export function markdown(text) {
  const lines = String(text).split("\n");
  const made = [];
  const take = (test) => {
    const from = at;
    while (at < lines.length && test(lines[at], at - from)) at += 1;
    return lines.slice(from, at);
  };
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    if (!line.trim()) at += 1;
    else if (line.startsWith("```")) {
      at += 1;
      made.push(h("pre", { class: "code" }, h("code", {}, take((l) => !l.startsWith("```")).join("\n"))));
      at += 1;
    } else if (heading) {
      made.push(h("p", { class: `heading h${heading[1].length}` }, ...inline(heading[2])));
      at += 1;
    } else if (/^\s*([-*_]\s*){3,}$/.test(line)) {
      made.push(h("hr"));
      at += 1;
    } else if (line.startsWith(">")) {
      const quoted = take((l) => l.startsWith(">")).map((l) => l.replace(/^>\s?/, ""));
      made.push(h("blockquote", {}, ...markdown(quoted.join("\n"))));
    } else if (ITEM.test(line)) made.push(list(take((l) => ITEM.test(l))));
    else if (line.includes("|") && /^[\s|:-]+$/.test(lines[at + 1] ?? "x")) {
      made.push(table(take((l) => l.includes("|"))));
    } else {
      const paragraph = take((l, n) => l.trim() && (n === 0 || !STARTS.test(l)));
      made.push(h("p", {}, paragraph.flatMap((l, n) => (n ? [h("br"), ...inline(l)] : inline(l)))));
    }
  }
  return made;
}
