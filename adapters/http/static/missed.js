// «Пропущенные»: customers who could not get through, and with whom nobody has talked since.
import { html, useState, useEffect, useData, param, withParams, counted, plural, when, ago, Busy, Failed, Tag } from "./lib.js";
import { mount } from "./shell.js";
import { OUTCOMES, Client, People, ChooseOne } from "./calls-words.js";

const DAYS = [1, 3, 7, 14, 30, 90];
const EVERY_MS = 20_000;

function Missed({ enterprise }) {
  if (!enterprise) return html`<div class="page-head"><h1>Пропущенные</h1></div><${ChooseOne} what="Пропущенные" />`;
  return html`<${List} key=${enterprise} enterprise=${enterprise} />`;
}

function List({ enterprise }) {
  const [days, setDays] = useState(Number(param("days")) || 14), [typed, setTyped] = useState("");
  const { data, error, reload } = useData(`/ms-admin/api/missed/${encodeURIComponent(enterprise)}?days=${days}`);
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const look = () => { if (!document.hidden) { reload(); setNow(Date.now()); } };
    const each = setInterval(look, EVERY_MS);
    document.addEventListener("visibilitychange", look);
    return () => { clearInterval(each); document.removeEventListener("visibilitychange", look); };
  }, [reload]);
  const pick = (event) => { setDays(Number(event.target.value)); history.replaceState(null, "", withParams({ days: event.target.value })); };
  const digits = typed.replace(/\D/g, ""), text = typed.trim().toLowerCase();
  const shown = data ? data.missed.filter((each) => !text || (digits.length >= 2 && each.number.includes(digits)) || each.client.toLowerCase().includes(text)
    || each.rang.some((one) => one === text || (data.names[one] || "").toLowerCase().includes(text))) : [];
  return html`
    <div class="page-head"><h1>Пропущенные${data && html` <span class="muted num">${data.missed.length}</span>`}</h1>
      <span class="grow muted">ещё никто не перезвонил</span>
      <input type="search" placeholder="Номер, клиент, сотрудник" aria-label="Найти среди пропущенных" value=${typed} onInput=${(event) => setTyped(event.target.value)} />
      <label class="row">за <select value=${days} onChange=${pick} aria-label="За сколько дней">${DAYS.map((each) => html`<option key=${each} value=${each}>${counted(each, "день", "дня", "дней")}</option>`)}</select></label></div>
    ${error && html`<${Failed} error=${error} retry=${reload} />`}
    <section class="panel" aria-label="Кому перезвонить">
      ${!data && !error && html`<p class="empty"><${Busy} /></p>`}
      ${shown.length > 0 && html`<div class="frame"><table class="missed">
        <thead><tr><th scope="col">Клиент</th><th scope="col">Последний раз</th><th scope="col" class="right">Попыток</th><th scope="col">Первый раз</th><th scope="col">У кого звонило</th><th scope="col">Звонок</th></tr></thead>
        <tbody>${shown.map((each) => html`<tr key=${each.number}>
          <td class="who"><${Client} number=${each.number} name=${each.client} /></td>
          <td class="nowrap"><b>${ago(each.last_ms, now)}</b> <span class="muted small">${when(each.last_ms)}</span></td>
          <td class="num right">${each.attempts > 1 ? html`<b>${each.attempts}</b>` : each.attempts}<span class="sr"> ${plural(each.attempts, "попытка", "попытки", "попыток")}</span></td>
          <td class="nowrap muted">${each.attempts > 1 ? when(each.first_ms) : ""}</td>
          <td class="with"><${People} extensions=${each.rang} names=${data.names} none="ни у кого: положил трубку раньше" /></td>
          <td class="nowrap"><a href=${each.link}>${(OUTCOMES[each.outcome] || [each.outcome])[0]}</a></td></tr>`)}</tbody></table></div>`}
      ${data && !shown.length && html`<p class="empty">${data.missed.length ? "Под отбор никто не подходит." : html`<${Tag} kind="good">Всем перезвонили<//>`}</p>`}
    </section>
    ${data && html`<p class="small muted keys">Строка исчезает сама, как только с клиентом поговорили: кто угодно, в любую сторону.
      ${data.hidden > 0 && ` Не показано со скрытым номером: ${data.hidden} (перезвонить некуда).`}${data.internal > 0 && ` Внутренних: ${data.internal}.`}
      ${!data.complete && " Пропущенных очень много: самые старые не просмотрены."}</p>`}`;
}

mount({ section: "missed" }, Missed);
