// «Отчёты»: calls, answers, employees and MoySklad's response times over days or hours.
import { html, useState, useMemo, useData, param, withParams, number, counted, date, shortTime, duration, span, waited, ZONE, Zone, Busy, Failed } from "./lib.js";
import { mount } from "./shell.js";
import { person } from "./calls-words.js";
import { Chart } from "./reports-chart.js";

const two = (value) => String(value).padStart(2, "0");
const text = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
const day = (shift) => { const at = new Date(); at.setDate(at.getDate() + shift); return text(at); };
const PERIODS = [["сегодня", 0, "hour"], ["7 дней", -6, "day"], ["30 дней", -29, "day"], ["90 дней", -89, "day"]];
const percent = (value) => `${number(Math.round(value * 10) / 10)} %`;
const SPEED = "«Обычно»: половина запросов быстрее (p50). «Медленные»: 95 % запросов быстрее (p95).";
const share = (part, whole) => (whole ? (100 * part) / whole : null);

function Reports({ enterprise }) {
  const [wanted, setWanted] = useState({ from: param("from") || day(-29), to: param("to") || day(0), by: param("by") || "day" });
  const change = (next) => { setWanted(next); history.replaceState(null, "", withParams(next)); };
  // days are the reader's, as on every other page
  const path = `/ms-admin/api/reports?${new URLSearchParams({ ...wanted, ...(ZONE ? { zone: ZONE } : {}), ...(enterprise ? { enterprise } : {}) })}`;
  const { data, error, loading, reload } = useData(path);
  const longest = error && error.status === 400 && error.field === "from" && (/\d+ to (\d+)/.exec(error.hint) || [])[1];
  return html`
    <div class="page-head"><h1>Отчёты</h1>
      <div class="row">${PERIODS.map(([words, shift, by]) => { const on = wanted.from === day(shift) && wanted.to === day(0) && wanted.by === by; return html`
        <button key=${words} type="button" class=${`btn small ${on ? "primary" : ""}`} aria-pressed=${on} onClick=${() => change({ from: day(shift), to: day(0), by })}>${words}</button>`; })}</div>
      <div class="row"><input type="date" aria-label="С какого дня" value=${wanted.from} max=${wanted.to} onChange=${(event) => event.target.value && change({ ...wanted, from: event.target.value })} />
        <span aria-hidden="true">–</span><input type="date" aria-label="По какой день" value=${wanted.to} min=${wanted.from} onChange=${(event) => event.target.value && change({ ...wanted, to: event.target.value })} />
        <select aria-label="Делить по" value=${wanted.by} onChange=${(event) => change({ ...wanted, by: event.target.value })}><option value="day">по дням</option><option value="hour">по часам</option></select></div>
      ${loading && data && html`<${Busy} words="" />`}</div>
    ${error && (longest ? html`<p class="note warn">${wanted.from > wanted.to ? "Начало периода позже его конца." : `Не больше ${longest} дней за раз${wanted.by === "hour" ? " по часам" : enterprise ? "" : " по всем предприятиям"}.`}</p>` : html`<${Failed} error=${error} retry=${reload} />`)}
    ${!data && !error && html`<${Busy} />`}
    ${data && !error && html`<${Told} data=${data} enterprise=${enterprise} /><p class="small muted below"><${Zone} /></p>`}`;
}

