// What this person sees, kept current by the server's events; and the requests that change it.

export const state = {
  user: "", team: "", bot: "", home_channel: "", commands: [], people: [], channels: [],
  views: [], home: null, traffic: 0, messages: new Map(),
};

let source = null;

/** Listen as somebody. `changed(isNew)` is called after every change, `online(bool)` as it goes. */
export function listen(user, changed, online) {
  source?.close();
  const mine = (source = new EventSource(`/api/events?user=${encodeURIComponent(user)}`));
  mine.addEventListener("state", (event) => {
    const { messages = [], removed, ...rest } = JSON.parse(event.data);
    Object.assign(state, { people: [], channels: [], views: [], home: null }, rest);
    state.messages = new Map(messages.map((m) => [key(m.channel, m.ts), m]));
    online(true);
    changed(true);
  });
  mine.addEventListener("change", (event) => {
    const { messages = [], removed = [], ...rest } = JSON.parse(event.data);
    Object.assign(state, rest);
    for (const m of messages) state.messages.set(key(m.channel, m.ts), m);
    for (const [channel, ts] of removed) state.messages.delete(key(channel, ts));
    changed(false);
  });
  mine.addEventListener("error", () => mine === source && online(false));
}

const key = (channel, ts) => `${channel}/${ts}`;

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `The playground answered ${response.status}.`);
  return body;
}

/** Ask the server for something as this person. */
export async function ask(path) {
  return answered(await fetch(`/api/${path}${path.includes("?") ? "&" : "?"}user=${encodeURIComponent(state.user)}`));
}

/** Do something as this person; throws an Error with a sentence. */
export async function act(gesture, body = {}) {
  const sent = await fetch(`/api/${gesture}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user: state.user, ...body }),
  });
  return answered(sent);
}

/** Who may be chosen as oneself: people and guests, no bots. */
export const people = () => state.people.filter((one) => !one.is_bot);

export const SLACKBOT = { id: "USLACKBOT", name: "Slackbot", role: "", is_bot: true };

export function personOf(id) {
  return id === SLACKBOT.id ? SLACKBOT : (state.people.find((one) => one.id === id) ?? { id, name: id, role: "" });
}

export const channelOf = (id) => state.channels.find((one) => one.id === id);

const inOrder = (a, b) => (a.ts < b.ts ? -1 : 1);

/** What stands in a channel outside threads, oldest first. */
export const topLevel = (channel) =>
  [...state.messages.values()]
    .filter((m) => m.channel === channel && (!m.thread_ts || m.thread_ts === m.ts))
    .sort(inOrder);

/** Replies by the ts of the message they answer. */
export function repliesByParent(channel) {
  const found = new Map();
  for (const m of [...state.messages.values()].sort(inOrder)) {
    if (m.channel !== channel || !m.thread_ts || m.thread_ts === m.ts) continue;
    found.set(m.thread_ts, [...(found.get(m.thread_ts) ?? []), m]);
  }
  return found;
}

export const message = (channel, ts) => state.messages.get(key(channel, ts));

const readKey = (channel) => `read/${state.user}/${channel}`;

export function markRead(channel) {
  const last = [...state.messages.values()].filter((m) => m.channel === channel).sort(inOrder).at(-1);
  if (last) sessionStorage.setItem(readKey(channel), last.ts);
}

/** How much is new in a channel, and whether some of it is meant for this person. */
export function unread(channel) {
  const since = sessionStorage.getItem(readKey(channel)) ?? "";
  const fresh = [...state.messages.values()].filter(
    (m) => m.channel === channel && m.user !== state.user && m.ts > since,
  );
  const forMe = fresh.filter((m) => m.ephemeral || JSON.stringify([m.text, m.blocks]).includes(`<@${state.user}`));
  const shown = fresh.filter((m) => !m.thread_ts || m.thread_ts === m.ts);
  return { count: shown.length, forMe: forMe.length };
}
