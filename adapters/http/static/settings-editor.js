// One enterprise's settings: loading, changing, saving, and what happens when somebody else saved meanwhile.
import { html, useState, useEffect, useRef, useCallback, useData, api, ApiError, toast, sayError, param, withParams, Tag, Busy, Failed, Dialog, counted, when } from "./lib.js";
import { valuesOf, changedPaths, rebased, requestOf, draftLines, differences, problemWords, troubledPaths, FIELD } from "./settings-fields.js";
import { Section, Diff } from "./settings-parts.js";
import { Staff, usePeople } from "./settings-staff.js";
import { Connection, SelfTest } from "./settings-trial.js";
import { ParkedCalls } from "./settings-parked.js";
import { History } from "./settings-history.js";
import { signed } from "./clicks-words.js";

const NOTHING = { ms: {}, revision: 0, problems: [], name: "", primary: "", effective: {
  enabled: false, notify_mode: "during", notify_incoming: true, notify_outgoing: false, unrecognized_extension: "", organization: "", task_assignee: "", country: "BY", timezone: "", webhook_signature: "log",
  incoming: { create_client: false, create_order: "none", order_unanswered: false, order_source: "", order_state: "", create_task: "none", task_minutes: 30 },
  outgoing: { create_client: false, create_order: "none", order_unanswered: false, order_source: "", order_state: "", create_task: "none", task_minutes: 30 } } };