function Told({ data, enterprise }) {
  const hours = data.by === "hour", oneDay = hours && data.periods.length <= 25;
  const starts = data.bounds_ms.slice(0, -1);
  const labels = starts.map((ms) => (hours ? (oneDay ? shortTime(ms) : `${date(ms).slice(0, 5)} ${shortTime(ms).slice(0, 2)} ч`) : date(ms).slice(0, 5)));
  const long = starts.map((ms) => (hours ? `${date(ms)} ${shortTime(ms)}` : date(ms)));
  const series = (take) => data.periods.map(take);
  const requests = useMemo(() => {
    const lines = { phone: starts.map(() => null), json: starts.map(() => null) };
    for (const each of data.requests) lines[each.api][each.period] = each;
    return lines;
  }, [data]);
  const of = (api, field) => requests[api].map((each) => (each ? each[field] : null));
  return html`
    <${Figures} data=${data} />
    <div class="charts">
      <${Chart} title="Входящие звонки" labels=${labels} long=${long} stack=${true} whole=${true} series=${[
        { name: "отвечено", kind: "good", values: series((each) => each.in_answered) }, { name: "не отвечено", kind: "bad", values: series((each) => each.in - each.in_answered) }]} />
      <${Chart} title="Исходящие звонки" labels=${labels} long=${long} stack=${true} whole=${true} series=${[
        { name: "дозвонились", kind: "accent", values: series((each) => each.out_answered) }, { name: "не дозвонились", kind: "faint", values: series((each) => each.out - each.out_answered) }]} />
      <${Chart} title="Доля отвеченных входящих" labels=${labels} long=${long} most=${100} unit=${percent} series=${[{ name: "отвечено", kind: "good", values: series((each) => share(each.in_answered, each.in)) }]} />
      <${Chart} title="Сколько клиент ждал ответа" note="В среднем, по отвеченным входящим." labels=${labels} long=${long} least=${2_000} unit=${waited} series=${[{ name: "ожидание", kind: "warn", values: series((each) => (each.waits ? each.wait_ms / each.waits : null)) }]} />
      <${Chart} title="МойСклад: время ответа Phone API" note=${SPEED} labels=${labels} long=${long} unit=${span} series=${[
        { name: "обычно", kind: "accent", values: of("phone", "p50_ms") }, { name: "медленные", kind: "info", values: of("phone", "p95_ms") }]} />
      <${Chart} title="МойСклад: время ответа основного API" note=${SPEED} labels=${labels} long=${long} unit=${span} series=${[
        { name: "обычно", kind: "accent", values: of("json", "p50_ms") }, { name: "медленные", kind: "info", values: of("json", "p95_ms") }]} />
    </div>
    ${enterprise ? html`<${People} data=${data} long=${long} />` : html`<p class="muted">По сотрудникам — когда выбрано одно предприятие.</p>`}`;
}

function Figures({ data }) {
  const sum = (field) => data.periods.reduce((all, each) => all + each[field], 0);
  const asked = data.requests.reduce((all, each) => all + each.requests, 0), failed = data.requests.reduce((all, each) => all + each.failures, 0);
  const incoming = sum("in"), answered = sum("in_answered"), out = sum("out"), met = answered + sum("out_answered"), talks = sum("talks"), waits = sum("waits");
  const facts = [
    ["Входящих", number(incoming), incoming - answered > 0 ? `не отвечено ${number(incoming - answered)}` : ""],
    ["Отвечено", incoming ? percent(share(answered, incoming)) : "—", incoming ? `${number(answered)} из ${number(incoming)}` : ""],
    ["Ждали ответа", waits ? waited(sum("wait_ms") / waits) : "—", waits ? `в среднем${waits < answered ? `, известно о ${number(waits)} из ${number(answered)}` : ""}` : answered ? "АТС не сообщила, когда ответили" : ""],
    ["Исходящих", number(out), out ? `дозвонились ${percent(share(sum("out_answered"), out))}` : ""],
    ["Разговор", talks ? duration(sum("talk_ms") / talks) : "—", talks ? `в среднем, всего ${span(sum("talk_ms"))}${talks < met ? `; известно о ${number(talks)} из ${number(met)}` : ""}` : met ? "АТС не сообщила, сколько говорили" : ""],
    ["Запросов к МоемуСкладу", number(asked), failed ? `неудачных ${percent(share(failed, asked))}` : ""],
  ];
  return html`<div class="facts">${facts.map(([name, value, more]) => html`<div class="panel fact" key=${name}><div class="muted small">${name}</div><div class="value num">${value}</div><div class="muted small">${more || " "}</div></div>`)}</div>`;
}

