// The picture of a call: a lane for each phone, each screen, the requests, the steps; one line through all of them is the chosen moment.
import { html, useState, useEffect, useRef, useMemo, duration, time, phone } from "./lib.js";
import { timesOf, makeScale, longestGap, LONG_GAP_MS, wordsAt } from "./replay-time.js";
import { PHASES } from "./calls-words.js";

const PRINTED = 600; // of the 718 pixels of a sheet, beside the names
const LANE = 26, HEAD = 24, AXIS = 26, THIN = 14;
const STATES = {
  waiting: "ждёт", hold: "на удержании", talking: "разговор", ringing: "звонит", unsure: "отвечен, когда — неизвестно",
  shown: "карточка", timing: "карточка, таймер", card_unsure: "карточка под вопросом",
};
const LEGEND = [["ringing", "звонит"], ["talking", "разговор"], ["waiting", "ждёт"], ["hold", "на удержании"], ["unsure", "неизвестно"], ["shown", "карточка"], ["timing", "карточка с таймером"]];
export const KINDS = {
  heard: "услышано", time: "время", asked: "запрос", answered: "ответ", failed: "сбой", refused: "отказ", deferred: "отложено", ordered: "повтор",
};

/** Lanes from top to bottom, with where they stand. */
function rowsOf(story) {
  const picture = story.picture, rows = [];
  const label = (lane) => [phone(lane.who), lane.name];
  rows.push({ kind: "head", words: "Телефоны" });
  if (picture.customer.bars.length) rows.push({ kind: "bars", of: "customer", label: ["Клиент", picture.client], bars: picture.customer.bars });
  for (const lane of picture.phones) rows.push({ kind: "bars", of: "phone", label: label(lane), bars: lane.bars });
  if (picture.cards.length) {
    rows.push({ kind: "head", words: "Экраны: карточка звонка" });
    for (const lane of picture.cards) rows.push({ kind: "bars", of: "card", label: label(lane), bars: lane.bars });
  }
  rows.push({ kind: "head", words: "Что делал сервис" });
  if (picture.requests.length) rows.push({ kind: "requests", label: ["Запросы", "к МоемуСкладу"] });
  rows.push({ kind: "steps", label: ["Шаги", ""] });
  return rows;
}

/** Requests that would cover each other stand below each other, three deep at most. */
function stacked(requests, x) {
  const ends = [];
  return requests.map((each) => {
    const from = x(each.from_ms), to = Math.max(x(each.to_ms), from + 4);
    let depth = ends.findIndex((end) => end <= from);
    if (depth < 0) depth = ends.length < 3 ? ends.length : ends.indexOf(Math.min(...ends));
    ends[depth] = to + 1;
    return { ...each, from, to, depth };
  });
}

