// Which enterprise: all of them with the state of their integration, found by number or name.
import { html, useState, useEffect, useData, api, param, withParams, number, Tag, Busy, Failed, counted } from "./lib.js";
import { APIS } from "./live-health.js";
import { problemWords } from "./settings-fields.js";
import { STATES } from "./shell.js";

const ORDER = ["trouble", "on", "off", "none"];

export function Chooser() {
  const [typed, setTyped] = useState(param("find")), [asked, setAsked] = useState(param("find")), [only, setOnly] = useState(ORDER.includes(param("only")) ? param("only") : "");
  useEffect(() => { history.replaceState(null, "", withParams({ find: asked, only })); }, [asked, only]);
  useEffect(() => { const later = setTimeout(() => setAsked(typed.trim()), 200); return () => clearTimeout(later); }, [typed]);
  const { data, error, reload } = useData(`/ms-admin/api/enterprises?q=${encodeURIComponent(asked)}`);
  const troubles = useTroubles();
  // what is set up well, and does not work all the same, needs somebody too
  const all = data ? data.enterprises.map((each) => (each.state === "on" && troubles[each.number] ? { ...each, state: "trouble" } : each)) : [];
  const shown = all.filter((each) => !only || each.state === only);
  const count = (state) => all.filter((each) => each.state === state).length;
  const isNew = /^[0-9A-Za-z-]{1,20}$/.test(asked) && data && !all.some((each) => each.number === asked);
  return html`
    <div class="page-head"><h1 class="grow">Предприятия</h1>
      <input type="search" placeholder="Номер или название" aria-label="Найти предприятие" value=${typed} onInput=${(event) => setTyped(event.target.value)} autofocus /></div>
    <div class="row chooser-filters" role="group" aria-label="Показать">
      <button type="button" class=${`btn small ${only === "" ? "primary" : ""}`} aria-pressed=${only === ""} onClick=${() => setOnly("")}>Все ${data ? number(all.length) : ""}</button>
      ${ORDER.filter((state) => state === only || count(state)).map((state) => html`<button key=${state} type="button" class=${`btn small ${only === state ? "primary" : ""}`} aria-pressed=${only === state}
        onClick=${() => setOnly(only === state ? "" : state)}>${STATES[state][1]} ${number(count(state))}</button>`)}
    </div>
    <section class="panel">
      ${error && html`<div class="panel-body"><${Failed} error=${error} retry=${reload} /></div>`}
      ${!data && !error && html`<div class="panel-body"><${Busy} /></div>`}
      ${data && shown.length > 0 && html`<div class="frame"><table class="chooser rows">
        <thead><tr><th scope="col">Номер</th><th scope="col">Название</th><th scope="col">Интеграция</th><th scope="col">Что не так</th></tr></thead>
        <tbody>${shown.map((each) => html`<${Row} key=${each.number} each=${each} troubles=${troubles[each.number] || []} />`)}</tbody></table></div>`}
      ${data && !shown.length && html`<p class="empty">${all.length ? "Под отбор ничего не подходит." : asked ? "Ничего не найдено." : "Предприятий пока нет: их заводит поставщик телефонии."}</p>`}
      ${data && !data.complete && html`<p class="empty small">Показана первая тысяча: уточните запрос.</p>`}
      ${isNew && html`<p class="empty"><a class="btn" href=${`/ms-admin/?enterprise_number=${encodeURIComponent(asked)}`}>Настроить предприятие ${asked}, которого нет в списке</a></p>`}
    </section>`;
}

function Row({ each, troubles }) {
  const [kind, words] = STATES[each.state];
  const trouble = [...each.problems.map(problemWords), ...troubles];
  const where = `/ms-admin/?enterprise_number=${encodeURIComponent(each.number)}`;
  return html`<tr>
    <td class="num"><a href=${where}>${each.number}</a></td>
    <td class="who"><a href=${where} tabindex="-1">${each.name || html`<span class="faint">без названия</span>`}</a></td>
    <td><${Tag} kind=${kind}>${words}<//></td>
    <td class="small wrong">${trouble.length ? trouble.map((text) => html`<div key=${text}>${text}</div>`) : each.state === "trouble" ? "Не задан ключ Phone API." : ""}</td></tr>`;
}

/** enterprise -> what is wrong with it just now, in words; empty while that is not known. */
function useTroubles() {
  const [found, setFound] = useState({});
  useEffect(() => {
    api("/ms-admin/api/status").then((told) => {
      const troubles = {};
      for (const each of told.accounts) {
        (troubles[each.enterprise] ||= []).push(each.state === "refused" ? `МойСклад не принимает ${each.api === "json" ? "токен основного API" : "ключ Phone API"}.` : `МойСклад (${APIS[each.api] || each.api}) не отвечает.`);
      }
      for (const [number, calls] of Object.entries((told.parked || {}).enterprises || {})) {
        (troubles[number] ||= []).push(`${counted(calls, "звонок ждёт", "звонка ждут", "звонков ждут")} человека.`);
      }
      setFound(troubles);
    }, () => {});
  }, []);
  return found;
}
