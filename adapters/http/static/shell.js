// The frame of every page: header with navigation, the choice of the enterprise, the menu, logging in again in place.
import { html, render, useState, useEffect, useRef, useId, api, param, withParams, onLoggedOut, Toasts, Dialog, Busy, Failed, sayError } from "./lib.js";

const SECTIONS = [
  ["live", "Сейчас", "/ms-admin/live"],
  ["calls", "Звонки", "/ms-admin/calls"],
  ["missed", "Пропущенные", "/ms-admin/missed"],
  ["reports", "Отчёты", "/ms-admin/reports"],
  ["status", "Состояние", "/ms-admin/status"],
  ["settings", "Настройки", "/ms-admin/"],
];
const TITLE = document.title;
export const STATES = {
  on: ["good", "включена"], off: ["", "выключена"], trouble: ["warn", "нужно внимание"], none: ["", "не настроена"],
};

/** Put a page up. `section`: which part of the navigation it is; `of`: the enterprise that the page is about whatever the address says;
 *  `View` gets `me`, `enterprise` (number or "") and whether that is `unknown`. */
export function mount({ section, narrow = false, all = true, of = "" }, View) {
  render(html`<${Frame} section=${section} narrow=${narrow} all=${all} of=${of} View=${View} />`, document.getElementById("app"));
}

function Frame({ section, narrow, all, of, View }) {
  const [me, setMe] = useState(null), [failed, setFailed] = useState(null);
  const [asked, setAsked] = useState(null);
  const load = () => api("/ms-admin/api/me").then((told) => { setMe(told); setFailed(null); }, setFailed);
  useEffect(() => {
    let going = null;
    onLoggedOut(() => (going ??= new Promise((done) => setAsked({ done: () => { going = null; setAsked(null); done(); } }))));
    load();
    const current = document.querySelector(".nav [aria-current]"); // on a phone the row is longer than the screen
    if (current) current.parentElement.scrollLeft = current.offsetLeft - current.parentElement.offsetLeft - 40;
  }, []);
  const enterprise = me && me.enterprise ? me.enterprise : of || param("enterprise_number");
  const listed = useListed(me && enterprise);
  useEffect(() => { if (enterprise && !of) document.title = `${enterprise} ${TITLE}`; }, [enterprise]); // several tabs are told apart
  return html`
    <a class="skip" href="#main">К содержанию</a>
    <header class="top"><div class="top-row">
      <a class="brand" href="/ms-admin/"><img src="/ms.png" alt="" width="24" height="24" />Звонки и МойСклад</a>
      <nav class="nav" aria-label="Разделы">${SECTIONS.map(([name, words, path]) => html`
        <a key=${name} href=${withParams({ enterprise_number: enterprise }, path, "")} aria-current=${name === section ? "page" : undefined}>${words}</a>`)}</nav>
      ${me && html`<${Switcher} me=${me} enterprise=${enterprise} name=${listed ? listed.name : ""} all=${all} home=${of ? (SECTIONS.find(([name]) => name === section) || [])[2] : ""} /><${Menu} me=${me} />`}
    </div></header>
    <main id="main" tabindex="-1" class=${narrow ? "narrow" : ""}>
      ${listed === false && section !== "settings" && html`<div class="note warn" role="alert">Предприятия ${enterprise} нет в списке: проверьте номер.</div>`}
      ${me ? html`<${View} me=${me} enterprise=${enterprise} unknown=${listed === false} />`
        : failed ? html`<${Failed} error=${failed} retry=${load} />` : html`<${Busy} />`}
    </main>
    <${Toasts} />
    ${asked && html`<${LogInAgain} byLink=${me && me.kind === "link"} done=${asked.done} />`}`;
}

/** Close on a click elsewhere and on Escape; the focus goes back to the button. */
function usePop() {
  const [open, setOpen] = useState(false), box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const away = (event) => { if (!box.current.contains(event.target)) setOpen(false); };
    const escape = (event) => { if (event.key === "Escape") { setOpen(false); box.current.querySelector("button").focus(); } };
    document.addEventListener("pointerdown", away);
    document.addEventListener("focusin", away);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("focusin", away);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);
  return [open, setOpen, box];
}

/** The enterprise as the list has it; false: it is not there; null: not known yet. */
function useListed(enterprise) {
  const [listed, setListed] = useState(null);
  useEffect(() => {
    if (!enterprise) return;
    api(`/ms-admin/api/enterprises?q=${encodeURIComponent(enterprise)}`).then(
      (told) => setListed(told.enterprises.find((each) => each.number === enterprise) || (told.complete ? false : null)), () => {});
  }, [enterprise]);
  return listed;
}

