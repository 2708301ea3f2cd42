// «Журнал действий»: who looked and who changed. For the operator.
import { html, useState, useEffect, useRef, api, sayError, Tag, Busy, Failed, Zone, dateTime } from "./lib.js";
import { mount } from "./shell.js";

const WORDS = {
  logged_in: ["вход", "good"], login_failed: ["неудачный вход", "bad"], logged_out: ["выход", ""],
  settings_saved: ["настройки сохранены", "accent"], settings_restored: ["возвращена прежняя редакция", "accent"], settings_deleted: ["настройки удалены", "bad"],
  replay_viewed: ["просмотр звонка", ""], replay_exported: ["выгрузка звонка", "info"], what_if_day: ["«а если бы» за день", ""], retry_ordered: ["повтор отложенного", "accent"],
  link_made: ["создана ссылка", "info"], link_revoked: ["отозвана ссылка", "info"], test_card_shown: ["тестовая карточка", ""], self_test: ["проверочный звонок", ""],
};
const KINDS = [["", "Все действия"], ["logged_in,login_failed,logged_out", "Входы и выходы"], ["settings_saved,settings_restored,settings_deleted", "Изменения настроек"],
  ["replay_viewed,replay_exported,what_if_day", "Просмотр звонков"], ["link_made,link_revoked", "Ссылки"], ["test_card_shown,self_test,retry_ordered", "Проверки и повторы"]];
const DETAILS = { revision: "редакция", restored: "из редакции", days: "дней", calls: "звонков", extension: "номер" };

function Journal({ enterprise }) {
  const [kind, setKind] = useState(""), [entries, setEntries] = useState(null), [complete, setComplete] = useState(true), [failed, setFailed] = useState(null);
  const path = (before) => `/ms-admin/api/audit?action=${kind}&enterprise=${encodeURIComponent(enterprise)}${before ? `&before=${before}` : ""}`;
  const under = useRef(new AbortController()); // one question at a time: the answer to an earlier one is of another kind, or comes twice
  const ask = (known, before, lost) => {
    under.current.abort();
    const gone = under.current = new AbortController();
    api(path(before), { signal: gone.signal }).then((told) => {
      if (gone.signal.aborted) return;
      setEntries([...known, ...told.entries]);
      setComplete(told.complete);
    }, (error) => { if (!gone.signal.aborted) lost(error); });
  };
  const load = () => {
    setEntries(null);
    setComplete(true);
    setFailed(null);
    ask([], null, setFailed);
  };
  useEffect(load, [kind, enterprise]);
  const more = () => ask(entries, entries[entries.length - 1].id, sayError);
  return html`
    <div class="page-head"><h1 class="grow">Журнал действий</h1>
      <label class="sr" for="kind">Показать</label><select id="kind" value=${kind} onChange=${(event) => setKind(event.target.value)}>${KINDS.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select>
      <button type="button" class="btn" onClick=${load}>Обновить</button></div>
    <section class="panel">
      ${failed && html`<div class="panel-body"><${Failed} error=${failed} retry=${load} /></div>`}
      ${!entries && !failed && html`<div class="panel-body"><${Busy} /></div>`}
      ${entries && !entries.length && html`<p class="empty">Записей нет.</p>`}
      ${entries && entries.length > 0 && html`<div class="frame"><table class="rows"><thead><tr><th scope="col">Когда</th><th scope="col">Что</th><th scope="col">Кто</th><th scope="col">Предприятие</th><th scope="col">Подробности</th><th scope="col">Откуда</th></tr></thead>
        <tbody>${entries.map((each) => html`<tr key=${each.id}><td class="num nowrap">${dateTime(each.at)}</td>
          <td><${Tag} kind=${(WORDS[each.action] || ["", ""])[1]}>${(WORDS[each.action] || [each.action])[0]}<//></td><td>${each.actor}</td>
          <td class="num">${each.enterprise && html`<span class="only-phone muted">предприятие </span>`}${each.enterprise || ""}</td><td class="small">${details(each)}</td><td class="num"><span class="only-phone muted">откуда: </span>${each.address}</td></tr>`)}</tbody></table></div>`}
      ${!complete && html`<p class="empty"><button type="button" class="btn" onClick=${more}>Показать ещё</button></p>`}
    </section>
    <p class="small muted below">Записи хранятся год. Из каждого просмотра видно, кто и какой звонок открыл; ключи, токены и пароли сюда не попадают. <${Zone} /></p>`;
}

function details(each) {
  const call = each.action.startsWith("replay") || each.action === "self_test" || (each.action === "retry_ordered" && each.object);
  const rest = Object.entries(each.details).map(([name, value]) => (name === "without_numbers" ? (value ? "без номеров" : "с номерами") : `${DETAILS[name] || name} ${value}`)).join(", ");
  return html`${call && each.enterprise ? html`<a class="mono" href=${`/ms-admin/calls/${encodeURIComponent(each.enterprise)}/${encodeURIComponent(each.object)}`}>${each.object}</a>` : each.object}${each.object && rest ? ", " : ""}${rest}`;
}

mount({ section: "audit" }, ({ me, enterprise }) => (me.enterprise ? html`<p class="note warn">Эта страница — для оператора.</p>` : html`<${Journal} enterprise=${enterprise} />`));
