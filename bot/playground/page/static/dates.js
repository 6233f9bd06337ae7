// Moments in the reader's own zone and manner of writing.

const DAY = 86_400_000;

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** Days from today, by the calendar: 0 is today, -1 yesterday. */
export function daysAway(date) {
  return Math.round((midnight(date) - midnight(new Date())) / DAY);
}

const written = (options) => (date) => new Intl.DateTimeFormat(undefined, options).format(date);
const near = (date) => ({ 0: "today", "-1": "yesterday", 1: "tomorrow" })[daysAway(date)];
const thisYear = (date) => date.getFullYear() === new Date().getFullYear();

const long = written({ weekday: "long", year: "numeric", month: "long", day: "numeric" });
const plain = (date) =>
  written({ month: "long", day: "numeric", ...(thisYear(date) ? {} : { year: "numeric" }) })(date);
const short = (date) =>
  written({ month: "short", day: "numeric", ...(thisYear(date) ? {} : { year: "numeric" }) })(date);

export const time = written({ hour: "numeric", minute: "2-digit" });
export const full = written({ dateStyle: "full", timeStyle: "long" });

const TOKENS = {
  date: plain,
  date_num: (d) =>
    [d.getFullYear(), d.getMonth() + 1, d.getDate()].map((n) => String(n).padStart(2, "0")).join("-"),
  date_slash: written({ year: "numeric", month: "2-digit", day: "2-digit" }),
  date_short: short,
  date_long: long,
  date_pretty: (d) => near(d) ?? plain(d),
  date_short_pretty: (d) => near(d) ?? short(d),
  date_long_pretty: (d) => near(d) ?? long(d),
  day_divider_pretty: (d) => near(d) ?? long(d),
  time,
  time_secs: written({ hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago: (d) => ago(d),
};

function ago(date) {
  const seconds = (date.getTime() - Date.now()) / 1000;
  const units = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, n]) => Math.abs(seconds) >= n) ?? units[3];
  return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

/** Slack's `{date_short_pretty} {time}`; at the beginning of a line "today" gets its capital. */
export function formatted(stamp, format, isFirst) {
  const date = new Date(stamp * 1000);
  if (Number.isNaN(date.getTime())) return "";
  let told = format.replace(/\{(\w+)\}/g, (all, token) => (TOKENS[token] ? TOKENS[token](date) : all));
  if (isFirst && /^(\{date|\{day)/.test(format)) told = told.charAt(0).toUpperCase() + told.slice(1);
  return told;
}

export const dayName = (ts) => {
  const date = new Date(Number(ts) * 1000);
  const told = near(date) ?? long(date);
  return told.charAt(0).toUpperCase() + told.slice(1);
};
export const clock = (ts) => time(new Date(Number(ts) * 1000));
export const moment = (ts) => full(new Date(Number(ts) * 1000));
export const sameDay = (a, b) => midnight(new Date(Number(a) * 1000)) === midnight(new Date(Number(b) * 1000));