const nothing = () => ({ in: 0, took: 0, missed: 0, out: 0, reached: 0, talk_ms: 0, waits: 0, wait_ms: 0 });
function add(to, row) {
  if (row.direction === "out") { to.out += row.calls; to.reached += row.answered; }
  else { to.in += row.calls; to.took += row.answered; to.missed += row.missed; to.waits += row.waits; to.wait_ms += row.wait_ms; }
  to.talk_ms += row.talk_ms;
}

function People({ data, long }) {
  const [open, setOpen] = useState("");
  const rows = useMemo(() => {
    const all = new Map();
    for (const row of data.people) {
      if (!all.has(row.extension)) all.set(row.extension, { extension: row.extension, sum: nothing(), days: new Map() });
      const one = all.get(row.extension);
      add(one.sum, row);
      if (!one.days.has(row.period)) one.days.set(row.period, nothing());
      add(one.days.get(row.period), row);
    }
    return [...all.values()].sort((a, b) => b.sum.took + b.sum.out - a.sum.took - a.sum.out || (a.extension < b.extension ? -1 : 1));
  }, [data]);
  return html`<section class="panel" aria-labelledby="people"><div class="panel-head"><h2 id="people">Сотрудники</h2><span class="muted small">${counted(rows.length, "сотрудник", "сотрудника", "сотрудников")}</span></div>
    ${rows.length ? html`<div class="frame"><table class="staff-report">
      <thead><tr><th scope="col">Сотрудник</th><th scope="col" class="right" title="Входящие, при которых звонил его телефон">Звонило</th><th scope="col" class="right">Ответил</th><th scope="col" class="right" title="Не ответил никто, а у него звонило">Пропущено всеми</th>
        <th scope="col" class="right" title="Ответил сам из тех, что не взяли коллеги">Доля ответов</th><th scope="col" class="right">Брал трубку за</th><th scope="col" class="right">Исходящих</th><th scope="col" class="right">Дозвонился</th><th scope="col" class="right">Говорил</th></tr></thead>
      <tbody>${rows.map((row) => html`<${Lines} key=${row.extension} row=${row} name=${person(row.extension, data.names)} long=${long} open=${open === row.extension} toggle=${() => setOpen(open === row.extension ? "" : row.extension)} />`)}</tbody></table></div>`
      : html`<p class="empty">За этот период звонков не было.</p>`}
    ${rows.length > 0 && html`<p class="panel-body small muted">«Звонило» — входящие, при которых звонил его телефон. «Пропущено всеми» — из них те, на которые не ответил никто. «Доля ответов» — сколько он взял из тех, что не взяли коллеги.</p>`}</section>`;
}

const Cells = ({ sum }) => html`<td class="num right">${sum.in}</td><td class="num right"><b>${sum.took}</b></td><td class="num right">${sum.missed || html`<span class="faint">0</span>`}</td>
  <td class="num right">${sum.took + sum.missed ? percent(share(sum.took, sum.took + sum.missed)) : "—"}</td><td class="num right">${sum.waits ? waited(sum.wait_ms / sum.waits) : "—"}</td>
  <td class="num right">${sum.out}</td><td class="num right">${sum.out ? percent(share(sum.reached, sum.out)) : "—"}</td><td class="num right">${sum.talk_ms || !(sum.took + sum.reached) ? duration(sum.talk_ms) : "—"}</td>`;

function Lines({ row, name, long, open, toggle }) {
  return html`<tr><th scope="row"><button type="button" class="btn quiet small" aria-expanded=${open} onClick=${toggle}><span aria-hidden="true">${open ? "▾" : "▸"}</span> ${name}</button></th><${Cells} sum=${row.sum} /></tr>
    ${open && [...row.days.entries()].sort((a, b) => a[0] - b[0]).map(([period, sum]) => html`<tr key=${period} class="day"><th scope="row">${long[period]}</th><${Cells} sum=${sum} /></tr>`)}`;
}

mount({ section: "reports" }, Reports);
