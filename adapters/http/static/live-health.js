// How accounts and the backlog are, in words: what is wrong, since when, what happens next.
import { html, counted, span, ago, shortTime } from "./lib.js";

const APIS = { phone: "Phone API", json: "основной API" };

export function troubleWords(each, now = Date.now()) {
  const what = each.state === "refused" ? "не принимает ничего от этого предприятия: проверьте ключ и решение телефонии"
    : each.state === "half-open" ? "не отвечал, сейчас проверяется снова" : "не отвечает";
  const next = each.until_ms && each.until_ms > now ? `, следующая попытка через ${span(each.until_ms - now)}` : "";
  const waiting = each.waiting ? `, ждут ${counted(each.waiting, "запрос", "запроса", "запросов")}` : "";
  return `МойСклад (${APIS[each.api] || each.api}) ${what} — ${each.since_ms ? ago(each.since_ms, now) : "недавно"}${waiting}${next}`;
}

/** Everything that is not well, or nothing. `link`: whether to lead to the settings. */
export function Troubles({ health, now, max = 5 }) {
  if (!health) return null;
  const behind = health.behind;
  const late = behind.calls > 0 && behind.oldest_s >= 10;
  if (!health.accounts.length && !late && !health.parked) return null;
  return html`<div class="troubles" role="status">
    ${health.accounts.slice(0, max).map((each) => html`<div key=${each.enterprise + each.api} class=${`note ${each.state === "refused" ? "bad" : "warn"}`}>
      <a href=${`/ms-admin/?enterprise_number=${encodeURIComponent(each.enterprise)}`}><b>${each.enterprise || "?"}</b></a> ${troubleWords(each, now)}${
        each.reason && html`<span class="muted"> (${each.reason})</span>`}</div>`)}
    ${health.accounts.length > max && html`<div class="note warn">и ещё ${counted(health.accounts.length - max, "аккаунт", "аккаунта", "аккаунтов")}: <a href="/ms-admin/status">Состояние</a></div>`}
    ${late && html`<div class="note warn">${backlogWords(behind)}</div>`}
    ${health.parked > 0 && html`<div class="note warn">${counted(health.parked, "звонок ждёт", "звонка ждут", "звонков ждут")} человека: МойСклад отказал.${" "}<a href="/ms-admin/calls?parked=1">Показать</a></div>`}
  </div>`;
}

export function backlogWords(behind) {
  if (!behind || !behind.calls) return "Ничего не ждёт: всё отправлено в МойСклад.";
  const least = behind.estimate_s >= 1 ? ` Работы не меньше чем на ${span(behind.estimate_s * 1000)}.` : "";
  return `${counted(behind.calls, "звонок ещё не передан", "звонка ещё не переданы", "звонков ещё не переданы")} в МойСклад, самый старый ждёт ${span(behind.oldest_s * 1000)}.${least}`;
}

/** Whether the page is in touch with the service. */
export function Link({ board }) {
  if (!board.ready && !board.linked) return html`<span class="link-state waiting" role="status">подключение…</span>`;
  if (!board.linked) return html`<span class="link-state bad" role="status">нет связи, на экране состояние на ${shortTime(board.heardMs)}; подключаемся…</span>`;
  if (board.away) return html`<span class="link-state bad" role="status">сервис ждёт базу данных; на экране последнее, что известно</span>`;
  return html`<span class="link-state good" role="status">на связи</span>`;
}
