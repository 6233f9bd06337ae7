// The page: puts the parts together and draws them anew whenever something changed.

import { composer } from "./composer.js";
import { confirmed, failure, showViews, toast } from "./dialogs.js";
import { $, fill, h } from "./dom.js";
import { drawHome, drawSidebar, drawTop, setUp } from "./layout.js";
import { items, reconcile } from "./messages.js";
import { useNames } from "./mrkdwn.js";
import { act, channelOf, listen, markRead, message, people, personOf, repliesByParent, state, topLevel } from "./store.js";
import { threadPanel } from "./thread.js";
import { trafficPanel } from "./traffic.js";

const asked = new URLSearchParams(location.search);
const place = { channel: asked.get("channel") ?? "", tab: "home", thread: "" };
const messages = $("#messages");

/** What the elements of a message or view may do. */
function contextFor(target) {
  return {
    act: (block, element, value, button, values) => perform(target, block, element, value, button, values),
    suggest: async (block, element, value) =>
      (await act("type-ahead", { ...target, ...ids(block, element), value })).options,
    people,
    channels: () => state.channels.filter((one) => !one.is_im),
  };
}

const ids = (block, element) => ({ block_id: block.block_id, action_id: element.action_id });

async function perform(target, block, element, value, button, values) {
  if (element.confirm && !(await confirmed(element.confirm))) {
    button?.focus();
    return;
  }
  button?.setAttribute("aria-busy", "true");
  try {
    const gesture = value === undefined ? "click" : "choose";
    const done = await act(gesture, { ...target, ...ids(block, element), value, values });
    if (done.error || !done.acked) toast(failure(done.error));
  } catch (error) {
    toast(error.message);
  }
  button?.removeAttribute("aria-busy");
}

async function send(text, thread_ts = "") {
  if (!thread_ts) follow();
  try {
    if (!text.startsWith("/")) await act("say", { channel: place.channel, text, thread_ts });
    else if (thread_ts) throw new Error("Slack takes no commands in threads: type it in the channel.");
    else await act("command", { channel: place.channel, text });
  } catch (error) {
    toast(error.message);
    throw error;
  }
}

const main = composer({
  names: { field: "composer", send: "send" },
  label: () => `Message ${titleOf(place.channel)}`,
  commands: () => state.commands,
  send,
  historyKey: () => `typed/${state.user}`,
});

function titleOf(id) {
  const found = channelOf(id);
  if (!found) return "…";
  return found.is_im ? personOf(state.bot).name : `#${found.name}`;
}

const actions = {
  contextFor: (shown) => contextFor({ channel: shown.channel, ts: shown.ts }),
  openThread: (ts) => {
    place.thread = ts;
    draw();
    thread.focus();
  },
};

const thread = threadPanel($("#thread"), {
  send: (text) => send(text, place.thread),
  close: () => {
    place.thread = "";
    draw();
    main.focus();
  },
  contextFor: actions.contextFor,
  title: () => titleOf(place.channel),
});
const refreshTraffic = trafficPanel($("#traffic"), $("#traffic-toggle"));

// Whether the list follows what is new: until somebody scrolls up to read.
let follows = true;
const toEnd = () => (messages.scrollTop = messages.scrollHeight);
const follow = () => {
  follows = true;
  toEnd();
};
messages.addEventListener("scroll", () => {
  follows = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 120;
});

function open(channel, tab = "") {
  const isOther = channel !== place.channel;
  place.channel = channel;
  place.tab = tab || place.tab;
  if (isOther) place.thread = "";
  $("#app").classList.remove("menu-open");
  if (channel === state.home_channel && place.tab === "home") act("home").catch(() => {});
  draw();
  main.relabel();
  if (!isHome()) {
    follow();
    if (matchMedia("(hover: hover)").matches) main.focus();
  }
}

const isHome = () => place.channel === state.home_channel && place.tab === "home";

function draw() {
  if (!channelOf(place.channel)) place.channel = state.channels.find((one) => !one.is_im)?.id ?? state.home_channel;
  const top = topLevel(place.channel);
  const replies = repliesByParent(place.channel);
  if (!isHome() && document.visibilityState === "visible") markRead(place.channel);
  drawSidebar(place, open);
  drawTop(place, open, titleOf(place.channel));
  drawHome($("#home"), isHome(), contextFor({ view: state.home?.id }));
  messages.hidden = isHome();
  $("#composer-slot").hidden = isHome();
  if (!isHome()) {
    reconcile(messages, top.length ? items(top, replies, actions) : [welcome()]);
    if (follows) toEnd();
  }
  thread.draw(place.thread && message(place.channel, place.thread), replies.get(place.thread) ?? []);
  showViews(state.views, contextFor({ view: state.views.at(-1)?.id }));
  refreshTraffic();
  remember();
}

/** What stands in a channel in which nobody has said anything. */
function welcome() {
  const first = (state.commands[0]?.[0] ?? "/registry help").split(/\s+/).slice(0, 2).join(" ");
  return {
    key: "welcome",
    sign: place.channel + first,
    make: () => h("div", { class: "welcome" },
      h("h2", {}, titleOf(place.channel)),
      h("p", {}, "Nothing has been said here yet. Type ", h("code", {}, first), " to begin.")),
  };
}

function remember() {
  const address = new URL(location.href);
  address.searchParams.set("user", state.user);
  address.searchParams.set("channel", place.channel);
  history.replaceState(null, "", address);
}

let drawing = 0;
function changed(isNew) {
  if (isNew) {
    messages.replaceChildren();
    cancelAnimationFrame(drawing);
    draw();
    main.relabel();
    follow();
    document.documentElement.dataset.ready = "true";
    return;
  }
  // Several changes at once are drawn once; a hidden page gets no frames but must stay current.
  cancelAnimationFrame(drawing);
  if (document.visibilityState === "visible") drawing = requestAnimationFrame(draw);
  else draw();
}

function become(user) {
  place.thread = "";
  listen(user, changed, (isOnline) => ($("#offline").hidden = isOnline));
}

useNames({
  user: (id) => state.people.find((one) => one.id === id)?.name ?? "",
  channel: (id) => channelOf(id)?.name ?? "",
  me: () => state.user,
  openChannel: (id) => open(id),
});
setUp(become);
fill($("#composer-slot"), main.element);
addEventListener("focus", () => state.user && draw());
new ResizeObserver(() => follows && toEnd()).observe(messages);

const first = await fetch("/api/people").then((answer) => answer.json());
const wanted = asked.get("user");
become(first.people.some((one) => one.id === wanted) ? wanted : first.people[0].id);
