// Calls of the enterprise that MoySklad refused: why, what helps, and asking again once the reason is gone.
import { html, useState, useEffect, useData, useWhileSeen, api, toast, sayError, counted, when } from "./lib.js";

const EVERY_MS = 5_000;

export function ParkedCalls({ number, onTold }) {
  const { data, reload, look } = useData(`/ms-admin/api/parked?lang=ru&limit=5&enterprise=${encodeURIComponent(number)}`);
  const [busy, setBusy] = useState(false);
  useWhileSeen(EVERY_MS, () => { if (data && data.total) look(); }); // they are asked for again here, elsewhere, and by what is saved
  useEffect(() => { if (data) onTold(data.total); }, [data]);
  if (!data || !data.total) return null;
  const again = async () => {
    setBusy(true);
    try {
      const told = await api(`/ms-admin/api/retry/${encodeURIComponent(number)}`, { method: "POST" });
      toast(told.calls ? `Повторяем: ${counted(told.calls, "звонок", "звонка", "звонков")}.` : "Повторять нечего.", "good");
      reload();
    } catch (failure) {
      sayError(failure);
    } finally {
      setBusy(false);
    }
  };
  return html`<section class="panel parked" aria-labelledby="parked-title">
    <div class="panel-head"><h2 id="parked-title">Ждут человека: ${counted(data.total, "звонок", "звонка", "звонков")}</h2>
      <button type="button" class="btn small" disabled=${busy || data.orders.length > 0} onClick=${again}>${data.orders.length ? "Повторяются…" : "Повторить все"}</button></div>
    <div class="panel-body">
      ${data.reasons.map((each) => html`<div class="verdict warn" key=${each.reason + each.code}><b>${counted(each.calls, "звонок", "звонка", "звонков")} — ${each.reason}</b>${each.remedy && html`<p>${each.remedy}</p>`}
        ${each.since_ms && html`<p class="small muted">с ${when(each.since_ms)}</p>`}</div>`)}
      <ul class="plain small">${data.calls.map((each) => html`<li key=${each.call}><a href=${`/ms-admin/calls/${encodeURIComponent(number)}/${encodeURIComponent(each.call)}`}>Звонок ${when(each.started_ms)}</a></li>`)}</ul>
      <p class="small muted">Исправьте причину и повторите. После сохранения новых ключей сервис повторяет сам.</p>
    </div></section>`;
}
