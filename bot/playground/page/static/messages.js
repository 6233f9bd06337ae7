// Messages as elements, and lists of them that change as little as possible when something does.

import { blocks } from "./blocks.js";
import { clock, dayName, moment, sameDay } from "./dates.js";
import { h, icon } from "./dom.js";
import { files } from "./files.js";
import { mrkdwn } from "./mrkdwn.js";
import { personOf, state } from "./store.js";

const COLOURS = 8;

/** A square with the beginning of a name, in a colour that belongs to the person. */
export function avatar(id, size = "") {
  const { name } = personOf(id);
  const letters = [...name.replace(/[^\p{L}\p{N}]+/gu, " ").trim()].slice(0, 1).join("").toUpperCase() || "?";
  const colour = [...id].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) >>> 0, 7) % COLOURS;
  const kind = id === state.bot ? "bot" : `colour-${colour}`;
  return h("span", { class: `avatar ${kind} ${size}`.trim(), "aria-hidden": "true" }, id === state.bot ? "" : letters);
}

const time = (ts) => h("time", { class: "time", title: moment(ts), datetime: new Date(ts * 1000).toISOString() }, clock(ts));

function head(shown) {
  const who = personOf(shown.user);
  return h("div", { class: "head" },
    h("span", { class: "name" }, who.name),
    who.is_bot ? h("span", { class: "badge" }, "APP") : "",
    who.is_guest ? h("span", { class: "badge" }, "GUEST") : "",
    time(shown.ts));
}

function content(shown, context) {
  const made = shown.blocks.length
    ? blocks(shown.blocks, context)
    : shown.text ? [h("div", { class: "block text" }, mrkdwn(shown.text, { verbatim: false }))] : [];
  for (const one of shown.attachments) {
    const inside = one.blocks ? blocks(one.blocks, context) : [h("div", { class: "block text" }, mrkdwn(one.text ?? one.fallback ?? ""))];
    made.push(h("div", { class: "attachment" }, inside));
  }
  return [...made, ...files(shown.files)];
}

function replyRow(shown, replies, open) {
  if (!replies.length) return "";
  const last = replies.at(-1);
  const who = [...new Set(replies.map((m) => m.user))].slice(0, 3);
  return h("button", { type: "button", class: "thread-open", dataset: { testid: "thread-open" }, onclick: open },
    h("span", { class: "avatars" }, who.map((id) => avatar(id, "tiny"))),
    h("span", { class: "replies" }, replies.length === 1 ? "1 reply" : `${replies.length} replies`),
    h("span", { class: "last-reply" }, `last at ${clock(last.ts)}`));
}

/**
 * One message.
 *
 * compact: it follows another of the same person, so name and picture are left out.
 * actions: {contextFor(message), openThread(ts)}; without openThread it stands in the thread itself.
 */
export function messageElement(shown, { compact, replies, actions }) {
  const context = actions.contextFor(shown);
  const open = () => actions.openThread(shown.ts);
  const from = `${personOf(shown.user).name}, ${clock(shown.ts)}`;
  return h("article", {
    class: ["message", compact ? "compact" : "", shown.ephemeral ? "ephemeral" : ""].filter(Boolean).join(" "),
    dataset: { testid: "message", ts: shown.ts, ephemeral: String(shown.ephemeral) },
    "aria-label": shown.ephemeral ? `Only visible to you: ${from}` : from,
  },
    h("div", { class: "gutter" }, compact ? time(shown.ts) : avatar(shown.user)),
    h("div", { class: "body" },
      shown.ephemeral ? h("p", { class: "only-you" }, icon("eye", 14), "Only visible to you") : "",
      compact ? "" : head(shown),
      content(shown, context),
      shown.edited ? h("span", { class: "edited" }, "(edited)") : "",
      actions.openThread ? replyRow(shown, replies, open) : ""),
    actions.openThread && !shown.ephemeral
      ? h("div", { class: "toolbar" }, h("button", {
          type: "button", class: "tool small", dataset: { testid: "reply" }, onclick: open,
          "aria-label": "Reply in thread", title: "Reply in thread" }, icon("thread", 16)))
      : "");
}

const CLOSE = 300; // seconds in which messages of one person stand together

/** What a list shows: messages, and a line for each day. */
export function items(messages, replies, actions) {
  const made = [];
  let before = null;
  for (const shown of messages) {
    if (!before || !sameDay(before.ts, shown.ts)) {
      made.push({ key: `day ${shown.ts}`, sign: dayName(shown.ts), make: () =>
        h("div", { class: "day", role: "separator" }, h("span", {}, dayName(shown.ts))) });
      before = null;
    }
    // Messages of blocks are long: each keeps its name and picture.
    const compact = before !== null && before.user === shown.user && !before.ephemeral
      && !shown.ephemeral && !shown.blocks.length && !before.blocks.length && Number(shown.ts) - Number(before.ts) < CLOSE;
    const answers = replies?.get(shown.ts) ?? [];
    const names = state.people.map((one) => one.name).join();
    const sign = JSON.stringify([shown, compact, answers.length, answers.at(-1)?.ts, names]);
    made.push({ key: shown.ts, sign, make: () => messageElement(shown, { compact, replies: answers, actions }) });
    before = shown;
  }
  return made;
}

/** Bring a list up to date; what did not change stays as it is, with its focus and its scroll. */
export function reconcile(list, wanted) {
  const there = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = null;
  for (const { key, sign, make } of wanted) {
    let element = there.get(key);
    if (element?.sign !== sign) {
      const made = make();
      made.dataset.key = key;
      made.sign = sign;
      if (element) replace(element, made);
      element = made;
    }
    there.delete(key);
    const next = place ? place.nextElementSibling : list.firstElementChild;
    if (element !== next) list.insertBefore(element, next);
    place = element;
  }
  for (const gone of there.values()) gone.remove();
}

function replace(old, made) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const open = [...old.querySelectorAll("details")].map((one) => one.open);
  const scrolled = [...old.querySelectorAll(".table-scroll")].map((one) => one.scrollLeft);
  old.replaceWith(made);
  made.querySelectorAll(".file details").forEach((one, n) => (one.open = open[n] ?? one.open));
  made.querySelectorAll(".table-scroll").forEach((one, n) => (one.scrollLeft = scrolled[n] ?? 0));
  if (!focused) return;
  const { action, block, testid } = focused.dataset;
  const same = action
    ? [...made.querySelectorAll("[data-action]")].find((b) => b.dataset.action === action && b.dataset.block === block)
    : testid && made.querySelector(`[data-testid="${testid}"]`);
  (same || made.querySelector("button") || made).focus({ preventScroll: true });
}
