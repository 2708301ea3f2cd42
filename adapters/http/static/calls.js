// «Звонки»: the search. What is asked for stands in the address, so that it can be sent, kept and gone back to.
import { html, useState, useEffect, useLayoutEffect, useRef, useCallback, api, withParams, duration, date, time, waited, counted, number, plural, Busy, Failed, Tag, Zone } from "./lib.js";
import { mount } from "./shell.js";
import { MISSED, OUTCOMES, outcomeOf, isInner, Way, Client, People, useNames, callLink } from "./calls-words.js";

const FIELDS = ["phone", "extension", "direction", "outcome", "from", "to", "failed", "parked", "live"];
const PAGE = 50, MOST = 200;

function asked() {
  const all = new URLSearchParams(location.search);
  return Object.fromEntries(FIELDS.map((name) => [name, all.get(name) || ""]));
}

/** Where somebody was in the list who comes back to it. */
const kept = () => (history.state && history.state.calls) || null;
const keep = (shown, at) => history.replaceState({ calls: { shown, at, scroll: scrollY } }, "");

/** Whether what stands in the field of numbers is a name instead: the PBX's of a call or a part of it, or MoySklad's. */
const isName = (text) => /^[\w-]*\d{9,}\.\d+$|^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(text);

/** When a day of the reader's begins, or the one `later` days after it; not every day has 24 hours. */
const midnight = (day, later) => { const at = new Date(`${day}T00:00`); return at.setDate(at.getDate() + later); };

const query = (wanted, enterprise, after, most = PAGE) => {
  const all = new URLSearchParams();
  for (const name of FIELDS) if (wanted[name]) all.set(name === "phone" && isName(wanted.phone) ? "call" : name, wanted[name]);
  if (wanted.from) all.set("from", String(midnight(wanted.from, 0)));
  if (wanted.to) all.set("to", String(midnight(wanted.to, 1) - 1));
  if (enterprise) all.set("enterprise", enterprise);
  if (after) all.set("after", after);
  all.set("limit", String(most));
  return `/ms-admin/api/calls?${all}`;
};

/** The calls that were found, page after page. A search that is overtaken by a newer one is dropped. */
function useFound(wanted, enterprise) {
  const [found, setFound] = useState({ calls: [], after: null, loading: true, error: null });
  const turn = useRef(null);
  const load = useCallback((after, before) => {
    if (turn.current) turn.current.abort();
    const gone = turn.current = new AbortController();
    gone.again = () => load(after, before);
    setFound((was) => ({ ...was, loading: true })); // what went wrong stands until it is known whether it still does
    const back = after ? null : kept();
    api(query(wanted, enterprise, after, Math.min(MOST, Math.max(PAGE, back ? back.shown : 0))), { signal: gone.signal }).then(
      (told) => setFound({ calls: [...before, ...told.calls], after: told.after, loading: false, error: null }),
      (error) => { if (!gone.signal.aborted) setFound((was) => ({ ...was, loading: false, error })); });
  }, [JSON.stringify(wanted), enterprise]);
  useEffect(() => { load(null, []); return () => turn.current.abort(); }, [load]);
  return { ...found, more: () => load(found.after, found.calls), again: () => turn.current.again() };
}

