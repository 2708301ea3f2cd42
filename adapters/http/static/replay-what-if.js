// «А если бы…»: this call, or its whole day, run again under other settings. Nothing is saved and nothing is sent.
import { html, useState, useEffect, useRef, useData, api, counted, date, sayError, ZONE, Busy, Failed, Tag, ApiError } from "./lib.js";
import { FIELD, FIELDS, changedPaths, draftLines, mappingOf, requestOf } from "./settings-fields.js";
import { callLink } from "./calls-words.js";

const EVERY_MS = 1_000;
const SHOWN = ["enabled", "notifications.call_notify_mode", "notifications.notify_incoming", "notifications.notify_outgoing",
  "incoming_call_actions.create_client", "outgoing_call_actions.create_client", "employee_mapping"];
const SECTIONS = { notifications: "", incoming_call_actions: "Входящие: ", outgoing_call_actions: "Исходящие: " };
const DEFAULTS = { enabled: false, "notifications.call_notify_mode": "none", "notifications.notify_incoming": true, "notifications.notify_outgoing": false,
  "incoming_call_actions.create_client": false, "outgoing_call_actions.create_client": false };

/** The form's values of settings as they are stored; what is not among the shown ones is never sent. */
function valuesOf(ms) {
  const values = Object.fromEntries(FIELDS.map((each) => [each.path, null]));
  for (const path of SHOWN) {
    const [section, name] = path.split(".");
    const stored = name ? (ms[section] || {})[name] : ms[section];
    values[path] = path === "employee_mapping" ? mappingOf(stored) : stored ?? DEFAULTS[path];
  }
  return values;
}

export function WhatIf({ number, call, story, onClose }) {
  const where = `${encodeURIComponent(number)}/${encodeURIComponent(call)}`;
  const { data, error, reload } = useData(`/ms-admin/api/what-if/${where}`);
  if (error) return html`<section class="panel"><div class="panel-body"><${Failed} error=${error} retry=${reload} /></div></section>`;
  if (!data) return html`<section class="panel"><div class="panel-body"><${Busy} /></div></section>`;
  return html`<${Form} number=${number} where=${where} story=${story} ms=${data.ms} onClose=${onClose} />`;
}

function Form({ number, where, story, ms, onClose }) {
  const [base] = useState(() => valuesOf(ms)), [draft, setDraft] = useState(base);
  const [found, setFound] = useState(null), [busy, setBusy] = useState(false), [day, setDay] = useState(null);
  const title = useRef(null);
  useEffect(() => title.current.focus(), []);
  const turn = useRef(0), [tried, setTried] = useState(""); // what is found is of the settings that were asked with, not of those that stand there since
  const set = (path, value) => { turn.current += 1; setDraft((before) => ({ ...before, [path]: value })); setFound(null); };
  const changed = changedPaths(base, draft), body = changed.length ? { ms: requestOf(draft, changed) } : {};
  const said = draftLines(base, draft).map((each) => `${each.label}: ${each.was} → ${each.now}`).join("; ");
  const ask = async () => {
    const asked = turn.current;
    setBusy(true);
    try {
      const told = await api(`/ms-admin/api/what-if/${where}`, { method: "POST", body });
      if (asked === turn.current) setFound(told);
    } catch (failure) { sayError(failure); } finally { setBusy(false); }
  };
  const askDay = async () => {
    const then = new Date(story.start_ms), two = (value) => String(value).padStart(2, "0");
    const text = `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`;
    try {
      setDay(await api(`/ms-admin/api/what-if-day/${encodeURIComponent(number)}`, { method: "POST", body: { ...body, day: text, ...(ZONE ? { zone: ZONE } : {}) } }));
      setTried(said);
    } catch (failure) { sayError(failure); }
  };
  const running = day && day.state === "running";
  return html`<section class="panel what-if" aria-labelledby="what-if-title">
    <div class="panel-head"><h2 id="what-if-title" tabindex="-1" ref=${title}>А если бы настройки были другими?</h2>
      <button type="button" class="btn small" onClick=${onClose}>Закрыть</button></div>
    <div class="panel-body stack">
      <p class="muted">Звонок разыгрывается заново с этими настройками. Ничего не сохраняется и не отправляется. Без изменений проверяется, как поступил бы сервис сегодня.</p>
      <div class="what-if-fields">${SHOWN.filter((path) => path !== "employee_mapping").map((path) => html`<${Field} key=${path} path=${path} value=${draft[path]} was=${base[path]} set=${set} />`)}</div>
      <${Mapping} number=${number} story=${story} draft=${draft.employee_mapping} was=${base.employee_mapping} set=${(value) => set("employee_mapping", value)} />
      ${changed.length > 0 && html`<p class="small"><b>Изменено:</b> ${said}</p>`}
      <div class="row"><button type="button" class="btn primary" disabled=${busy} onClick=${ask}>Проверить этот звонок</button>
        <button type="button" class="btn" disabled=${running || story.start_ms === null} onClick=${askDay}>Проверить все звонки за ${date(story.start_ms ?? Date.now())}</button>
        ${busy && html`<${Busy} words="Разыгрываем…" />`}</div>
      <div aria-live="polite" class="stack">
        ${found && html`<${Found} found=${found} />`}
        ${day && html`<${Day} number=${number} day=${day} setDay=${setDay} tried=${tried} />`}</div>
    </div></section>`;
}

function Field({ path, value, was, set }) {
  const field = FIELD[path], label = `${SECTIONS[path.split(".")[0]] ?? ""}${field.label}`;
  const mark = value === was ? "" : html` <span class="changed" title="Изменено">•</span>`;
  if (field.kind === "check") return html`<label class="row"><input type="checkbox" checked=${value} onChange=${(event) => set(path, event.target.checked)} /> <span>${label}${mark}</span></label>`;
  return html`<label class="row"><span>${label}${mark}</span> <select value=${value} onChange=${(event) => set(path, event.target.value)}>
    ${field.options.map(([each, words]) => html`<option key=${each} value=${each}>${words}</option>`)}</select></label>`;
}

