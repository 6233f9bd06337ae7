// What stands around the messages: channels, people, the top line, light and dark, App Home.

import { blocks } from "./blocks.js";
import { $, fill, h, icon } from "./dom.js";
import { avatar } from "./messages.js";
import { people, personOf, state, unread } from "./store.js";

/** Wire what is there from the beginning. `become(user)` changes who one is. */
export function setUp(become) {
  $("#person").addEventListener("change", (event) => become(event.target.value));
  const app = $("#app");
  const menu = (isOpen) => {
    app.classList.toggle("menu-open", isOpen);
    $("#menu").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) $("#person").focus();
  };
  fill($("#menu"), icon("menu"));
  $("#menu").addEventListener("click", () => menu(!app.classList.contains("menu-open")));
  $("#scrim").addEventListener("click", () => menu(false));
  $("#scrim").hidden = false;
  addEventListener("keydown", (event) => event.key === "Escape" && menu(false));
  setUpTheme();
}

function setUpTheme() {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search).get("theme") ?? localStorage.getItem("theme");
  if (["light", "dark"].includes(asked)) root.dataset.theme = asked;
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const draw = () => fill($("#theme"), icon(isDark() ? "sun" : "moon"));
  $("#theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}

function channelButton(one, place, open) {
  const { count, forMe } = unread(one.id);
  const current = place.channel === one.id;
  const name = one.is_im ? personOf(state.bot).name : one.name;
  const isNew = !current && (count > 0 || forMe > 0);
  return h("button", {
    type: "button", class: `channel${current ? " current" : ""}${isNew ? " unread" : ""}`,
    dataset: { channel: one.id, ...(one.is_im ? { testid: "home-open" } : {}) },
    "aria-current": current ? "page" : null, onclick: () => open(one.id),
  },
    one.is_im ? avatar(state.bot, "tiny") : icon(one.is_private ? "lock" : "hash", 16),
    h("span", { class: "channel-name" }, name),
    isNew ? (forMe ? h("span", { class: "count", title: "For you" }, String(forMe)) : h("span", { class: "dot", role: "img", "aria-label": "unread" })) : "");
}

let listed = "";

/** Channels and people; nothing is touched where nothing changed, so that the focus stays. */
export function drawSidebar(place, open) {
  const sign = JSON.stringify([state.user, state.people, place.channel, state.channels, state.channels.map((c) => unread(c.id))]);
  if (sign === listed) return;
  listed = sign;
  $("#team").textContent = state.team;
  const select = $("#person");
  fill(select, people().map((one) =>
    h("option", { value: one.id }, one.role ? `${one.name} (${one.role})` : one.name)));
  select.value = state.user;
  fill($("#me"), avatar(state.user, "small"));
  const focused = document.activeElement?.dataset?.channel;
  const group = (title, list) =>
    list.length ? [h("h2", {}, title), ...list.map((one) => channelButton(one, place, open))] : [];
  fill($("#channels"),
    group("Channels", state.channels.filter((one) => !one.is_im)),
    group("Apps", state.channels.filter((one) => one.is_im)));
  if (focused) $(`#channels [data-channel="${focused}"]`)?.focus();
}

/** The line above the messages. */
export function drawTop(place, open, title) {
  const shown = state.channels.find((one) => one.id === place.channel);
  const isApp = Boolean(shown?.is_im);
  document.title = `${title}, ${personOf(state.user).name}: registry-bot playground`;
  $("#where").textContent = title;
  $("#about").textContent = isApp ? "App" : `${shown?.members ?? 0} members`;
  const tab = (name, told) =>
    h("button", { type: "button", class: "tab", "aria-pressed": String(place.tab === name),
      dataset: { testid: `tab-${name}` }, onclick: () => open(place.channel, name) }, told);
  const tabs = $("#tabs");
  tabs.hidden = !isApp;
  if (tabs.dataset.shown !== `${isApp} ${place.tab}`) fill(tabs, tab("home", "Home"), tab("messages", "Messages"));
  tabs.dataset.shown = `${isApp} ${place.tab}`;
}

/** The app's home tab, as the bot published it for this person. */
export function drawHome(element, isShown, context) {
  element.hidden = !isShown;
  if (!isShown) return;
  const sign = JSON.stringify([state.user, state.home]);
  if (element.sign === sign) return;
  element.sign = sign;
  fill(element, state.home
    ? blocks(state.home.blocks, context)
    : h("div", { class: "welcome" }, h("h2", {}, personOf(state.bot).name),
        h("p", {}, "The app shows nothing on its Home tab. Its commands work in the channels.")));
}