export function Editor({ me, number }) {
  const where = `/ms-admin/api/config/${encodeURIComponent(number)}`;
  const [told, setTold] = useState(null), [failed, setFailed] = useState(null), [isNew, setIsNew] = useState(false);
  const [base, setBase] = useState(null), [draft, setDraft] = useState(null);
  const [errors, setErrors] = useState({}), [saving, setSaving] = useState(false), [conflict, setConflict] = useState(null);
  const [tab, setTab] = useState(param("tab") === "history" ? "history" : "form");
  const [waiting, setWaiting] = useState(0); // calls that MoySklad refused
  const form = useRef(null), found = usePeople(number, told, isNew);
  const take = useCallback((fresh, sent = null) => {
    setTold((before) => ({ ...NOTHING, name: before ? before.name : "", primary: before ? before.primary : "", ...fresh }));
    setBase(valuesOf(fresh));
    setDraft((now) => (sent ? rebased(sent, now, valuesOf(fresh)) : valuesOf(fresh))); // what was typed while it was saved stays
    setErrors({});
  }, []);
  const load = useCallback(() => {
    setFailed(null);
    api(where).then((fresh) => { take(fresh); setIsNew(false); }, (error) => {
      if (error.status !== 404) return setFailed(error);
      setIsNew(true);
      return take(NOTHING);
    });
  }, [where]);
  useEffect(load, [load]);
  const paths = base ? changedPaths(base, draft) : [];
  const dirty = paths.length > 0;
  useEffect(() => {
    if (!dirty) return undefined;
    const ask = (event) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [dirty]);
  const set = useCallback((path, value) => {
    setDraft((before) => ({ ...before, [path]: value }));
    setErrors((before) => { const { [path]: _gone, ...rest } = before; return rest; });
  }, []);
  const point = (field, hint) => {
    const path = Object.keys(FIELD).find((each) => field === each || field.startsWith(`${each}.`)) || "";
    setErrors({ [path]: hint });
    requestAnimationFrame(() => { const input = form.current && form.current.querySelector(`[name="${path}"]`); if (input) input.focus(); });
  };
  const save = async (event, { over = null, also = [] } = {}) => {
    if (event) event.preventDefault();
    setSaving(true);
    setErrors({});
    try {
      const values = over ? rebased(base, draft, valuesOf(over)) : draft; // the other one has not taken his extensions away
      const fresh = await api(where, { method: "PUT", body: { ms: requestOf(values, [...new Set([...paths, ...also])]), revision: over ? over.revision : told.revision } });
      take(fresh, draft);
      setIsNew(false);
      setConflict(null);
      toast(`Сохранено: редакция ${fresh.revision}.`, "good");
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) await loadTheirs();
      else if (error instanceof ApiError && error.status === 400) point(error.field, error.words);
      else sayError(error);
    } finally {
      setSaving(false);
    }
  };
  const loadTheirs = async () => {
    try {
      const [theirs, past] = await Promise.all([api(where), api(`${where}/history`)]);
      setConflict({ theirs, by: past.history[0] });
    } catch (error) {
      sayError(error);
    }
  };
  const show = (name) => { setTab(name); history.replaceState(null, "", withParams({ tab: name === "form" ? "" : name })); };
  if (failed) return html`<${Failed} error=${failed} retry=${load} />`;
  if (!told) return html`<${Busy} />`;
  const field = { draft, base, errors, set, told, number, people: found.data ? found.data.employees : [] };
  const state = !told.effective.enabled ? ["", isNew ? "не настроена" : "выключена"] : told.problems.length || !told.effective.has_phone_api || waiting ? ["warn", "нужно внимание"] : ["good", "включена"];
  return html`
    <div class="page-head">
      <h1 class="who">${number} ${told.name}</h1><${Tag} kind=${state[0]}>${state[1]}<//>
      <span class="grow muted small">${told.revision ? `редакция ${told.revision}` : ""}</span>
      <div class="tabs" role="tablist" aria-label="Вид">${[["form", "Настройки"], ["history", "История изменений"]].map(([name, words]) => html`
        <button key=${name} type="button" role="tab" aria-selected=${tab === name} tabindex=${tab === name ? 0 : -1} onKeyDown=${otherTab} onClick=${() => show(name)}>${words}</button>`)}</div>
    </div>
    ${isNew && html`<p class="note warn">Этого предприятия ещё нет в базе: оно появится, когда вы сохраните настройки. Проверьте номер.</p>`}
    ${told.problems.length > 0 && html`<div class="note warn" role="status"><b>В сохранённых настройках что-то не понято:</b>
      <ul class="plain">${told.problems.map((each) => html`<li key=${each}>${problemWords(each)}</li>`)}</ul>
      ${troubledPaths(told.problems).length > 0 && html`<button type="button" class="btn small" disabled=${saving} onClick=${() => save(null, { also: troubledPaths(told.problems) })}>Сохранить так, как понято</button>`}</div>`}
    ${tab === "history" ? html`<${History} where=${where} told=${told} dirty=${dirty} onRestored=${(fresh) => { take(fresh); show("form"); }} />` : html`
    <div class="settings">
      <form ref=${form} class="stack" onSubmit=${save} noValidate>
        <${Section} id="keys" title="Ключи и подключение" field=${field} paths=${["enabled", "integration_code", "api_token"]}><${Addresses} told=${told} isNew=${isNew} /><//>
        <${Section} id="cards" title="Уведомления" field=${field} paths=${["notifications.call_notify_mode", "notifications.notify_incoming", "notifications.notify_outgoing"]} />
        <div class="pair">
          <${Section} id="incoming" title="Входящие звонки" field=${field} paths=${Object.keys(FIELD).filter((path) => path.startsWith("incoming_"))} />
          <${Section} id="outgoing" title="Исходящие звонки" field=${field} paths=${Object.keys(FIELD).filter((path) => path.startsWith("outgoing_"))} />
        </div>
        <${Section} id="after" title="Заказы и задачи" field=${field} paths=${["organization", "task_assignee"]} />
        <${Staff} field=${field} isNew=${isNew} found=${found} />
        <${Section} id="rest" title="Прочее" field=${field} paths=${["unrecognized_extension", "country", "timezone", "webhook_signature"]}><${Primary} told=${told} /><//>
        <div class=${`save-bar ${dirty ? "dirty" : ""}`} role="region" aria-label="Сохранение">
          <span class="grow" aria-live="polite">${errors[""] ? html`<span class="error-text">${errors[""]}</span>`
            : Object.keys(errors).length ? html`<span class="error-text">Исправьте отмеченное поле.</span>`
              : dirty ? `Не сохранено: ${counted(paths.length, "изменение", "изменения", "изменений")}` : html`<span class="muted">Все изменения сохранены</span>`}</span>
          <button type="button" class="btn" disabled=${!dirty || saving} onClick=${() => { setDraft(base); setErrors({}); }}>Отменить</button>
          <button class="btn primary" disabled=${!dirty || saving}>${saving ? html`<span class="busy"></span> Сохраняем…` : "Сохранить"}</button>
        </div>
      </form>
      <aside class="stack" aria-label="Проверки">
        <${Connection} number=${number} dirty=${dirty} isNew=${isNew} hasMain=${told.effective.has_main_api} />
        <${SelfTest} number=${number} told=${told} dirty=${dirty} people=${found.data ? found.data.employees : []} />
        <${ParkedCalls} number=${number} onTold=${setWaiting} />
      </aside>
    </div>`}
    ${conflict && html`<${Conflict} conflict=${conflict} told=${told} base=${base} draft=${draft} saving=${saving}
      onMine=${() => save(null, { over: conflict.theirs })} onTheirs=${() => { take(conflict.theirs); setConflict(null); }} onBack=${() => setConflict(null)} />`}`;
}

