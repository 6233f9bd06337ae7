// Slack's mrkdwn as elements. Markup only ever comes from the text's own signs; `&lt;` stays a sign.

import { formatted, full } from "./dates.js";
import { h, link } from "./dom.js";
import { emoji } from "./emoji.js";

export const unescape = (text) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

let names = { user: () => "", channel: () => "", me: () => "", openChannel: () => {} };

/** Say how ids become names. */
export function useNames(given) {
  names = given;
}

export function mention(id, label = "") {
  const mine = id === names.me();
  return h("span", { class: mine ? "mention mine" : "mention" }, `@${names.user(id) || label || id}`);
}

export function channelMention(id, label = "") {
  const name = names.channel(id);
  if (!name) return h("span", { class: "mention" }, `#${label || id}`);
  return h("button", { class: "mention", type: "button", onclick: () => names.openChannel(id) }, `#${name}`);
}

export function dateElement(stamp, format, fallback, isFirst = true) {
  const told = formatted(Number(stamp), format, isFirst) || fallback;
  const date = new Date(Number(stamp) * 1000);
  if (Number.isNaN(date.getTime())) return h("span", {}, told);
  return h("time", { datetime: date.toISOString(), title: full(date) }, told);
}

/** A paragraph of mrkdwn as a list of nodes. */
export function mrkdwn(text, { verbatim = true } = {}) {
  const made = [];
  const pieces = String(text).split("```");
  for (const [n, piece] of pieces.entries()) {
    const closed = n % 2 && n < pieces.length - 1;
    if (closed) made.push(h("pre", { class: "code" }, h("code", {}, fence(piece))));
    else made.push(...lines(n % 2 ? "```" + piece : trimmed(piece, n), verbatim));
  }
  return made;
}

// A line break next to a fence belongs to the fence.
const trimmed = (piece, n) => (n ? piece.replace(/^\n/, "") : piece);
const fence = (piece) => inCode(piece.replace(/^\n/, "").replace(/\n$/, ""));

function lines(text, verbatim) {
  const made = [];
  let quote = null;
  const all = text.replace(/\n$/, "").split("\n");
  for (const [n, line] of all.entries()) {
    const quoted = /^&gt; ?/.exec(line);
    if (quoted) {
      if (quote) quote.append(h("br"));
      else made.push((quote = h("blockquote")));
      quote.append(...inline(line.slice(quoted[0].length), verbatim));
      continue;
    }
    if (n && !quote) made.push(h("br"));
    quote = null;
    made.push(...inline(line, verbatim));
  }
  return text ? made : [];
}

// A reference such as <@U1>, <#C1|ops>, <!date^…>, <https://…|label>; inside code as its words.
const ANGLE = /<([^<>\n]*)>/;

function angle(inside, isFirst) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? "" : unescape(inside.slice(bar + 1));
  if (target.startsWith("@")) return mention(target.slice(1), label);
  if (target.startsWith("#")) return channelMention(target.slice(1), label);
  if (target.startsWith("!date^")) {
    const [, stamp, format, address] = target.split("^");
    const date = dateElement(stamp, format ?? "", label, isFirst);
    return address ? link(unescape(address), date) : date;
  }
  if (target.startsWith("!subteam^")) return h("span", { class: "mention" }, label || `@${target.slice(9)}`);
  if (target.startsWith("!")) return h("span", { class: "mention everyone" }, `@${label || target.slice(1)}`);
  // Something in angle brackets that is no reference was meant as it stands.
  if (!/^[a-z][a-z0-9+.-]*:/i.test(target)) return unescape(`<${inside}>`);
  return link(unescape(target), label || unescape(target));
}

const inCode = (text) =>
  unescape(text.replace(/<([^<>\n|]*)(?:\|([^<>\n]*))?>/g, (all, target, label) => label ?? target));

const STYLES = { "*": "strong", _: "em", "~": "s" };
const NOT_WORD = /^$|[^\p{L}\p{N}]/u;

/** Where a style that opens at `start` closes on this line; -1 where it does not. */
function closing(text, start) {
  const sign = text[start];
  if (!NOT_WORD.test(text[start - 1] ?? "") || /^$|\s/.test(text[start + 1] ?? "")) return -1;
  for (let end = start + 2; end < text.length; end += 1) {
    if (text[end] === "`") end = Math.max(end, text.indexOf("`", end + 1));
    if (text[end] !== sign || /\s/.test(text[end - 1])) continue;
    if (NOT_WORD.test(text[end + 1] ?? "")) return end;
  }
  return -1;
}

const WEB = /^https?:\/\/[^\s<>|*`]+[^\s<>|*`.,;:!?)\]'"]/;

function inline(text, verbatim) {
  const made = [];
  let plain = "";
  const flush = () => plain && made.push(unescape(plain)) && (plain = "");
  const put = (node, length) => (flush(), made.push(node), length);
  const step = (at) => {
    const rest = text.slice(at);
    const sign = text[at];
    if (sign === "`") {
      const end = text.indexOf("`", at + 1);
      if (end > at + 1) return put(h("code", {}, inCode(text.slice(at + 1, end))), end + 1 - at);
    } else if (sign === "<") {
      const found = ANGLE.exec(rest);
      if (found?.index === 0) return put(angle(found[1], at === 0), found[0].length);
    } else if (STYLES[sign]) {
      const end = closing(text, at);
      if (end > 0) return put(h(STYLES[sign], {}, ...inline(text.slice(at + 1, end), verbatim)), end + 1 - at);
    } else if (sign === ":") {
      const found = /^:([\w+-]+):/.exec(rest);
      const drawn = found && emoji(found[1]);
      if (drawn) return put(emojiElement(found[1], drawn), found[0].length);
    } else if (!verbatim && sign === "h") {
      const found = WEB.exec(rest);
      if (found) return put(link(unescape(found[0])), found[0].length);
    }
    plain += sign;
    return 1;
  };
  for (let at = 0; at < text.length; ) at += step(at);
  flush();
  return made;
}

export function emojiElement(name, drawn) {
  return h("span", { class: "emoji", role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, drawn);
}
