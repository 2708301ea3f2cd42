// What the page of clicks shows: the newest, asked for again every few seconds, and below them the older ones that somebody wanted to see.

/** `clicks`: what is shown, newest first, without a gap; `next`: asks for those after the last; `growing`: older ones were asked for. */
export const NOTHING = { clicks: [], next: "", growing: false };

const next = (told) => (told.before === null ? "" : new URLSearchParams({ before: told.before, before_click: told.before_click }).toString());
const isOlder = (one, other) => one.at_ms < other.at_ms || (one.at_ms === other.at_ms && one.click < other.click);

/** The newest page came again. New clicks push others off it, which stay where older ones are shown below. After more new clicks than a page holds (nobody was looking) those between are not known: it begins anew. */
export function renewed(was, told) {
  const last = told.clicks.at(-1);
  if (!was.growing || told.before === null || !was.clicks.length || isOlder(was.clicks[0], last)) return { clicks: told.clicks, next: next(told), growing: false };
  const below = was.clicks.filter((each) => isOlder(each, last));
  return { clicks: [...told.clicks, ...below], next: below.length ? was.next : next(told), growing: true };
}

/** Older ones came, which were asked for by `from`; they follow on what is shown unless that began anew meanwhile. */
export function continued(was, from, told) {
  return was.next === from ? { clicks: [...was.clicks, ...told.clicks], next: next(told), growing: true } : was;
}
