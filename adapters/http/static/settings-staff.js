// Who has which extension: as MoySklad says, and as it is set here; a test card for each. The page does not wait for MoySklad.
import { html, useState, useEffect, useData, api, toast, sayError, Tag, Busy, Failed, ApiError } from "./lib.js";

const EXTENSION = /^[0-9]{1,20}$/;

/** The account's people; loaded beside the page, which is there without them. */
export function usePeople(number, told, isNew) {
  const hasKeys = Boolean(told) && (told.effective.has_phone_api || told.effective.has_main_api);
  const keys = told ? `${told.ms.integration_code} ${told.ms.api_token}` : ""; // masked; what an old key found, a new one need not
  return { hasKeys, ...useData(isNew || !hasKeys ? null : `/ms-admin/api/employees/${encodeURIComponent(number)}`, keys) };
}

export function Staff({ field, isNew, found }) {
  const { draft, base, set, errors, number } = field, { data, error, loading, reload, hasKeys } = found;
  const [adding, setAdding] = useState("");
  const mapping = draft.employee_mapping, people = data ? data.employees : [];
  const byExtension = Object.fromEntries(people.filter((each) => each.extension).map((each) => [each.extension, each]));
  const extensions = [...new Set([...Object.keys(byExtension), ...Object.keys(mapping)])].sort((a, b) => a.length - b.length || a.localeCompare(b));
  const without = people.filter((each) => !each.extension && !each.mapped_to.length);
  const names = [...new Map(people.map((each) => [each.employee_id, each])).values()].sort((a, b) => (a.name || "").localeCompare(b.name || ""));
  const choose = (extension, id) => {
    const { [extension]: _old, ...rest } = mapping;
    const person = names.find((each) => each.employee_id === id);
    set("employee_mapping", id ? { ...rest, [extension]: { employee_id: id, name: person ? person.name : (mapping[extension] || {}).name || "", email: person ? person.email : "" } } : rest);
  };
  const fits = EXTENSION.test(adding) && !extensions.includes(adding);
  const add = () => { if (fits) { set("employee_mapping", { ...mapping, [adding]: { employee_id: "", name: "", email: "" } }); setAdding(""); } };
  return html`<section class="panel" id="staff" aria-labelledby="staff-title">
    <div class="panel-head"><h2 id="staff-title">Сотрудники</h2>
      ${loading && html`<${Busy} words="Спрашиваем МойСклад…" />`}
      <button type="button" class="btn small" disabled=${loading || !hasKeys || isNew} onClick=${reload}>Обновить</button></div>
    ${error && html`<div class="panel-body"><${Failed} error=${error} retry=${reload} /></div>`}
    ${data && data.problems.map((each) => html`<div class="panel-body" key=${each}><div class="note warn">${each}</div></div>`)}
    ${errors.employee_mapping && html`<div class="panel-body"><p class="error-text" role="alert" tabindex="-1" name="employee_mapping">${errors.employee_mapping}</p></div>`}
    ${extensions.length > 0 && html`<div class="frame"><table class="staff"><thead><tr><th scope="col">Номер</th><th scope="col">Чей это экран</th><th scope="col"><span class="sr">Проверка</span></th></tr></thead>
      <tbody>${extensions.map((extension) => html`<${Row} key=${extension} extension=${extension} own=${byExtension[extension]} set=${mapping[extension]} names=${names}
        changed=${JSON.stringify(mapping[extension]) !== JSON.stringify(base.employee_mapping[extension])} choose=${choose} number=${number} saved=${!isNew} />`)}</tbody></table></div>`}
    ${!extensions.length && !loading && !(data && data.problems.length) && html`<p class="empty">${!hasKeys ? "Сначала введите и сохраните ключи: тогда список сотрудников загрузится из МоегоСклада."
      : "Добавочных номеров нет. Задайте их сотрудникам в МоёмСкладе или добавьте здесь."}</p>`}
    <div class="panel-body row staff-add"><label for="staff-new">Другой номер</label>
      <input id="staff-new" inputmode="numeric" size="8" value=${adding} onInput=${(event) => setAdding(event.target.value.trim())}
        onKeyDown=${(event) => { if (event.key === "Enter") { event.preventDefault(); add(); } }} />
      <button type="button" class="btn" disabled=${!fits} onClick=${add}>Добавить</button>
      ${without.length > 0 && html`<span class="muted small grow right" title=${without.map((each) => each.name).join(", ")}>Без добавочного номера: ${without.length}</span>`}</div>
  </section>`;
}

function Row({ extension, own, set, names, changed, choose, number, saved }) {
  const known = set && names.some((each) => each.employee_id === set.employee_id);
  const label = (each) => [each.name || each.login || each.employee_id, each.extension && `(${each.extension})`].filter(Boolean).join(" ");
  return html`<tr>
    <td class="num ext">${extension}${changed ? html` <span class="changed" title="Изменено, ещё не сохранено">•</span>` : ""}</td>
    <td><select class="wide" aria-label=${`Сотрудник с номером ${extension}`} value=${set ? set.employee_id || "?" : ""} aria-invalid=${set && !set.employee_id ? "true" : undefined}
        onChange=${(event) => choose(extension, event.target.value)}>
        <option value="">${own ? `как в МоёмСкладе: ${own.name || own.login || "имя неизвестно"}` : "никто (убрать номер)"}</option>
        ${set && !set.employee_id && html`<option value="?">выберите сотрудника…</option>`}
        ${set && set.employee_id && !known && html`<option value=${set.employee_id}>${set.name || set.employee_id}</option>`}
        ${names.map((each) => html`<option key=${each.employee_id} value=${each.employee_id}>${label(each)}</option>`)}</select>
      ${set && own && html` <${Tag} kind="info" title="Здесь задано иначе, чем в МоёмСкладе">задано здесь<//>`}
      ${set && !own && set.employee_id && html` <${Tag} title="В МоёмСкладе такого добавочного номера нет">только здесь<//>`}</td>
    <td class="right"><${TestCard} number=${number} extension=${extension} off=${!saved || changed || !(set ? set.employee_id : own)} /></td></tr>`;
}

function TestCard({ number, extension, off }) {
  const [busy, setBusy] = useState(false), [failed, setFailed] = useState("");
  useEffect(() => setFailed(""), [off]);
  const show = async () => {
    setBusy(true);
    setFailed("");
    try {
      toast((await api(`/ms-admin/api/test-manager/${encodeURIComponent(number)}`, { method: "POST", body: { extension } })).message, "good");
    } catch (error) {
      if (error instanceof ApiError) setFailed(error.body.message || error.words);
      else sayError(error);
    } finally {
      setBusy(false);
    }
  };
  return html`<button type="button" class="btn small" disabled=${busy || off} title=${off ? "Сначала сохраните изменения" : "Показать карточку на 15 секунд"} onClick=${show}>
      ${busy ? html`<span class="busy"></span>` : ""} Показать карточку<span class="sr"> на экране сотрудника с номером ${extension}</span></button>
    ${failed && html`<p class="error-text small" role="alert">${failed}</p>`}`;
}
