// Files under a message: name, size, the beginning of texts, and a way to save them.

import { h, icon } from "./dom.js";
import { state } from "./store.js";

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function one(file) {
  const address = `/api/file/${encodeURIComponent(file.id)}?user=${encodeURIComponent(state.user)}`;
  const preview = file.preview
    ? h("details", { open: true }, h("summary", {}, file.is_whole ? "Content" : "Beginning"),
        h("pre", { class: "code" }, h("code", {}, file.preview + (file.is_whole ? "" : "\n…"))))
    : "";
  return h("div", { class: "file" },
    h("div", { class: "file-head" }, icon("file", 22),
      h("div", { class: "file-name" }, h("strong", {}, file.title || file.name), h("small", {}, `${file.name}, ${size(file.size)}`)),
      h("a", { class: "tool small", href: address, download: file.name, "aria-label": `Save ${file.name}`, title: "Save" }, icon("down", 16))),
    preview);
}

/** All files of a message. */
export const files = (list) => list.map(one);