function Conflict({ conflict, told, base, draft, saving, onMine, onTheirs, onBack }) {
  const { theirs, by } = conflict;
  return html`<${Dialog} title="Настройки уже изменил кто-то другой" wide onClose=${onBack}>
    <p>${by ? html`<b>${by.by}</b>, ${when(by.at)} (редакция ${theirs.revision}).` : `Сейчас действует редакция ${theirs.revision}.`} Ваши изменения ещё не сохранены.</p>
    <h3>Что изменили там</h3><${Diff} lines=${differences(told.ms, theirs.ms)} />
    <h3>Ваши изменения</h3><${Diff} lines=${draftLines(base, draft)} />
    <div class="actions">
      <button type="button" class="btn" onClick=${onBack}>Вернуться к форме</button>
      <button type="button" class="btn danger" onClick=${onTheirs}>Отбросить мои</button>
      <button type="button" class="btn primary" disabled=${saving} onClick=${onMine}>Сохранить мои поверх</button>
    </div><//>`;
}

function Addresses({ told, isNew }) {
  const [copied, setCopied] = useState(false);
  const url = told.ms.webhook_url || "", box = useRef(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(url);
    } catch { // without TLS browsers offer no clipboard
      box.current.select();
      document.execCommand("copy");
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2500);
  };
  return html`
    <div class="field"><label for="webhook">Адрес для звонков из МоегоСклада</label>
      ${isNew || !url ? html`<p class="muted" id="webhook">Появится после сохранения.</p>` : html`
      <div class="with-button"><input id="webhook" ref=${box} class="mono" readonly value=${url} onFocus=${(event) => event.target.select()} />
        <button type="button" class="btn" onClick=${copy}><span aria-live="polite">${copied ? "Скопировано" : "Копировать"}</span></button></div>`}
      <span class="hint">Вставьте его в МоёмСкладе, в настройках решения телефонии, в поле «Адрес провайдера телефонии». Никому больше не сообщайте.</span>
      ${!isNew && url && html`<${Signed} enterprise=${told.enterprise_number} />`}</div>
    <div class="field"><span class="label">Адрес Phone API</span><span class="mono">${told.ms.phone_api_url || "https://api.moysklad.ru/api/phone/1.0"}</span>
      <span class="hint">Постоянный, менять его не нужно.</span></div>`;
}

function Signed({ enterprise }) {
  const { data } = useData(`/ms-admin/api/clicks/${encodeURIComponent(enterprise)}?lang=ru`);
  return html`<span class="hint">${data && signed(data.signature)} <a href=${`/ms-admin/clicks?enterprise_number=${encodeURIComponent(enterprise)}`}>Все нажатия</a></span>`;
}

/** The arrows go from one tab to the other, as in every list of tabs. */
function otherTab(event) {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const other = event.currentTarget.nextElementSibling || event.currentTarget.previousElementSibling;
  event.preventDefault();
  other.focus();
  other.click();
}

const PRIMARY = { ms: "МойСклад", retailcrm: "RetailCRM", uon: "U-ON", bitrix24: "Битрикс24" };
function Primary({ told }) {
  return html`<div class="field"><span class="label">Основная интеграция</span>
    <span>${told.primary ? PRIMARY[told.primary] || told.primary : "не выбрана"} ${told.primary === "ms" ? html`<${Tag} kind="good">эта<//>` : ""}</span>
    <span class="hint">У неё телефония спрашивает имя звонящего и ответственного. Выбирается у поставщика телефонии.</span></div>`;
}
