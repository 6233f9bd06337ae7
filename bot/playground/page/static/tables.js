// Tables, tables with pages, and charts.

import { fill, h } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { richText } from "./rich.js";

function cell(value, tag, setting) {
  const inside =
    value.type === "rich_text" ? richText(value) : withEmoji(value.text ?? String(value.value ?? ""));
  const align = setting?.align ?? (value.type === "raw_number" ? "right" : "left");
  return h(tag, {
    class: [`align-${align}`, setting?.is_wrapped ? "wrapped" : ""].join(" ").trim(),
    scope: tag === "th" ? "col" : null,
  }, inside);
}

const row = (values, tag, settings) =>
  h("tr", {}, values.map((value, n) => cell(value, tag, settings?.[n])));

/** Scrolls sideways by itself, so that a wide table never widens the page. */
const scrolled = (label, ...children) =>
  h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": label }, ...children);

export function table(block) {
  const [head, ...body] = block.rows;
  const settings = block.column_settings;
  return scrolled("Table",
    h("table", {}, h("thead", {}, row(head, "th", settings)),
      h("tbody", {}, body.map((values) => row(values, "td", settings)))));
}

export function dataTable(block) {
  const [head, ...body] = block.rows;
  const size = block.page_size ?? 5;
  const pages = Math.ceil(body.length / size);
  const rows = h("tbody");
  const place = h("span", { class: "page-place" });
  let page = 0;
  const turn = (by) => {
    page = Math.min(Math.max(page + by, 0), pages - 1);
    fill(rows, body.slice(page * size, (page + 1) * size).map((values) => row(values, "td")));
    place.textContent = `${page + 1} of ${pages}`;
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
  };
  const back = h("button", { type: "button", class: "button small", onclick: () => turn(-1) }, "Previous");
  const on = h("button", { type: "button", class: "button small", onclick: () => turn(1) }, "Next");
  turn(0);
  return h("div", {},
    scrolled(block.caption, h("table", {}, h("caption", {}, withEmoji(block.caption)), h("thead", {}, row(head, "th")), rows)),
    pages > 1 ? h("div", { class: "pager" }, back, place, on) : "");
}

/** Charts as labelled bars: the numbers can be read, which a picture would not allow. */
export function chart(block) {
  const shown = block.chart ?? {};
  const points = shown.segments
    ? shown.segments.map((s) => ({ label: s.label, value: Number(s.value) || 0 }))
    : (shown.series ?? []).flatMap((s) =>
        (s.data ?? []).map((d) => ({ label: `${s.name ?? ""} ${d.label ?? ""}`.trim(), value: Number(d.value) || 0 })));
  const most = Math.max(...points.map((p) => Math.abs(p.value)), 1);
  const bar = ({ label, value }) =>
    h("div", { class: "bar" },
      h("span", { class: "bar-label" }, label),
      h("span", { class: "bar-line" }, h("i", { style: { width: `${(Math.abs(value) / most) * 100}%` } })),
      h("span", { class: "bar-value" }, value.toLocaleString()));
  return h("figure", { class: "chart" }, h("figcaption", {}, block.title), points.map(bar));
}