export function Picture({ story, at, choose, now }) {
  const box = useRef(null), [width, setWidth] = useState(800);
  useEffect(() => {
    const look = new ResizeObserver(([entry]) => setWidth(Math.max(200, Math.floor(entry.contentRect.width))));
    look.observe(box.current);
    const print = () => setWidth(PRINTED), back = () => setWidth(Math.max(200, Math.floor(box.current.clientWidth)));
    addEventListener("beforeprint", print); // paper is narrower, and nobody looks how wide it is before it is printed
    addEventListener("afterprint", back);
    return () => { look.disconnect(); removeEventListener("beforeprint", print); removeEventListener("afterprint", back); };
  }, []);
  const times = useMemo(() => timesOf(story, now), [story, now]);
  const [even, setEven] = useState(null);
  const isEven = even ?? longestGap(times) <= LONG_GAP_MS;
  const scale = useMemo(() => makeScale(times, width, isEven), [times, width, isEven]);
  const rows = useMemo(() => rowsOf(story), [story]);
  const requests = useMemo(() => stacked(story.picture.requests, scale.x), [story, scale]);
  const deep = requests.reduce((most, each) => Math.max(most, each.depth + 1), 1);
  const heights = rows.map((row) => (row.kind === "head" ? HEAD : row.kind === "requests" ? Math.max(LANE, deep * THIN + 6) : LANE));
  const tops = heights.reduce((all, height, index) => [...all, (all[index] ?? AXIS) + height], [AXIS]);
  const bottom = tops[tops.length - 1];
  const entry = story.entries[at];

  const nearest = (event) => {
    const place = event.clientX - event.currentTarget.getBoundingClientRect().left;
    let best = at, distance = Infinity;
    story.entries.forEach((each, index) => {
      const far = Math.abs(scale.x(each.at_ms) - place);
      if (far < distance - 0.01) { best = index; distance = far; }
    });
    choose(best);
  };
  const down = (event) => { if (event.button !== 0) return; event.currentTarget.setPointerCapture(event.pointerId); nearest(event); };
  const move = (event) => { if (event.currentTarget.hasPointerCapture(event.pointerId)) nearest(event); };
  const end = story.picture.live ? Math.max(now, story.picture.to_ms) : story.picture.to_ms;

  return html`<section class="panel picture" aria-label="Картина звонка">
    <div class="picture-grid">
      <div class="labels" aria-hidden="true"><div class="axis-label" style=${{ height: `${AXIS}px` }}></div>${rows.map((row, index) => html`
        <div key=${index} class=${row.kind} style=${{ height: `${heights[index]}px` }}>${row.kind === "head" ? row.words : html`<b class="num">${row.label[0]}</b> <span title=${row.label[1]}>${row.label[1]}</span>`}</div>`)}</div>
      <div class="drawing" ref=${box}>
        <svg width=${width} height=${bottom} role="img" aria-label=${spoken(story)} onPointerDown=${down} onPointerMove=${move}>
          ${rows.map((row, index) => row.kind !== "head" && html`<rect key=${`r${index}`} class="lane" x="0" y=${tops[index] + 1} width=${width} height=${heights[index] - 2} rx="4" />`)}
          ${scale.ticks.map((tick) => html`<g key=${`t${tick.ms}`}><line class="tick" x1=${tick.x} x2=${tick.x} y1=${AXIS - 5} y2=${bottom} />
            <text class="tick-text" x=${wordsAt(tick.x, width)} y=${AXIS - 10} text-anchor="middle">${time(tick.ms)}${tick.fine ? "," + String(tick.ms % 1000).padStart(3, "0")[0] : ""}</text></g>`)}
          ${scale.gaps.map((gap) => html`<g key=${`g${gap.from}`} class="gap"><rect x=${gap.from + 2} y=${AXIS} width=${Math.max(0, gap.to - gap.from - 4)} height=${bottom - AXIS} />
            <text x=${(gap.from + gap.to) / 2} y=${bottom - 6} text-anchor="middle">⋯ ${gap.words} ⋯</text></g>`)}
          ${rows.map((row, index) => row.kind === "bars" && row.bars.map((bar) => html`<${BarView} key=${`${index}-${bar.from_ms}-${bar.state}`} bar=${bar} of=${row.of} x=${scale.x} top=${tops[index]} end=${end} />`))}
          ${rows.map((row, index) => row.kind === "requests" && requests.map((each) => html`<rect key=${`q${each.version}-${each.index}`} class=${`request ${each.status !== null && each.status < 400 ? "good" : "bad"}`}
            x=${each.from} y=${tops[index] + 3 + each.depth * THIN} width=${each.to - each.from} height=${THIN - 3} rx="2"><title>${each.method} ${each.path.split("?")[0]}: ${each.status ?? "нет ответа"}, ${each.to_ms - each.from_ms} мс</title></rect>`))}
          ${rows.map((row, index) => row.kind === "steps" && story.entries.map((each, nth) => html`<${Mark} key=${each.version} entry=${each} x=${scale.x(each.at_ms)} y=${tops[index] + LANE / 2} on=${nth === at} />`))}
          ${entry && html`<g class="now"><line x1=${scale.x(entry.at_ms)} x2=${scale.x(entry.at_ms)} y1=${AXIS - 4} y2=${bottom} />
            <path d=${`M${scale.x(entry.at_ms) - 5},${AXIS - 8} h10 l-5,7 z`} /></g>`}
        </svg>
      </div>
    </div>
    <div class="picture-foot row"><span class="legend">${LEGEND.map(([kind, words]) => html`<span key=${kind} class="nowrap"><i class=${`swatch ${kind}`}></i>${words}</span>`)}</span>
      ${longestGap(times) > LONG_GAP_MS && html`<button type="button" class="btn small quiet" aria-pressed=${isEven} onClick=${() => setEven(!isEven)}>${isEven ? "Сжать долгие паузы" : "Ровное время"}</button>`}</div>
  </section>`;
}

function BarView({ bar, of, x, top, end }) {
  const to = bar.to_ms ?? end, from = x(bar.from_ms), wide = Math.max(3, x(to) - from);
  const name = of === "card" && bar.state === "unsure" ? "card_unsure" : bar.state, words = STATES[name] || name;
  const length = to - bar.from_ms >= 1000 ? ` ${duration(to - bar.from_ms)}` : "";
  const text = wide > 34 + (words.length + length.length) * 7 ? words + length : wide > 12 + length.length * 7 ? length.trim() : "";
  return html`<g class=${`bar of-${of} ${name}${bar.to_ms === null ? " open" : ""}`}><rect x=${from} y=${top + 4} width=${wide} height=${LANE - 8} rx="4" />
    <title>${words}: ${time(bar.from_ms)} – ${bar.to_ms === null ? "сейчас" : time(bar.to_ms)}${length}</title>
    ${text && html`<text x=${from + 8} y=${top + LANE / 2 + 4.5}>${text}</text>`}</g>`;
}

function Mark({ entry, x, y, on }) {
  const tall = entry.kind === "heard" ? 4 : 8;
  return html`<line class=${`mark ${entry.kind} ${on ? "on" : ""}`} x1=${x} x2=${x} y1=${y - tall} y2=${y + tall}><title>${time(entry.at_ms)} ${KINDS[entry.kind]}: ${entry.title}</title></line>`;
}

/** The picture for who cannot see it. */
function spoken(story) {
  const picture = story.picture;
  const phones = picture.phones.map((lane) => `${lane.who} ${lane.name}: ${lane.bars.map((bar) => STATES[bar.state] || bar.state).join(", ") || "не звонил"}`);
  return `Звонок по времени. ${phones.join("; ")}. Состояние: ${(PHASES[story.phase] || [story.phase])[0]}.`;
}
