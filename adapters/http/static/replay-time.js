// Where a moment stands in the picture. A call of half an hour happens in its first and last seconds: long silences are drawn short.
import { span } from "./lib.js";

const SHORT_MS = 2_000;
const weight = (ms) => (ms <= SHORT_MS ? ms : SHORT_MS * (1 + 0.55 * Math.log(ms / SHORT_MS)));
const STEPS_MS = [100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 86_400_000];
export const LONG_GAP_MS = 20_000;

/** The times at which anything begins or ends. */
export function timesOf(story, now) {
  const picture = story.picture, end = picture.live ? Math.max(now, picture.to_ms) : picture.to_ms;
  const all = new Set([picture.from_ms, end]);
  const add = (ms) => { if (ms !== null) all.add(Math.min(end, Math.max(picture.from_ms, ms))); };
  for (const lane of [picture.customer, ...picture.phones, ...picture.cards]) for (const bar of lane.bars) { add(bar.from_ms); add(bar.to_ms); }
  for (const each of picture.requests) { add(each.from_ms); add(each.to_ms); }
  for (const entry of story.entries) add(entry.at_ms);
  return [...all].sort((a, b) => a - b);
}

export const longestGap = (times) => times.slice(1).reduce((most, each, index) => Math.max(most, each - times[index]), 0);

/** `{x(ms), ticks, gaps}` for `width` pixels; `even`: every second is as wide as the next. */
export function makeScale(times, width, even) {
  const from = times[0], to = times[times.length - 1], pad = 8;
  const places = [0];
  for (let index = 1; index < times.length; index++) {
    const ms = times[index] - times[index - 1];
    places.push(places[index - 1] + (even ? ms : weight(ms)));
  }
  const whole = places[places.length - 1] || 1, room = Math.max(1, width - 2 * pad);
  const x = (ms) => {
    if (ms <= from) return pad;
    if (ms >= to) return pad + room;
    let low = 0, high = times.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (times[middle] <= ms) low = middle; else high = middle; }
    const share = (ms - times[low]) / (times[high] - times[low]);
    return pad + (room * (places[low] + share * (places[high] - places[low]))) / whole;
  };
  return { x, ticks: even ? evenTicks(from, to, x, room) : ticksAt(times, x, width), gaps: even ? [] : gapsOf(times, x) };
}

function evenTicks(from, to, x, room) {
  const step = STEPS_MS.find((each) => ((to - from) / each) * 76 <= room) || STEPS_MS[STEPS_MS.length - 1];
  const ticks = [];
  for (let ms = Math.ceil(from / step) * step; ms <= to && ticks.length < 200; ms += step) ticks.push({ ms, x: x(ms), fine: step < 1000 });
  return ticks;
}

/** Where the words of a tick stand: none sticks out at the edges. */
export const wordsAt = (at, width) => Math.min(Math.max(at, 34), width - 34);

function ticksAt(times, x, width) {
  const ticks = [];
  let last = -Infinity;
  for (const ms of times) {
    const at = x(ms), words = wordsAt(at, width);
    if (words - last < 74) continue;
    ticks.push({ ms, x: at, fine: false });
    last = words;
  }
  return ticks;
}

function gapsOf(times, x) {
  const gaps = [];
  for (let index = 1; index < times.length; index++) {
    const ms = times[index] - times[index - 1];
    if (ms > LONG_GAP_MS) gaps.push({ from: x(times[index - 1]), to: x(times[index]), words: span(ms) });
  }
  return gaps;
}