function Switcher({ me, enterprise, name, all, home }) {
  const [open, setOpen, box] = usePop();
  const [typed, setTyped] = useState(""), [found, setFound] = useState(null), [at, setAt] = useState(0);
  const list = useId(), entered = useRef(false); // Enter came before the answer to what was typed: what is listed is something else
  const go = (each) => location.assign(home ? withParams({ enterprise_number: each.number }, home, "") : withParams({ enterprise_number: each.number }));
  const take = (told) => {
    setFound({ typed, enterprises: told.enterprises.slice(0, 200) });
    setAt(0);
    if (entered.current && told.enterprises.length) go(told.enterprises[0]);
    entered.current = false;
  };
  useEffect(() => {
    if (!open) return undefined;
    const gone = new AbortController();
    const later = setTimeout(() => api(`/ms-admin/api/enterprises?q=${encodeURIComponent(typed)}`, { signal: gone.signal }).then(
      take, (error) => { if (!gone.signal.aborted) sayError(error); }), typed ? 150 : 0);
    return () => { clearTimeout(later); gone.abort(); };
  }, [open, typed]);
  useEffect(() => {
    const option = open && document.getElementById(`${list}-${at}`);
    if (option) option.scrollIntoView({ block: "nearest" });
  }, [open, at]);
  const words = enterprise ? `${enterprise} ${name}` : "Все предприятия";
  if (me.enterprise) return html`<span class="nowrap muted" title=${words}>${words}</span>`;
  const options = [...(all && !typed ? [{ number: "", name: "Все предприятия", state: "" }] : []), ...(found ? found.enterprises : [])];
  const keys = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((before) => Math.min(options.length - 1, Math.max(0, before + (event.key === "ArrowDown" ? 1 : -1))));
    } else if (event.key !== "Enter") return;
    else if (typed && (!found || found.typed !== typed)) entered.current = true;
    else if (options[at]) go(options[at]);
  };
  return html`<div class="pick" ref=${box}>
    <button type="button" class="btn" aria-expanded=${open} aria-haspopup="listbox" onClick=${() => { entered.current = false; setOpen(!open); }}><span>${words}</span> ▾</button>
    ${open && html`<div class="pop">
      <input type="search" placeholder="Номер или название" aria-label="Найти предприятие" role="combobox" aria-controls=${list} aria-expanded="true"
        aria-activedescendant=${options.length ? `${list}-${at}` : undefined} value=${typed} onInput=${(event) => { entered.current = false; setTyped(event.target.value); }} onKeyDown=${keys}
        ref=${(input) => input && !typed && input.focus()} />
      ${found === null ? html`<${Busy} />` : html`<ul id=${list} role="listbox" aria-label="Предприятия">${options.map((each, index) => html`
        <li key=${each.number} role="presentation"><button type="button" role="option" tabindex="-1" id=${`${list}-${index}`} aria-selected=${index === at} onClick=${() => go(each)}>
          <span class=${`dot ${(STATES[each.state] || [""])[0]}`} title=${(STATES[each.state] || ["", ""])[1]}></span>
          <span class="num">${each.number}</span><span class="name">${each.name}</span></button></li>`)}</ul>
        ${!options.length && html`<p class="empty">Ничего не найдено</p>`}`}
    </div>`}
  </div>`;
}

function Menu({ me }) {
  const [open, setOpen, box] = usePop();
  const leave = async () => {
    try {
      await api("/ms-admin/api/logout", { method: "POST", relogin: false });
    } catch (error) {
      if (error.status !== 401) return sayError(error);
    }
    return location.assign("/ms-admin/login");
  };
  return html`<div class="pick" ref=${box}>
    <button type="button" class="btn quiet" aria-expanded=${open} aria-label="Меню" onClick=${() => setOpen(!open)}>☰</button>
    ${open && html`<div class="pop"><ul>
      <li class="small muted">${me.enterprise ? me.name : "Оператор"}</li>
      ${!me.enterprise && html`<li><a href="/ms-admin/access">Доступ по ссылкам</a></li><li><a href="/ms-admin/audit">Журнал действий</a></li>`}
      <li><a href="/docs">HTTP API</a></li>
      <li><button type="button" onClick=${leave}>Выйти</button></li></ul></div>`}
  </div>`;
}

function LogInAgain({ byLink, done }) {
  const [wrong, setWrong] = useState(""), [busy, setBusy] = useState(false), field = useId();
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      if (byLink) await api("/ms-admin/api/me", { relogin: false });
      else await api("/ms-admin/api/login", { method: "POST", body: { password: event.target.elements.password.value }, relogin: false });
      done();
    } catch (error) {
      setWrong(byLink && error.status === 401 ? "Вход ещё не выполнен." : error.words);
      setBusy(false);
    }
  };
  const away = () => location.assign("/ms-admin/login?next=" + encodeURIComponent(location.pathname + location.search));
  return html`<${Dialog} title="Сеанс закончился" onClose=${() => {}}><form onSubmit=${send} class="stack">
    ${byLink ? html`<p>Откройте свою ссылку для входа в соседней вкладке, затем нажмите «Продолжить». Введённое на этой странице не пропадёт.</p>`
      : html`<p>Войдите снова: введённое на этой странице не пропадёт.</p>
        <input class="sr" type="text" name="username" value="operator" autocomplete="username" readonly tabindex="-1" aria-hidden="true" />
        <div class="field"><label for=${field}>Пароль</label><input id=${field} name="password" type="password" autocomplete="current-password" required autofocus aria-invalid=${Boolean(wrong)} /></div>`}
    ${wrong && html`<p class="error-text" role="alert">${wrong}</p>`}
    <div class="actions"><button type="button" class="btn" onClick=${away}>Уйти со страницы</button>
      <button class="btn primary" disabled=${busy}>${byLink ? "Продолжить" : "Войти"}</button></div></form><//>`;
}
