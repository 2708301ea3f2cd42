// The parts of the settings form: a section, a field of each kind with its error beside it, a difference as a table.
import { html, useState, useEffect, useId, api } from "./lib.js";
import { FIELD, CLEAR, ORDERS_OFF } from "./settings-fields.js";

export function Section({ id, title, field, paths, children }) {
  return html`<section class="panel" id=${id} aria-labelledby=${`${id}-title`}>
    <div class="panel-head"><h2 id=${`${id}-title`}>${title}</h2></div>
    <div class="panel-body fields">${paths.map((path) => html`<${Field} key=${path} path=${path} field=${field} />`)}${children}</div>
  </section>`;
}

/** A field that another one switches off is shown, but cannot be changed. */
const isIdle = ({ needs }, draft) => Boolean(needs) && draft[needs] === ORDERS_OFF;

export function Field({ path, field }) {
  const about = FIELD[path], { draft, base, errors, set } = field;
  const id = useId(), error = errors[path];
  const changed = JSON.stringify(base[path]) !== JSON.stringify(draft[path]);
  const input = {
    id, name: path, disabled: isIdle(about, draft), "aria-invalid": error ? "true" : undefined,
    "aria-describedby": `${id}-note`,
  };
  const note = html`<div id=${`${id}-note`}>${error && html`<div class="error" role="alert">${error}</div>`}${about.hint && html`<div class="hint">${about.hint}</div>`}</div>`;
  const mark = changed ? html` <span class="changed" title="Изменено, ещё не сохранено">•<span class="sr">изменено</span></span>` : "";
  if (about.kind === "check") {
    return html`<div class="field"><label class="check" for=${id}><input ...${input} type="checkbox" checked=${draft[path]} onChange=${(event) => set(path, event.target.checked)} />
      <span class="label">${about.label}${mark}</span></label><div class="indent">${note}</div></div>`;
  }
  let control;
  if (about.kind === "choice") {
    control = html`<select ...${input} value=${draft[path]} onChange=${(event) => set(path, event.target.value)}>
      ${about.options.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select>`;
  } else if (about.kind === "secret") control = html`<${Secret} input=${input} path=${path} field=${field} />`;
  else if (about.kind === "offered") control = html`<${Offered} input=${input} path=${path} field=${field} about=${about} />`;
  else if (about.kind === "person") control = html`<${Person} input=${input} path=${path} field=${field} />`;
  else if (about.kind === "number") {
    control = html`<input ...${input} type="number" min=${about.min} max=${about.max} step="1" value=${draft[path]}
      onInput=${(event) => set(path, event.target.value === "" ? null : Number(event.target.value))} />`;
  } else {
    control = html`<input ...${input} type="text" inputmode=${about.inputmode} placeholder=${about.placeholder} value=${draft[path]} autocomplete="off" spellcheck=${false}
      onInput=${(event) => set(path, event.target.value)} />`;
  }
  return html`<div class="field"><label for=${id}>${about.label}${mark}</label>${control}${note}</div>`;
}

/** A key or token: what is stored is never shown, and stays unless something is typed or it is removed. */
function Secret({ input, path, field: { draft, told, set } }) {
  const stored = told.ms[path] || "", value = draft[path], gone = value === CLEAR;
  return html`<div class="with-button">
    <input ...${input} type="text" class="mono secret" autocomplete="off" autocapitalize="off" spellcheck=${false} value=${gone ? "" : value} disabled=${gone}
      placeholder=${gone ? "будет удалён" : stored ? `сохранён ${stored}; введите новый, чтобы заменить` : "не задан"} onInput=${(event) => set(path, event.target.value.trim())} />
    ${stored && html`<button type="button" class=${`btn quiet ${gone ? "" : "danger"}`} onClick=${() => set(path, gone ? "" : CLEAR)}>${gone ? "Оставить" : "Удалить"}</button>`}
  </div>`;
}

/** The account's own names, offered once the field is entered; anything may be typed while MoySklad is away. */
function Offered({ input, path, about, field: { draft, set, number } }) {
  const [names, setNames] = useState([]), [asked, setAsked] = useState(false), list = useId(), [from, name] = about.offers;
  useEffect(() => {
    if (asked) api(`/ms-admin/api/${from}/${encodeURIComponent(number)}`).then((told) => setNames(told[name]), () => setNames([]));
  }, [asked]);
  return html`<input ...${input} type="text" list=${list} value=${draft[path]} placeholder=${about.placeholder} autocomplete="off"
      onFocus=${() => setAsked(true)} onInput=${(event) => set(path, event.target.value)} />
    <datalist id=${list}>${names.map((each) => html`<option key=${each} value=${each} />`)}</datalist>`;
}

/** One of the account's people; who is stored stays to be seen while MoySklad is away. */
function Person({ input, path, field: { draft, set, people } }) {
  const value = draft[path] || "", known = [...new Map(people.map((each) => [each.employee_id, each])).values()].sort((a, b) => (a.name || "").localeCompare(b.name || ""));
  return html`<select ...${input} value=${value} onChange=${(event) => set(path, event.target.value)}>
    <option value="">не выбран</option>
    ${value && !known.some((each) => each.employee_id === value) && html`<option value=${value}>${value}</option>`}
    ${known.map((each) => html`<option key=${each.employee_id} value=${each.employee_id}>${each.name || each.login || each.employee_id}</option>`)}</select>`;
}

export function Diff({ lines }) {
  if (!lines.length) return html`<p class="muted small">Ничего из того, что видно на этой странице.</p>`;
  return html`<div class="frame"><table class="diff"><thead class="sr"><tr><th scope="col">Поле</th><th scope="col">Было</th><th scope="col">Стало</th></tr></thead>
    <tbody>${lines.map((each, index) => html`<tr key=${index}><th scope="row">${each.label}</th><td class="was">${each.was}</td><td class="arrow" aria-hidden="true">→</td><td>${each.now}</td></tr>`)}</tbody></table></div>`;
}
