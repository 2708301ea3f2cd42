// «Состояние»: is everything well, and if not, what and since when. For an administrator: of his enterprise alone.
import { html, useData, useWhileSeen, ago, counted, number, span, dateTime, Busy, Failed, Tag } from "./lib.js";
import { mount } from "./shell.js";
import { troubleWords, backlogWords } from "./live-health.js";

const EVERY_MS = 5_000;
const NEW_MS = 86_400_000;
const FOLLOWERS = { calls: "список звонков", clicks: "нажатия", journal: "журнал integration_logs", statistics: "отчёты", switchboard: "сборка звонков из частей" };

function useEvery(path) {
  const told = useData(path);
  useWhileSeen(EVERY_MS, told.look);
  return told;
}

const Status = ({ me, enterprise, unknown }) => (enterprise ? html`<${One} key=${enterprise} number=${enterprise} unknown=${unknown} />` : me.enterprise ? html`<${One} number=${me.enterprise} />` : html`<${All} />`);

function One({ number, unknown }) {
  const { data, error, reload } = useEvery(`/ms-admin/api/board?enterprise=${encodeURIComponent(number)}`);
  const health = data && data.health;
  const well = data && !error && !data.away && !health.accounts.length && !health.parked && health.behind.oldest_s < 10;
  return html`<div class="page-head"><h1>Состояние</h1>${unknown ? html`<${Tag} kind="warn">предприятие неизвестно<//>` : data && html`<${Tag} kind=${well ? "good" : "warn"}>${well ? "всё хорошо" : "нужно внимание"}<//>`}</div>
    ${error && html`<${Failed} error=${error} retry=${reload} />`}${!data && !error && html`<${Busy} />`}
    ${data && !unknown && html`<div class="status-grid">
      ${data.away && html`<div class="note bad">Сервис ждёт базу данных. Ничего не потеряно: события записаны на диск сервера и будут учтены, как только она вернётся.</div>`}
      <${Accounts} accounts=${health.accounts} good="Трудностей с МоимСкладом сейчас нет." now=${data.now_ms} />
      <section class="panel"><div class="panel-head"><h2>Передача в МойСклад</h2></div><div class="panel-body">${backlogWords(health.behind)}</div></section>
      <section class="panel"><div class="panel-head"><h2>Ждут человека</h2></div><div class="panel-body">${health.parked
        ? html`<p>${counted(health.parked, "звонок", "звонка", "звонков")}: не всё удалось передать в МойСклад. Причины — на странице настроек: исправьте их, сервис повторит сам.</p><p><a class="btn small" href=${`/ms-admin/calls?enterprise_number=${encodeURIComponent(number)}&parked=1`}>Показать звонки</a> <a class="btn small" href=${`/ms-admin/?enterprise_number=${encodeURIComponent(number)}`}>Настройки</a></p>`
        : "Никто."}</div></section></div>`}`;
}

const troubled = (accounts) => new Set(accounts.map((each) => each.enterprise)).size; // each has two APIs

function Accounts({ accounts, good, now }) {
  return html`<section class="panel" aria-labelledby="accounts"><div class="panel-head"><h2 id="accounts">МойСклад</h2>${accounts.length > 0 && html`<${Tag} kind="bad">трудности у ${counted(troubled(accounts), "предприятия", "предприятий", "предприятий")}<//>`}</div>
    ${accounts.length ? html`<div class="frame"><table class="rows"><thead><tr><th scope="col">Предприятие</th><th scope="col">Что не так</th><th scope="col">Причина</th></tr></thead>
      <tbody>${accounts.map((each) => html`<tr key=${each.enterprise + each.api}><td><a href=${`/ms-admin/?enterprise_number=${encodeURIComponent(each.enterprise)}`}><b>${each.enterprise || "?"}</b></a></td>
        <td><${Tag} kind=${each.state === "refused" ? "bad" : "warn"}>${each.state === "refused" ? "отказ" : "недоступен"}<//> ${troubleWords(each, now)}</td><td class="muted">${each.reason}</td></tr>`)}</tbody></table></div>`
      : html`<div class="panel-body">${good}</div>`}</section>`;
}

function All() {
  const { data, error, reload } = useEvery("/ms-admin/api/status?lang=ru");
  if (!data) return html`<div class="page-head"><h1>Состояние</h1></div>${error ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Busy} />`}`;
  const backlog = data.backlog, parked = data.parked, away = data.database.state !== "ready";
  const late = Boolean(backlog && backlog.oldest_s >= 10);
  const behind = data.followers.filter((each) => each.behind > 100);
  const unheard = data.pbxes.filter((each) => each.state !== "connected").length;
  const well = !error && !away && !data.accounts.length && !late && !(parked && parked.calls) && !behind.length && !unheard;
  return html`<div class="page-head"><h1>Состояние</h1><${Tag} kind=${well ? "good" : "warn"}>${well ? "всё хорошо" : "нужно внимание"}<//>
      <span class="grow"></span>${error ? html`<${Tag} kind="bad">${error.status === 503 ? "сервис ждёт базу данных" : "нет связи"}, на экране состояние на ${dateTime(data.now_ms)}<//>` : html`<span class="muted small">версия ${data.version}</span>`}</div>
    ${error && error.status === 503 && html`<div class="note bad">База данных недоступна, и без неё не проверить вход: поэтому причина здесь не видна. Её скажет <code>./ms.sh status</code> на сервере. Ничего не потеряно, сервис ждёт.</div>`}
    ${away && html`<div class="note bad">База данных недоступна: ${data.database.reason}. Ничего не потеряно, сервис ждёт.</div>`}
    ${data.database.made_ms && data.now_ms - data.database.made_ms < NEW_MS && html`<div class="note">База данных новая: создана ${ago(data.database.made_ms, data.now_ms)}${data.database.folder && ` в папке ${data.database.folder}`}. Если в ней должны быть прежние звонки, исправьте ${data.database.folder ? "MS_DATA_DIR" : "DATABASE_URL"}.</div>`}
    <div class="facts">
      <${Fact} name="Экземпляров сервиса" value=${data.nodes.length || 1} kind=${data.nodes.length ? "" : "warn"} more=${`предприятий у этого: ${data.enterprises.owned}`} />
      <${Fact} name="Ещё не передано" value=${backlog ? number(backlog.calls) : "?"} kind=${!backlog ? "" : late ? "warn" : "good"} more=${!backlog ? "пока неизвестно" : backlog.calls ? `самый старый ждёт ${span(backlog.oldest_s * 1000)}` : "всё отправлено"} />
      <${Fact} name="Ждут человека" value=${parked ? number(parked.calls) : "?"} kind=${!parked ? "" : parked.calls ? "bad" : "good"} more=${!parked ? "пока неизвестно" : parked.calls ? counted(Object.keys(parked.enterprises).length, "предприятие", "предприятия", "предприятий") : "таких звонков нет"} />
      <${Fact} name="Предприятий с трудностями" value=${troubled(data.accounts)} kind=${data.accounts.length ? "bad" : "good"} more=${data.accounts.length ? "см. ниже" : "трудностей нет"} />
      <${Fact} name="Потоков событий" value=${data.streams_open} kind="" more="открытых соединений диспетчера" />
    </div>
    <div class="status-grid">
      <${Accounts} accounts=${data.accounts} good="Трудностей с МоимСкладом сейчас нет ни у кого." now=${data.now_ms} />
      ${backlog && backlog.enterprises.length > 0 && html`<section class="panel"><div class="panel-head"><h2>Очередь по предприятиям</h2><span class="muted small">${backlogWords(backlog)}</span></div>
        <div class="frame"><table class="rows"><thead><tr><th scope="col">Предприятие</th><th scope="col" class="right">Звонков</th><th scope="col" class="right">Старейший ждёт</th><th scope="col" class="right">Работы не меньше чем на</th></tr></thead>
        <tbody>${backlog.enterprises.map((each) => html`<tr key=${each.enterprise}><td><a href=${`/ms-admin/status?enterprise_number=${encodeURIComponent(each.enterprise)}`}><b>${each.enterprise}</b></a></td><td class="num right"><${Label}>звонков<//>${number(each.calls)}</td>
          <td class="num right"><${Label}>самый старый ждёт<//>${span(each.oldest_s * 1000)}</td><td class="num right"><${Label}>работы не меньше чем на<//>${span(each.estimate_s * 1000)}</td></tr>`)}</tbody></table></div></section>`}
      ${parked && parked.calls > 0 && html`<section class="panel"><div class="panel-head"><h2>Ждут человека</h2></div><div class="frame"><table class="rows"><thead><tr><th scope="col">Предприятие</th><th scope="col" class="right">Звонков</th><th scope="col"><span class="sr">Ссылки</span></th></tr></thead>
        <tbody>${Object.entries(parked.enterprises).sort((a, b) => b[1] - a[1]).slice(0, 50).map(([name, count]) => html`<tr key=${name}><td><b>${name}</b></td><td class="num right"><${Label}>звонков<//>${number(count)}</td>
          <td class="right"><a href=${`/ms-admin/calls?enterprise_number=${encodeURIComponent(name)}&parked=1`}>звонки</a> · <a href=${`/ms-admin/?enterprise_number=${encodeURIComponent(name)}`}>причины и повтор</a></td></tr>`)}</tbody></table></div></section>`}
      ${data.pbxes.length > 0 && html`<${Pbxes} pbxes=${data.pbxes} now=${data.now_ms} />`}
      <section class="panel"><div class="panel-head"><h2>Экземпляры</h2></div>${data.nodes.length ? html`<div class="frame"><table class="rows"><thead><tr><th scope="col">Адрес</th><th scope="col">Работает</th><th scope="col">Версия</th><th scope="col" class="right">Предприятий</th><th scope="col" class="right">Потоков</th></tr></thead>
        <tbody>${data.nodes.map((node) => html`<tr key=${node.id}><td><code>${node.address}</code>${node.id === data.node && html` <${Tag} kind="accent">этот<//>`}${node.away && html` <${Tag} kind="warn" title="Его предприятия взяли другие экземпляры, если МойСклад отвечает им. Проверьте сеть этого сервера.">не достаёт до МоегоСклада<//>`}</td><td><${Label}>работает<//>${span(data.now_ms - node.started_ms)}</td><td><${Label}>версия<//>${node.report.version || "?"}</td>
          <td class="num right"><${Label}>предприятий<//>${node.report.owned ?? "?"}</td><td class="num right"><${Label}>потоков<//>${node.report.streams_open ?? "?"}</td></tr>`)}</tbody></table></div>` : html`<p class="empty">Экземпляр ещё не вошёл в строй.</p>`}</section>
      <section class="panel"><div class="panel-head"><h2>Производные данные</h2></div><div class="panel-body row">${data.followers.map((each) => html`<${Tag} key=${each.name} kind=${each.behind > 100 ? "warn" : "good"}>
        ${FOLLOWERS[each.name] || each.name}: ${each.behind ? `отстают на ${counted(each.behind, "событие", "события", "событий")}` : "успевают"}<//>`)}</div></section>
    </div>`;
}

const Label = ({ children }) => html`<span class="only-phone muted">${children}: </span>`;
const PBX_STATES = { connected: "на связи", connecting: "подключается", waiting: "нет связи", free: "никто не подключён" };

function Pbxes({ pbxes, now }) {
  const lost = pbxes.filter((each) => each.state !== "connected").length;
  return html`<section class="panel" aria-labelledby="pbxes"><div class="panel-head"><h2 id="pbxes">АТС (AMI)</h2>${lost > 0 && html`<${Tag} kind="bad">${counted(lost, "АТС", "АТС", "АТС")} без связи<//>`}</div>
    <div class="frame"><table class="rows"><thead><tr><th scope="col">АТС</th><th scope="col">Предприятие</th><th scope="col">Состояние</th><th scope="col">Последнее сообщение</th><th scope="col" class="right">Подключений</th><th scope="col" class="right">Звонков закрыто после обрыва</th></tr></thead>
    <tbody>${pbxes.map((each) => html`<tr key=${each.name}><td><b>${each.name}</b> <span class="muted small">${each.where || ""}</span></td><td><${Label}>предприятие<//>${each.enterprise || "?"}</td>
      <td><${Tag} kind=${each.state === "connected" ? "good" : "bad"}>${PBX_STATES[each.state] || each.state}<//> ${each.since_ms ? html`<span class="muted small">${span(now - each.since_ms)}</span>` : ""}
        ${each.reason && html`<div class="muted small">${each.reason}${each.remedy ? `: ${each.remedy}` : ""}</div>`}${each.waiting > 0 && html`<div class="muted small">ждут записи: ${counted(each.waiting, "сообщение", "сообщения", "сообщений")}</div>`}</td>
      <td><${Label}>последнее сообщение<//>${each.heard_ms ? ago(each.heard_ms, now) : "—"}</td><td class="num right"><${Label}>подключений<//>${each.connections ?? "—"}</td><td class="num right"><${Label}>закрыто после обрыва<//>${each.closed ?? "—"}</td></tr>`)}</tbody></table></div></section>`;
}

const Fact = ({ name, value, kind, more }) => html`<div class="panel fact"><div class="muted small">${name}</div><div class=${`value num ${kind}`}>${value}</div><div class="muted small">${more}</div></div>`;

mount({ section: "status" }, Status);
