// One step of a call: what happened, why, what was asked and answered, how everything stood after it.
import { html, time, duration, span, phone } from "./lib.js";
import { PHASES } from "./calls-words.js";
import { KINDS } from "./replay-picture.js";

export const clock = (ms) => `${time(ms)},${String(((ms % 1000) + 1000) % 1000).padStart(3, "0")}`;
const TONES = { failed: "warn", refused: "bad", deferred: "warn", answered: "good", asked: "accent", ordered: "info" };

const Json = ({ value }) => html`<pre class="json" tabindex="0">${JSON.stringify(value, null, 2)}</pre>`;
const isThere = (value) => value !== null && value !== undefined && value !== "" && !(typeof value === "object" && !Object.keys(value).length);

export function Step({ story, at }) {
  const entry = story.entries[at];
  if (!entry) return null;
  const moved = entry.phase_before !== entry.phase_after, name = (phase) => (PHASES[phase] || [phase])[0];
  return html`<div class="step">
    <div class="row"><span class=${`tag ${TONES[entry.kind] || ""}`}>${KINDS[entry.kind] || entry.kind}</span><b class="num">${clock(entry.at_ms)}</b>
      <span class="muted num">от начала ${duration(entry.at_ms - story.picture.from_ms)}</span><span class="muted small">шаг ${at + 1} из ${story.entries.length}</span></div>
    <h2>${entry.title}</h2>
    ${entry.why && html`<p class="why"><span class="muted">почему:</span> ${entry.why}${entry.again_ms ? html` <span class="muted">(снова в ${time(entry.again_ms)})</span>` : ""}</p>`}
    ${moved && html`<p>${name(entry.phase_before)} <span aria-hidden="true">→</span><span class="sr"> стало </span> <b>${name(entry.phase_after)}</b></p>`}
    ${entry.notes.map((note) => html`<p key=${note.about + note.text} class="note-line"><span class="muted">${note.about}:</span> ${note.text}</p>`)}
    ${entry.exchanges.map((each, index) => html`<${Exchange} key=${`${entry.version}-${index}`} each=${each} />`)}
    ${isThere(entry.raw) && html`<details key=${`raw-${entry.version}`}><summary>Что прислала АТС <span class="muted small">${entry.wire}</span></summary><${Json} value=${entry.raw} /></details>`}
  </div>`;
}

function Exchange({ each }) {
  const good = each.status !== null && each.status < 400;
  return html`<details class="exchange"><summary><span class=${`tag ${good ? "good" : "bad"}`}>${each.status ?? "нет ответа"}</span> <code>${each.method} ${decode(each.path)}</code> <span class="muted num nowrap">${span(each.duration_ms)}</span></summary>
    ${isThere(each.request) && html`<h3>Отправлено</h3><${Json} value=${each.request} />`}
    ${isThere(each.response) ? html`<h3>Ответ</h3><${Json} value=${each.response} />` : html`<p class="muted small">Тела ответа нет.</p>`}</details>`;
}

function decode(path) { try { return decodeURIComponent(path); } catch { return path; } }

// -- how everything stood at that moment ------------------------------------------------------------------------------

const CARDS = { shown: ["показана", "accent"], timing: ["показана, таймер идёт", "good"], unsure: ["неизвестно", "warn"], hidden: ["убрана", ""] };
const PHONES = { ringing: ["звонит", "warn"], talking: ["говорит", "good"], unsure: ["ответил или нет — неизвестно", ""] };

/** Notes in force after a step: those that were said and not taken back. */
function standing(entries, at) {
  const found = new Map();
  for (const entry of entries.slice(0, at + 1)) {
    for (const note of entry.gone) found.delete(note.about + "\n" + note.text);
    for (const note of entry.notes) found.set(note.about + "\n" + note.text, note);
  }
  return [...found.values()];
}

export function Moment({ story, at }) {
  const entry = story.entries[at];
  if (!entry) return null;
  const picture = story.picture, now = entry.at_ms;
  const covers = (bar) => bar.from_ms <= now && (bar.to_ms === null || now < bar.to_ms);
  const people = [...new Set([...picture.phones.map((lane) => lane.who), ...picture.cards.map((lane) => lane.who)])];
  const rows = people.map((who) => {
    const bar = (picture.phones.find((lane) => lane.who === who) || { bars: [] }).bars.find(covers);
    return { who, phone: bar && PHONES[bar.state], card: CARDS[entry.cards[who]] };
  });
  const [words, kind] = PHASES[entry.phase_after] || [entry.phase_after, ""], notes = standing(story.entries, at);
  return html`<div class="moment">
    <p>Звонок: <span class=${`tag ${kind}`}>${words}</span></p>
    ${rows.length > 0 && html`<table><thead><tr><th scope="col">Сотрудник</th><th scope="col">Телефон</th><th scope="col">Карточка на экране</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.who}><td><b class="num">${phone(row.who)}</b> <span class="muted">${picture.names[row.who] || ""}</span></td>
        <td>${row.phone ? html`<span class=${`tag ${row.phone[1]}`}>${row.phone[0]}</span>` : html`<span class="faint">молчит</span>`}</td>
        <td>${row.card ? html`<span class=${`tag ${row.card[1]}`}>${row.card[0]}</span>` : html`<span class="faint">не было</span>`}</td></tr>`)}</tbody></table>`}
    ${notes.length > 0 && html`<h3>Решено и почему</h3><ul class="notes">${notes.map((note) => html`<li key=${note.about + note.text}><span class="muted">${note.about}:</span> ${note.text}</li>`)}</ul>`}
  </div>`;
}
