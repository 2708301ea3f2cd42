// Plain charts: bars that stack, and lines, over periods. Every one has its table right below.
import { html, useState, useEffect, useRef, useMemo, number } from "./lib.js";

const HEIGHT = 190, TOP = 12, BOTTOM = 24, LEFT = 46, RIGHT = 8;

/** Where an axis ends. `whole`: things that are counted: half of them, where the middle line is, must be a whole number too. */
function niceTop(most, whole) {
  if (!(most > 0)) return whole ? 2 : 1;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((each) => each * size).find((each) => each >= most && !(whole && each % 2)) || 20 * size;
}

/** `series`: `[{name, kind, values}]`, `null` where there is nothing to tell. `stack`: bars on top of each other; else lines. `most`: the top of the axis; `least`: it is no lower. */
export function Chart({ title, note, labels, long, series, stack = false, whole = false, most, least = 0, unit = number, head = "Период" }) {
  const box = useRef(null), [width, setWidth] = useState(600), [at, setAt] = useState(null);
  useEffect(() => {
    const look = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.floor(entry.contentRect.width))));
    look.observe(box.current);
    return () => look.disconnect();
  }, []);
  const count = labels.length, room = width - LEFT - RIGHT, step = room / Math.max(1, count);
  const top = useMemo(() => most || niceTop(Math.max(least, ...(stack ? labels.map((_, index) => series.reduce((sum, each) => sum + (each.values[index] || 0), 0))
    : series.flatMap((each) => each.values.map((value) => value || 0)))), whole), [series, labels, stack, most]);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top), x = (index) => LEFT + step * (index + 0.5);
  const every = Math.max(1, Math.ceil(64 / step));
  const point = (event) => {
    const place = event.clientX - event.currentTarget.getBoundingClientRect().left - LEFT;
    setAt(Math.max(0, Math.min(count - 1, Math.floor(place / step))));
  };
  const keys = (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    setAt((before) => Math.max(0, Math.min(count - 1, (before ?? (way > 0 ? -1 : count)) + way)));
  };
  const empty = !series.some((each) => each.values.some((value) => value));
  return html`<figure class="panel chart">
    <figcaption><h2>${title}</h2><span class="legend">${series.map((each) => html`<span key=${each.name}><i class=${`swatch ${each.kind}`}></i>${each.name}</span>`)}</span></figcaption>
    <div class="plot" ref=${box}>
      <svg width=${width} height=${HEIGHT} role="img" tabindex="0" aria-label=${`${title}. Числа — в таблице ниже.`} onPointerMove=${point} onPointerLeave=${() => setAt(null)} onKeyDown=${keys} onBlur=${() => setAt(null)}>
        ${!empty && [0, 0.5, 1].map((share) => html`<g key=${share}><line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${y(top * share)} y2=${y(top * share)} />
          <text class="axis" x=${LEFT - 6} y=${y(top * share) + 4} text-anchor="end">${unit(top * share)}</text></g>`)}
        ${at !== null && html`<rect class="hover" x=${LEFT + step * at} y=${TOP} width=${step} height=${HEIGHT - TOP - BOTTOM} />`}
        ${labels.map((label, index) => index % every === 0 && html`<text key=${label + index} class="axis" x=${x(index)} y=${HEIGHT - 7} text-anchor="middle">${label}</text>`)}
        ${stack ? labels.map((label, index) => {
          let below = 0;
          return html`<g key=${index}>${series.map((each) => {
            const value = each.values[index] || 0;
            below += value;
            return value > 0 && html`<rect key=${each.name} class=${`fill ${each.kind}`} x=${LEFT + step * index + Math.min(3, step * 0.12)} width=${Math.max(1, step - Math.min(6, step * 0.24))}
              y=${y(below)} height=${y(0) - y(value)} />`;
          })}</g>`;
        }) : series.map((each) => html`<g key=${each.name}><path class=${`line ${each.kind}`} d=${path(each.values, x, y)} />
          ${count <= 62 && each.values.map((value, index) => value !== null && html`<circle key=${index} class=${`dot-mark ${each.kind}`} cx=${x(index)} cy=${y(value)} r="2.5" />`)}</g>`)}
        ${empty && html`<text class="axis" x=${LEFT + room / 2} y=${HEIGHT / 2} text-anchor="middle">нет данных за этот период</text>`}
      </svg>
      <p class="reading small num" aria-live="polite">${at === null ? note || " " : html`<b>${long[at]}</b>: ${series.map((each) => `${each.name} ${each.values[at] === null ? "—" : unit(each.values[at])}`).join(", ")}`}</p>
    </div>
    <details><summary>Таблица</summary><div class="frame tall"><table><thead><tr><th scope="col">${head}</th>${series.map((each) => html`<th key=${each.name} scope="col" class="right">${each.name}</th>`)}</tr></thead>
      <tbody>${labels.map((_, index) => html`<tr key=${index}><th scope="row" class="nowrap">${long[index]}</th>${series.map((each) => html`<td key=${each.name} class="num right">${each.values[index] === null ? "—" : unit(each.values[index])}</td>`)}</tr>`)}</tbody></table></div></details>
  </figure>`;
}

function path(values, x, y) {
  let text = "", pen = false;
  values.forEach((value, index) => {
    if (value === null) { pen = false; return; }
    text += `${pen ? "L" : "M"}${x(index).toFixed(1)},${y(value).toFixed(1)}`;
    pen = true;
  });
  return text;
}