/** Who has which extension: of the phones in this call, and of those in the settings. */
function Mapping({ number, story, draft, was, set }) {
  const { data } = useData(`/ms-admin/api/employees/${encodeURIComponent(number)}`), people = data ? data.employees : [];
  const extensions = [...new Set([...story.rang, ...story.talked, ...Object.keys(was)])].filter((each) => /^[0-9]{2,6}$/.test(each)).sort();
  if (!extensions.length) return null;
  const choose = (extension, id) => {
    const { [extension]: _old, ...rest } = draft, person = people.find((each) => each.employee_id === id);
    set(id ? { ...rest, [extension]: { employee_id: id, name: person ? person.name : (was[extension] || {}).name || "", email: "" } } : rest);
  };
  const known = (extension) => [was[extension], draft[extension]].filter((each) => each && each.employee_id && !people.some((one) => one.employee_id === each.employee_id));
  return html`<fieldset class="what-if-fields"><legend>Чьи это номера</legend>${extensions.map((extension) => html`<label key=${extension} class="row">
    <b class="num">${extension}</b><select aria-label=${`Сотрудник с номером ${extension}`} value=${draft[extension] ? draft[extension].employee_id : ""} onChange=${(event) => choose(extension, event.target.value)}>
      <option value="">как ответит МойСклад</option>
      ${[...new Map(known(extension).map((each) => [each.employee_id, each])).values()].map((each) => html`<option key=${each.employee_id} value=${each.employee_id}>${each.name || each.employee_id}</option>`)}
      ${people.map((each) => html`<option key=${each.employee_id} value=${each.employee_id}>${each.name || each.login || each.employee_id}</option>`)}</select></label>`)}</fieldset>`;
}

const Change = ({ each }) => html`<li class="difference"><b>${each.sentence}</b>
  <dl><dt>было</dt><dd>${each.was_words}${each.was_because && html` <span class="muted">(${each.was_because})</span>`}</dd>
  <dt>было бы</dt><dd>${each.would_words}${each.would_because && html` <span class="muted">(${each.would_because})</span>`}</dd></dl></li>`;

function Found({ found }) {
  return html`<div class="stack">
    ${!found.differs && html`<p class="note good">Ничего бы не изменилось.</p>`}
    ${found.changes.length > 0 && html`<ul class="differences">${found.changes.map((each) => html`<${Change} key=${each.about} each=${each} />`)}</ul>`}
    ${found.stuck && html`<p class="note bad">Сервис повторял бы это без конца: сообщите разработчикам.</p>`}
    ${found.anyway.length > 0 && html`<details><summary>Ещё ${counted(found.anyway.length, "отличие", "отличия", "отличий")} не из-за настроек: так поступил бы сегодняшний сервис и с прежними</summary>
      <ul class="differences">${found.anyway.map((each) => html`<${Change} key=${each.about} each=${each} />`)}</ul></details>`}
    ${found.assumed.map((each) => html`<p key=${each} class="muted small">${each}</p>`)}</div>`;
}

const STATES = { running: ["идёт", "info"], done: ["готово", "good"], cancelled: ["остановлено", "warn"], failed: ["не получилось", "bad"] };

function Day({ number, day, setDay, tried }) {
  const path = `/ms-admin/api/what-if-day/${encodeURIComponent(number)}/${encodeURIComponent(day.id)}`, running = day.state === "running";
  useEffect(() => {
    if (!running) return undefined;
    const each = setInterval(async () => {
      try { setDay(await api(path)); } catch (failure) { if (failure instanceof ApiError && failure.status === 404) setDay({ ...day, state: "failed" }); }
    }, EVERY_MS);
    return () => clearInterval(each);
  }, [path, running]);
  const stop = async () => { try { setDay(await api(path, { method: "DELETE" })); } catch (failure) { sayError(failure); } };
  const [words, kind] = STATES[day.state], { found } = day;
  return html`<div class="stack day-found"><div class="row"><h3>День ${day.day.split("-").reverse().join(".")}</h3> <${Tag} kind=${kind}>${words}<//>
      <progress max=${day.whole || 1} value=${day.done} aria-label="Сколько звонков проверено"></progress><span class="num muted">${day.done} из ${day.whole}</span>
      ${running && html`<button type="button" class="btn small" onClick=${stop}>Остановить</button>`}</div>
    <p class="small muted">${tried ? `С изменениями: ${tried}` : "Без изменений настроек"}</p>
    <p><b>${found.differing} из ${counted(found.calls, "звонка", "звонков", "звонков")}</b> прошли бы иначе.
      ${found.anyway > 0 && html` <span class="muted">У ${found.anyway} есть отличия не из-за настроек.</span>`}${found.unreadable > 0 && html` <span class="muted">Не читаются: ${found.unreadable}.</span>`}</p>
    ${found.groups.length > 0 && html`<table><thead><tr><th scope="col" class="right">Звонков</th><th scope="col">Что было бы иначе</th><th scope="col">Например</th></tr></thead>
      <tbody>${found.groups.map((each) => html`<tr key=${each.what + each.because}><td class="num right">${each.calls}</td><td>${each.what}${each.because && html` <span class="muted">— ${each.because}</span>`}</td>
        <td>${each.examples.map((one, index) => html`${index ? ", " : ""}<a key=${one.call} href=${callLink(one.enterprise, one.call)}>${one.call}</a>`)}</td></tr>`)}</tbody></table>`}</div>`;
}
