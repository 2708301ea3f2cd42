// How accounts and the backlog are, in words: what is wrong, since when, what happens next.
import { html, useState, useEffect, withParams, counted, span, ago, shortTime } from "./lib.js";

export const APIS = { phone: "Phone API", json: "основной API" };

export function troubleWords(each, now = Date.now()) {
  const key = each.api === "json" ? "проверьте токен основного API" : "проверьте ключ Phone API и установлено ли решение телефонии";
  const what = each.state === "refused" ? `не принимает ничего от этого предприятия: ${key} в настройках`
    : each.state === "half-open" ? "не отвечал, сейчас проверяется снова" : "не отвечает";
  const next = each.until_ms && each.until_ms > now ? `, следующая попытка через ${span(each.until_ms - now)}` : "";
  const waiting = each.waiting ? `, ждут ${counted(each.waiting, "запрос", "запроса", "запросов")}` : "";
  return `МойСклад (${APIS[each.api] || each.api}) ${what} — ${each.since_ms ? ago(each.since_ms, now) : "недавно"}${waiting}${next}`;
}

/** Everything that is not well, or nothing. `link`: whether to lead to the settings. */
export function Troubles({ health, now, enterprise = "", max = 5 }) {
  const said = useSaid(health);
  if (!health) return null;
  const behind = health.behind;
  const late = behind.calls > 0 && behind.oldest_s >= 10;
  const spoken = html`<p class="sr" role="status">${said}</p>`;
  if (!health.accounts.length && !late && !health.parked) return spoken;
  return html`${spoken}<div class="troubles">
    ${health.accounts.slice(0, max).map((each) => html`<div key=${each.enterprise + each.api} class=${`note ${each.state === "refused" ? "bad" : "warn"}`}>
      <a href=${`/ms-admin/?enterprise_number=${encodeURIComponent(each.enterprise)}`}><b>${each.enterprise || "?"}</b></a> ${troubleWords(each, now)}${
        each.reason && html`<span class="muted"> (${each.reason})</span>`}</div>`)}
    ${health.accounts.length > max && html`<div class="note warn">и ещё ${counted(health.accounts.length - max, "аккаунт", "аккаунта", "аккаунтов")}: <a href="/ms-admin/status">Состояние</a></div>`}
    ${late && html`<div class="note warn">${backlogWords(behind)}</div>`}
    ${health.parked > 0 && html`<div class="note warn">${counted(health.parked, "звонок ждёт", "звонка ждут", "звонков ждут")} человека: не всё удалось передать в МойСклад.${" "}<a href=${withParams({ enterprise_number: enterprise, parked: "1" }, "/ms-admin/calls", "")}>Показать</a></div>`}
  </div>`;
}

/** For who cannot see it: what began or ended, once; how long it has been so is not read out every two seconds. */
function useSaid(health) {
  const [said, setSaid] = useState("");
  const kinds = !health ? "" : [health.accounts.length && counted(health.accounts.length, "аккаунт с трудностями", "аккаунта с трудностями", "аккаунтов с трудностями"),
    health.behind.calls > 0 && health.behind.oldest_s >= 10 && "звонки передаются в МойСклад с опозданием", health.parked > 0 && "есть звонки, которым нужен человек"].filter(Boolean).join("; ");
  useEffect(() => setSaid((before) => kinds || (before && "Трудностей больше нет.")), [kinds]);
  return said;
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