const day = (shift) => { const at = new Date(); at.setDate(at.getDate() + shift); return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`; };
const PERIODS = [["сегодня", () => [day(0), day(0)]], ["вчера", () => [day(-1), day(-1)]], ["7 дней", () => [day(-6), day(0)]], ["30 дней", () => [day(-29), day(0)]], ["всё время", () => ["", ""]]];
const DAY = /^\d{4}-\d\d-\d\d$/;
const HINTS = { phone: "Номер: хотя бы три последние цифры.", from: "Слишком много сразу: сузьте период, выберите предприятие или укажите номер." };

/** Which field of the form was not understood: what is wrong with it stands there, and nowhere else. */
const fieldOf = (error) => (error && error.status === 400 && FIELDS.includes(error.field) ? error.field : "");

function Form({ wanted, change, error, names }) {
  const [typed, setTyped] = useState(wanted);
  // both before the next key: after it they would take it back, or ask for what was typed without what was chosen since
  useLayoutEffect(() => setTyped(wanted), [JSON.stringify(wanted)]);
  // what is typed is asked for after a pause; what is chosen, at once
  useLayoutEffect(() => {
    if (typed.phone === wanted.phone && typed.extension === wanted.extension) return undefined;
    const later = setTimeout(() => change(typed), 350);
    return () => clearTimeout(later);
  }, [typed, wanted]);
  const set = (name) => (event) => setTyped({ ...typed, [name]: event.target.value });
  const pick = (name) => (event) => change({ ...typed, [name]: event.target.type === "checkbox" ? (event.target.checked ? "1" : "") : event.target.value });
  const wrong = fieldOf(error);
  const anything = FIELDS.some((name) => wanted[name]), extra = ["extension", "direction", "outcome", "failed", "parked", "live"].some((name) => wanted[name]);
  const [open, setOpen] = useState(extra); // on a phone the rest of the conditions waits to be asked for
  return html`<form class=${`panel search ${open || extra ? "" : "brief"}`} role="search" onSubmit=${(event) => { event.preventDefault(); change(typed); }}>
    <div class="field phone"><label for="phone">Номер</label>
      <input id="phone" type="search" inputmode="tel" autocomplete="off" placeholder="+375 29… или последние цифры" value=${typed.phone} onInput=${set("phone")} aria-invalid=${wrong === "phone"} aria-describedby=${wrong ? "wrong" : undefined} autofocus=${innerWidth > 760} /></div>
    <div class="field short extra"><label for="extension">Сотрудник</label>
      <input id="extension" inputmode="numeric" autocomplete="off" placeholder="добавочный" list="people" value=${typed.extension} onInput=${set("extension")} />
      <datalist id="people">${Object.entries(names).map(([extension, name]) => html`<option key=${extension} value=${extension}>${name}</option>`)}</datalist></div>
    <div class="field extra"><label for="direction">Направление</label>
      <select id="direction" value=${wanted.direction} onChange=${pick("direction")}><option value="">любое</option><option value="in">входящие</option><option value="out">исходящие</option><option value="internal">внутренние</option></select></div>
    <div class="field extra"><label for="outcome">Чем кончилось</label>
      <select id="outcome" value=${wanted.outcome} onChange=${(event) => change({ ...typed, outcome: event.target.value, direction: event.target.value === MISSED ? "in" : typed.direction })}><option value="">всё равно</option><option value=${MISSED}>входящий не принят (всего)</option>
        ${Object.entries(OUTCOMES).map(([name, [words]]) => html`<option key=${name} value=${name}>${words}</option>`)}</select></div>
    <div class="field dates"><span class="label">Период</span><div class="row nowrap"><input type="date" aria-label="С какого дня" value=${wanted.from} max=${wanted.to || undefined} onChange=${pick("from")} aria-invalid=${wrong === "from"} />
      <span aria-hidden="true">–</span><input type="date" aria-label="По какой день" value=${wanted.to} min=${wanted.from || undefined} onChange=${pick("to")} /></div></div>
    <div class="row periods">${PERIODS.map(([words, span_]) => { const [from, to] = span_(); const on = wanted.from === from && wanted.to === to; return html`
      <button key=${words} type="button" class=${`btn small ${on ? "primary" : ""}`} aria-pressed=${on} onClick=${() => change({ ...typed, from, to })}>${words}</button>`; })}
      <label class="check extra"><input type="checkbox" checked=${wanted.failed === "1"} onChange=${pick("failed")} /> были сбои</label>
      <label class="check extra"><input type="checkbox" checked=${wanted.parked === "1"} onChange=${pick("parked")} /> ждут человека</label>
      <label class="check extra"><input type="checkbox" checked=${wanted.live === "1"} onChange=${pick("live")} /> идут сейчас</label>
      ${!extra && html`<button type="button" class="btn small quiet only-phone" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Меньше условий" : "Ещё условия"}</button>`}
      ${anything && html`<button type="button" class="btn small quiet" onClick=${() => change(Object.fromEntries(FIELDS.map((name) => [name, ""])))}>Сбросить</button>`}</div>
    ${wrong && html`<p id="wrong" class="error-text" role="alert">${(wrong !== "from" || DAY.test(wanted.from) || !wanted.from) && HINTS[wrong] || error.words}</p>`}
  </form>`;
}

function Calls({ enterprise }) {
  const [wanted, setWanted] = useState(asked);
  const found = useFound(wanted, enterprise), names = useNames(enterprise);
  useEffect(() => {
    const back = () => setWanted(asked());
    addEventListener("popstate", back);
    return () => removeEventListener("popstate", back);
  }, []);
  const change = (next) => {
    const clean = Object.fromEntries(FIELDS.map((name) => [name, String(next[name] || "").trim()]));
    if (JSON.stringify(clean) === JSON.stringify(wanted)) return;
    history.pushState(null, "", withParams(clean));
    setWanted(clean);
  };
  const byName = isName(wanted.phone);
  const failed = found.error && !fieldOf(found.error);
  return html`
    <div class="page-head"><h1 class="grow">Звонки</h1><a href=${withParams({ enterprise_number: enterprise }, "/ms-admin/clicks", "")}>Нажатия в МоёмСкладе</a></div>
    <${Form} wanted=${wanted} change=${change} error=${found.error} names=${names} />
    ${byName && html`<p class="note">Это имя звонка или его части: ищем звонок, остальные условия не важны.${!enterprise && " Если он не найдётся, выберите предприятие: без него старые части звонка ищутся среди немногих звонков того времени."}</p>`}
    <section class=${`panel results ${found.loading || found.error ? "loading" : ""}`} hidden=${Boolean(fieldOf(found.error)) && !found.calls.length} aria-label="Найденные звонки" aria-busy=${found.loading}>
      ${failed && html`<div class="panel-body"><${Failed} error=${found.error} retry=${found.again} /></div>`}
      ${found.calls.length > 0 && html`<${Table} calls=${found.calls} names=${names} all=${!enterprise} />`}
      ${!found.loading && !found.error && !found.calls.length && html`<p class="empty">Ничего не найдено. ${wanted.from && wanted.to && wanted.from > wanted.to ? "Начало периода позже его конца." : Object.values(wanted).some(Boolean) ? "Попробуйте убрать часть условий." : "Звонков пока не было."}</p>`}
      ${found.loading && !found.calls.length && html`<p class="empty"><${Busy} words="Ищем…" /></p>`}
      ${found.after && html`<div class="more"><button class="btn" type="button" disabled=${found.loading} onClick=${found.more}>${found.loading ? "Ищем…" : "Показать ещё"}</button>
        <span class="muted small" role="status">показано ${number(found.calls.length)}</span></div>`}
      ${!found.after && found.calls.length > 0 && html`<p class="more muted small" role="status">${plural(found.calls.length, "Найден", "Найдено", "Найдено")} ${counted(found.calls.length, "звонок", "звонка", "звонков")}. Это всё.</p>`}
    </section>
    <p class="small muted foot"><span class="keys">↑ ↓ — выбрать звонок, Enter — открыть. </span><${Zone} /></p>`;
}

function Table({ calls, names, all }) {
  const [at, setAt] = useState(0), body = useRef(null);
  useEffect(() => { // back from a call: the list stands as it was left
    const back = kept();
    if (!back || !body.current.children[back.at]) return;
    setAt(back.at);
    body.current.children[back.at].focus({ preventScroll: true });
    scrollTo(0, back.scroll);
  }, []);
  const go = (index) => {
    const to = Math.max(0, Math.min(calls.length - 1, index));
    setAt(to);
    const row = body.current.children[to];
    if (row) { row.focus(); row.scrollIntoView({ block: "nearest" }); }
  };
  useEffect(() => {
    const keys = (event) => { // from anywhere but a field, the arrows go into the table
      if ((event.key !== "ArrowDown" && event.key !== "ArrowUp") || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) || event.defaultPrevented) return;
      if (document.querySelector("dialog[open], .pop")) return;
      event.preventDefault();
      const on = [...body.current.children].findIndex((row) => row.contains(document.activeElement)); // keys may come faster than we draw
      go(on >= 0 ? on + (event.key === "ArrowDown" ? 1 : -1) : at);
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, [at, calls]);
  return html`<div class="frame"><table class="calls">
    <thead><tr><th scope="col">Начался</th><th scope="col">Клиент</th><th scope="col">Сотрудники</th><th scope="col">Чем кончилось</th><th scope="col" class="right">Разговор</th><th scope="col" class="right">Ждал ответа</th>
      ${all && html`<th scope="col">Предприятие</th>`}<th scope="col">В МоёмСкладе</th></tr></thead>
    <tbody ref=${body}>${calls.map((call, index) => html`<${Row} key=${call.enterprise + "/" + call.call} call=${call} names=${names} all=${all} tab=${index === at ? 0 : -1} onFocus=${() => setAt(index)} leave=${() => keep(calls.length, index)} />`)}</tbody>
  </table></div>`;
}

function Row({ call, names, all, tab, onFocus, leave }) {
  const [words, kind] = outcomeOf(call), others = call.extensions.filter((each) => each !== call.extension);
  const open = (event) => { if (event.ctrlKey || event.metaKey || event.button === 1) window.open(call.link, "_blank", "noopener"); else { leave(); location.assign(call.link); } };
  const keys = (event) => { if (event.key === "Enter" && event.target === event.currentTarget) open(event); };
  return html`<tr tabindex=${tab} onFocus=${onFocus} onKeyDown=${keys} onClick=${(event) => { if (!event.target.closest("a") && !String(getSelection())) open(event); }}>
    <td class="num nowrap when"><a href=${call.link} tabindex="-1" onClick=${leave}>${date(call.started_ms)} <b>${time(call.started_ms)}</b></a></td>
    <td class="who"><span class="caller"><${Way} direction=${call.direction} /> ${isInner(call) ? html`<span class="muted">между сотрудниками</span>` : html`<${Client} number=${call.number} name=${call.client} />`}</span></td>
    <td class="with">${call.extension ? html`<span class="people"><b class="nowrap" title=${names[call.extension]}>${call.extension}${names[call.extension] ? ` ${names[call.extension]}` : ""}${others.length ? "," : ""}</b>${others.length > 0 && html` <span class="muted">${others.join(", ")}</span>`}</span>`
      : html`<${People} extensions=${others} names=${all ? {} : names} none="—" />`}</td>
    <td class="outcome"><${Tag} kind=${kind}>${words}<//>${call.clicked && html` <${Tag} title="Заказан нажатием на номер в МоёмСкладе">из МоегоСклада<//>`}</td>
    <td class="num right talk"><${Talk} call=${call} /></td>
    <td class="num right wait">${call.wait_ms === null ? html`<span class="faint">—</span>` : waited(call.wait_ms)}</td>
    ${all && html`<td class="num nowrap enterprise">${call.enterprise}</td>`}
    <td class="remote">${call.parked ? html`<${Tag} kind="bad" title=${call.parked}>нужен человек<//>` : call.direction === "internal" ? html`<span class="faint">не нужен</span>`
      : call.moysklad_call ? html`<span class="muted">есть</span>` : html`<span class="faint">нет</span>`}
      ${!call.parked && call.failures > 0 && html` <${Tag} kind="warn" title="Были неудачные запросы">сбои: ${call.failures}<//>`}</td>
  </tr>`;
}

/** How long was talked; where no connections were heard, how long the call was. */
function Talk({ call }) {
  if (call.talk_ms) return duration(call.talk_ms);
  if (call.phase === "talking") return html`<${Tag} kind="good">идёт<//>`;
  if (call.outcome === "answered" && call.ended_ms > call.started_ms && call.wait_ms === null) {
    return html`<span class="muted nowrap" title="Когда сняли трубку, АТС не сообщила: это длина всего звонка, вместе с ожиданием">всего ${duration(call.ended_ms - call.started_ms)}</span>`;
  }
  return html`<span class="faint">—</span>`;
}

mount({ section: "calls" }, Calls);
