// Which enterprise: all of them with the state of their integration, found by number or name.
import { html, useState, useEffect, useData, api, Tag, Busy, Failed, counted } from "./lib.js";
import { problemWords } from "./settings-fields.js";
import { STATES } from "./shell.js";

const ORDER = ["trouble", "on", "off", "none"];

export function Chooser() {
  const [typed, setTyped] = useState(""), [asked, setAsked] = useState(""), [only, setOnly] = useState("");
  useEffect(() => { const later = setTimeout(() => setAsked(typed.trim()), 200); return () => clearTimeout(later); }, [typed]);
  const { data, error, reload } = useData(`/ms-admin/api/enterprises?q=${encodeURIComponent(asked)}`);
  const parked = useParked();
  const all = data ? data.enterprises : [];
  const shown = all.filter((each) => !only || each.state === only);
  const count = (state) => all.filter((each) => each.state === state).length;
  const isNew = /^[0-9A-Za-z-]{1,20}$/.test(asked) && data && !all.some((each) => each.number === asked);
  return html`
    <div class="page-head"><h1 class="grow">Предприятия</h1>
      <input type="search" placeholder="Номер или название" aria-label="Найти предприятие" value=${typed} onInput=${(event) => setTyped(event.target.value)} autofocus /></div>
    <div class="row chooser-filters" role="group" aria-label="Показать">
      <button type="button" class=${`btn small ${only === "" ? "primary" : ""}`} aria-pressed=${only === ""} onClick=${() => setOnly("")}>Все ${data ? all.length : ""}</button>
      ${ORDER.filter(count).map((state) => html`<button key=${state} type="button" class=${`btn small ${only === state ? "primary" : ""}`} aria-pressed=${only === state}
        onClick=${() => setOnly(only === state ? "" : state)}>${STATES[state][1]} ${count(state)}</button>`)}
    </div>
    <section class="panel">
      ${error && html`<div class="panel-body"><${Failed} error=${error} retry=${reload} /></div>`}
      ${!data && !error && html`<div class="panel-body"><${Busy} /></div>`}
      ${data && shown.length > 0 && html`<div class="frame"><table class="chooser">
        <thead><tr><th scope="col">Номер</th><th scope="col">Название</th><th scope="col">Интеграция</th><th scope="col">Что не так</th></tr></thead>
        <tbody>${shown.map((each) => html`<${Row} key=${each.number} each=${each} parked=${parked[each.number] || 0} />`)}</tbody></table></div>`}
      ${data && !shown.length && html`<p class="empty">${asked ? "Ничего не найдено." : "Предприятий пока нет: их заводит поставщик телефонии."}</p>`}
      ${data && !data.complete && html`<p class="empty small">Показана первая тысяча: уточните запрос.</p>`}
      ${isNew && html`<p class="empty"><a class="btn" href=${`/ms-admin/?enterprise_number=${encodeURIComponent(asked)}`}>Настроить предприятие ${asked}, которого нет в списке</a></p>`}
    </section>`;
}

function Row({ each, parked }) {
  const [kind, words] = STATES[each.state];
  const trouble = [...each.problems.map(problemWords), parked && `${counted(parked, "звонок ждёт", "звонка ждут", "звонков ждут")} человека`].filter(Boolean);
  const where = `/ms-admin/?enterprise_number=${encodeURIComponent(each.number)}`;
  return html`<tr>
    <td class="num"><a href=${where}>${each.number}</a></td>
    <td class="who">${each.name || html`<span class="faint">без названия</span>`}</td>
    <td><${Tag} kind=${kind}>${words}<//></td>
    <td class="small">${trouble.length ? trouble.map((text) => html`<div key=${text}>${text}</div>`)
      : each.state === "trouble" ? "Не задан ключ Phone API." : html`<span class="faint">—</span>`}</td></tr>`;
}

/** enterprise -> how many of its calls need a person; empty while that is not known. */
function useParked() {
  const [found, setFound] = useState({});
  useEffect(() => {
    api("/ms-admin/api/parked?limit=1").then((told) => {
      const counts = {};
      for (const each of told.reasons) counts[each.enterprise] = (counts[each.enterprise] || 0) + each.calls;
      setFound(counts);
    }, () => {});
  }, []);
  return found;
}
