// Confirm dialogs and modals; both are <dialog>, which keeps the focus inside and knows Escape.

import { blocks } from "./blocks.js";
import { fill, h, icon } from "./dom.js";
import { words } from "./elements.js";
import { withEmoji } from "./emoji.js";
import { act } from "./store.js";

/** A sentence that goes away again by itself. */
export function toast(sentence) {
  const made = h("div", { class: "toast" }, sentence);
  document.getElementById("toasts").append(made);
  setTimeout(() => made.remove(), 6000);
}

/** Ask before something is done; true where they say yes. */
export function confirmed(asked) {
  return new Promise((resolve) => {
    const done = (answer) => () => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const yes = h("button", {
      type: "button", class: `button ${asked.style ?? "primary"}`, dataset: { testid: "confirm-ok" }, onclick: done(true),
    }, words(asked.confirm));
    const no = h("button", {
      type: "button", class: "button", dataset: { testid: "confirm-cancel" }, onclick: done(false),
    }, words(asked.deny));
    const dialog = h("dialog", { class: "dialog confirm", "aria-labelledby": "confirm-title", dataset: { testid: "confirm" } },
      h("h2", { id: "confirm-title" }, words(asked.title)),
      h("div", { class: "dialog-body text" }, words(asked.text)),
      h("div", { class: "dialog-foot" }, no, yes));
    dialog.addEventListener("cancel", (event) => (event.preventDefault(), done(false)()));
    document.body.append(dialog);
    dialog.showModal();
    yes.focus();
  });
}

let dialog = null;
let drawn = "";
let fields = new Map();

/** Show the modal that is on top of this person's stack, or none. */
export function showViews(views, context) {
  const view = views.at(-1);
  if (!view) {
    dialog?.close();
    dialog?.remove();
    dialog = null;
    drawn = "";
    return;
  }
  const sign = JSON.stringify(view);
  if (sign === drawn) return;
  const same = drawn && JSON.parse(drawn).id === view.id;
  const kept = same ? new Map([...fields].map(([id, f]) => [id, f.keep ? f.keep() : f.read()])) : new Map();
  drawn = sign;
  draw(view, { ...context, kept: (id) => kept.get(id) }, same);
  const wrong = dialog.querySelector("[aria-invalid]");
  if (wrong) wrong.focus();
}

function draw(view, context, same) {
  fields = new Map();
  const problem = h("p", { class: "error", role: "alert" });
  const submit = view.submit
    ? h("button", { type: "submit", class: "button primary", dataset: { testid: "modal-submit" } }, withEmoji(view.submit))
    : "";
  const close = async () => {
    await act("close", { view: view.id }).catch((error) => toast(error.message));
  };
  const form = h("form", { method: "dialog", novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    if (submit) send(view, submit, problem);
  } },
    h("div", { class: "dialog-head" }, h("h2", { id: "modal-title" }, withEmoji(view.title)),
      h("button", { type: "button", class: "tool", "aria-label": "Close this dialog", onclick: close }, icon("close"))),
    h("div", { class: "dialog-body" }, blocks(view.blocks, {
      ...context, errors: view.errors, register: (id, field) => fields.set(id, field), values: read,
    }), problem),
    h("div", { class: "dialog-foot" },
      h("button", { type: "button", class: "button", dataset: { testid: "modal-close" }, onclick: close }, withEmoji(view.close || "Close")),
      submit));
  if (!dialog) {
    dialog = h("dialog", { class: "dialog modal", "aria-labelledby": "modal-title", dataset: { testid: "modal" } });
    document.body.append(dialog);
    dialog.showModal();
  }
  dialog.oncancel = (event) => (event.preventDefault(), close());
  fill(dialog, form);
  // A form that the app changes while somebody fills it in must not pull them back to its start.
  if (!same) dialog.querySelector(".dialog-body :is(input, textarea, select)")?.focus();
}

/** What stands in the form, by block_id. */
function read() {
  const values = {};
  for (const [id, field] of fields) {
    const value = field.read();
    if (value !== undefined && value !== null) values[id] = value;
  }
  return values;
}

async function send(view, submit, problem) {
  submit.disabled = true;
  problem.textContent = "";
  try {
    const done = await act("submit", { view: view.id, values: read() });
    if (done.error || !done.acked) problem.textContent = failure(done.error);
  } catch (error) {
    problem.textContent = error.message;
  }
  submit.disabled = false;
}

/** What Slack would say when the bot does not answer as it should. */
export function failure(error) {
  if (error === "operation_timeout") return "The bot did not answer in three seconds. Try again.";
  if (error === "dispatch_failed") return "The bot is not connected. Try again in a moment.";
  return `That did not work (${error || "no answer"}).`;
}
