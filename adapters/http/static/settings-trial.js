// Trying the connection, and the test call that goes through everything: each step with its result and time.
import { html, useState, useEffect, useRef, useId, api, sayError, ApiError, span, Busy } from "./lib.js";

const SIGNS = { done: "✓", failed: "✕", skipped: "–", waiting: "", running: "" };
const STATES = { done: "готово", failed: "не получилось", skipped: "пропущено", waiting: "ждёт", running: "идёт" };
const POLL_MS = 600;

export function Connection({ number, dirty, isNew, hasMain }) {
  const [told, setTold] = useState(null), [busy, setBusy] = useState(false);
  const check = async () => {
    setBusy(true);
    try {
      setTold(await api(`/ms-admin/api/test/${encodeURIComponent(number)}`));
    } catch (error) {
      sayError(error);
    } finally {
      setBusy(false);
    }
  };
  return html`<section class="panel" aria-labelledby="connection-title">
    <div class="panel-head"><h2 id="connection-title">Связь с МоимСкладом</h2>
      <button type="button" class="btn small" disabled=${busy || isNew} onClick=${check}>Проверить</button></div>
    <div class="panel-body" aria-live="polite">
      ${busy ? html`<${Busy} words="Спрашиваем МойСклад…" />` : told ? html`
        <${Verdict} name="Phone API" verdict=${told.phone_api} />${hasMain ? html`<${Verdict} name="Основной API" verdict=${told.main_api} />
          <div class="verdict ${told.changes.ok ? "good" : ""}"><b>Изменения в МоёмСкладе: ${told.changes.ok ? "видны сразу" : "видны с задержкой"}</b><p>${told.changes.text}</p></div>`
          : html`<div class="verdict"><b>Основной API: токен не задан</b><p>Звонки записываются и без него, но контрагентов не создать, а имена сотрудников не видны.</p></div>`}`
        : html`<p class="muted">${isNew ? "Сначала сохраните настройки." : "Проверим оба ключа и скажем словами, что не так и что сделать."}</p>`}
      ${dirty && !isNew && html`<p class="small muted">Проверяются сохранённые настройки, без того, что ещё не сохранено.</p>`}
    </div></section>`;
}

const Verdict = ({ name, verdict }) => html`<div class=${`verdict ${verdict.ok ? (verdict.details.warnings || []).length ? "warn" : "good" : "bad"}`}>
  <b>${name}: ${verdict.ok ? "работает" : "не работает"}</b><p>${verdict.text}</p></div>`;

export function SelfTest({ number, told, dirty, people }) {
  const where = `/ms-admin/api/self-test/${encodeURIComponent(number)}`;
  const [extension, setExtension] = useState(""), [test, setTest] = useState(null), [report, setReport] = useState(null), [wrong, setWrong] = useState("");
  const [lost, setLost] = useState(false), [busy, setBusy] = useState(false), field = useId(), shown = useRef(null);
  const off = !told.effective.enabled || !told.revision;
  useEffect(() => {
    if (!test) return undefined;
    const gone = new AbortController();
    let timer;
    const look = async () => {
      try {
        const fresh = await api(`${where}/${test}`, { signal: gone.signal });
        setReport(fresh);
        setLost(false);
        if (fresh.state !== "running") return setTest(null);
      } catch (error) {
        if (gone.signal.aborted) return undefined;
        if (error instanceof ApiError && error.status === 404) return setTest(null);
        setLost(true);
      }
      timer = setTimeout(look, POLL_MS);
      return undefined;
    };
    look();
    return () => { gone.abort(); clearTimeout(timer); };
  }, [test]);
  const begin = async (event) => {
    event.preventDefault();
    setWrong("");
    if (!/^[0-9]{1,20}$/.test(extension)) { setWrong("Укажите добавочный номер цифрами, например 101."); return; }
    setReport(null);
    setBusy(true);
    try {
      setTest((await api(where, { method: "POST", body: { extension } })).test);
      requestAnimationFrame(() => shown.current && shown.current.scrollIntoView({ block: "nearest" }));
    } catch (error) {
      if (error instanceof ApiError) setWrong(error.words);
      else sayError(error);
    } finally {
      setBusy(false);
    }
  };
  return html`<section class="panel" aria-labelledby="self-test-title">
    <div class="panel-head"><h2 id="self-test-title">Проверочный звонок</h2></div>
    <div class="panel-body">
      <p class="muted">Один отмеченный звонок пройдёт весь путь: журнал, контрагент, МойСклад, карточка на экране, её скрытие и конец. Около 10 секунд.</p>
      <form class="row" onSubmit=${begin}>
        <label for=${field}>Показать сотруднику</label>
        <input id=${field} list=${`${field}-known`} inputmode="numeric" size="7" placeholder="101" autocomplete="off" value=${extension} aria-invalid=${wrong ? "true" : undefined} aria-describedby=${`${field}-wrong`}
          onInput=${(event) => { setExtension(event.target.value.trim()); setWrong(""); }} />
        <datalist id=${`${field}-known`}>${people.filter((each) => each.extension).map((each) => html`<option key=${each.extension} value=${each.extension}>${each.name}</option>`)}</datalist>
        <button class="btn" disabled=${Boolean(test) || busy || off}>${test ? html`<span class="busy"></span> Идёт…` : "Позвонить"}</button></form>
      <p id=${`${field}-wrong`} class="error-text" role="alert">${wrong}</p>
      ${off && html`<p class="small muted">Интеграция выключена: включите её и сохраните.</p>`}
      ${dirty && !off && html`<p class="small muted">Звонок пойдёт по сохранённым настройкам.</p>`}
      <div ref=${shown} aria-live="polite" aria-atomic="false">${report && html`
        <ol class="steps">${report.steps.map((step) => html`<li key=${step.key} class=${step.state}>
          <span class="sign" aria-hidden="true">${step.state === "running" ? html`<span class="busy"></span>` : SIGNS[step.state]}</span>
          <div><div class="head"><b>${step.title}</b> <span class="sr">${STATES[step.state]}</span>${step.took_ms !== null && html`<span class="took num">${span(step.took_ms)}</span>`}</div>
            ${step.text && html`<p>${step.text}</p>`}</div></li>`)}</ol>
        ${lost && html`<p class="small muted">Связь с сервисом прервалась, пробуем снова…</p>`}
        ${report.state === "passed" && html`<p class="note good">Всё работает. Проверка заняла ${span(report.took_ms)}. <${Replay} number=${number} test=${report.test} /></p>`}
        ${report.state === "failed" && html`<p class="note bad">Дошло не до конца: смотрите отмеченный шаг. <${Replay} number=${number} test=${report.test} /></p>`}`}</div>
    </div></section>`;
}

const Replay = ({ number, test }) => html`<a href=${`/ms-admin/calls/${encodeURIComponent(number)}/${encodeURIComponent(test)}`}>Подробно по шагам</a>`;
