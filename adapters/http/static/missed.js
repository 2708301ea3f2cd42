// «Пропущенные»: customers who could not get through, and with whom nobody has talked since.
import { html, useState, useEffect, useData, useWhileSeen, param, withParams, counted, number, when, ago, Busy, Failed, Tag, Zone } from "./lib.js";
import { mount } from "./shell.js";
import { OUTCOMES, Client, People, ChooseOne, callsOf, canCall } from "./calls-words.js";

const DAYS = [1, 3, 7, 14, 30, 90];
const EVERY_MS = 20_000;
const MOST = 200; // more lines than anybody calls back in a day; the rest on request

function Missed({ enterprise }) {
  if (!enterprise) return html`<div class="page-head"><h1>Пропущенные</h1></div><${ChooseOne} what="Пропущенные" />`;
  return html`<${List} key=${enterprise} enterprise=${enterprise} />`;
}

function List({ enterprise }) {
  const [days, setDays] = useState(DAYS.includes(Number(param("days"))) ? Number(param("days")) : 14), [typed, setTyped] = useState(param("find")), [most, setMost] = useState(MOST);
  const { data, error, reload, look } = useData(`/ms-admin/api/missed/${encodeURIComponent(enterprise)}?days=${days}`);
  const [now, setNow] = useState(Date.now());
  useWhileSeen(EVERY_MS, () => { look(); setNow(Date.now()); });
  const pick = (event) => { setDays(Number(event.target.value)); history.replaceState(null, "", withParams({ days: event.target.value })); };
  useEffect(() => { history.replaceState(null, "", withParams({ find: typed.trim() })); }, [typed]);
  const digits = typed.replace(/\D/g, ""), text = typed.trim().toLowerCase();
  const shown = data ? data.missed.filter((each) => !text || (digits.length >= 2 && each.number.includes(digits)) || each.client.toLowerCase().includes(text)
    || each.rang.some((one) => one === text || (data.names[one] || "").toLowerCase().includes(text))) : [];
  return html`
    <div class="page-head"><h1>Пропущенные${data && html` <span class="muted num">${number(data.missed.length)}</span>`}</h1>
      <span class="grow muted">клиенты, с которыми ещё никто не поговорил</span>
      <input type="search" placeholder="Номер, клиент, сотрудник" aria-label="Найти среди пропущенных" value=${typed} onInput=${(event) => setTyped(event.target.value)} />
      <label class="row">за <select value=${days} onChange=${pick} aria-label="За сколько дней">${DAYS.map((each) => html`<option key=${each} value=${each}>${counted(each, "день", "дня", "дней")}</option>`)}</select></label></div>
    ${error && html`<${Failed} error=${error} retry=${reload} />`}
    <section class="panel" aria-label="Кому перезвонить">
      ${!data && !error && html`<p class="empty"><${Busy} /></p>`}
      ${shown.length > 0 && html`<div class="frame"><table class="missed">
        <thead><tr><th scope="col">Клиент</th><th scope="col">Последний раз</th><th scope="col" class="right">Попыток</th><th scope="col">Первый раз</th><th scope="col">У кого звонило</th><th scope="col">Звонок</th></tr></thead>
        <tbody>${shown.slice(0, most).map((each) => html`<tr key=${each.number}>
          <td class="who"><${Client} number=${each.number} name=${each.client} /></td>
          <td class="nowrap last"><b>${when(each.last_ms)}</b> <span class="muted small">${ago(each.last_ms, now)}</span></td>
          <td class="num right attempts"><span class="only-phone muted">попыток: </span>${each.attempts > 1 ? html`<b>${each.attempts}</b>` : each.attempts}</td>
          <td class="nowrap muted first">${each.attempts > 1 ? html`<span class="only-phone">первый раз: </span>${when(each.first_ms)}` : ""}</td>
          <td class="with"><span class="only-phone muted">звонило: </span><${People} extensions=${each.rang} names=${data.names} none=${each.outcome === "abandoned" ? "ни у кого: положил трубку раньше" : "у кого — неизвестно"} /></td>
          <td class="nowrap acts"><a href=${each.link}>${(OUTCOMES[each.outcome] || [each.outcome])[0]}</a> · <a href=${callsOf(enterprise, each.number)} title="Все звонки с этого номера и на него">все звонки</a>${
            canCall(each.number) && html` · <a href=${`tel:${each.number}`} aria-label=${`Позвонить на ${each.number}`}>позвонить</a>`}</td></tr>`)}</tbody></table></div>`}
      ${shown.length > most && html`<p class="empty"><button type="button" class="btn" onClick=${() => setMost(most + 1000)}>Показать ещё</button> <span class="muted small">показано ${number(most)} из ${number(shown.length)}</span></p>`}
      ${data && !shown.length && html`<p class="empty">${data.missed.length ? "Под отбор никто не подходит." : html`<${Tag} kind="good">Всем перезвонили<//>`}</p>`}
    </section>
    ${data && html`<p class="small muted foot">Строка исчезает сама, как только с клиентом поговорили: кто угодно, в любую сторону.
      ${data.hidden > 0 && ` Не показано со скрытым номером: ${data.hidden} (перезвонить некуда).`}${data.internal > 0 && ` Внутренних: ${data.internal}.`}
      ${!data.complete && " Пропущенных очень много: самые старые не просмотрены."} <${Zone} /></p>`}`;
}

mount({ section: "missed" }, Missed);
