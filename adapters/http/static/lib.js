// What every page uses: markup, asking the service, words for times and numbers, short messages.
// Text always goes in as text: Preact escapes it, and nothing here makes markup out of a string.
import { h, render, Fragment, createContext } from "./vendor/preact.js";
import { useState, useEffect, useRef, useMemo, useCallback, useId, useLayoutEffect, useContext } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { h, render, Fragment, createContext, useState, useEffect, useRef, useMemo, useCallback, useId, useLayoutEffect, useContext };

// -- asking the service -------------------------------------------------------------------------------------------

const ANSWER_MS = 60_000;

/** What people call a field that may be wrong in the address of a page. */
const NAMES = {
  enterprise: "номер предприятия", enterprise_number: "номер предприятия", phone: "номер", extension: "добавочный номер", direction: "направление", outcome: "чем кончилось",
  from: "начало периода", to: "конец периода", by: "деление по дням или часам", zone: "часовой пояс", time: "время", day: "день", days: "число дней", call: "имя звонка", after: "место в списке", before: "место в списке",
};

const AWAY = { 0: "Сервис не отвечает.", 503: "Сервис ждёт базу данных. Ничего не потеряно." };
const AGAIN_MS = 5_000;

/** An answer that is an error: `status` (0: no answer), `error`, `field`, `hint` (for a person, Russian or empty). */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.error || "error");
    this.status = status;
    this.field = body.field || "";
    this.hint = body.hint || "";
    this.body = body;
  }

  /** Whether the same question will be answered once somebody is back. */
  get passes() { return this.status in AWAY; }

  /** One sentence for a person. */
  get words() {
    if (/[а-яё]/i.test(this.hint)) return this.hint;
    if (this.passes) return `${AWAY[this.status]} ${this.status ? "Повторите через минуту." : "Проверьте связь и повторите."}`;
    if (this.status === 403) return "Сюда нет доступа.";
    if (this.status === 404) return "Не найдено.";
    if (this.status === 429) return "Слишком часто. Подождите немного и повторите.";
    if (this.status === 400 && this.field) return `Сервис не понял: ${NAMES[this.field] || this.field}. Исправьте и повторите.`;
    if (this.status === 413) return "Слишком большой запрос.";
    return this.status >= 500 ? `Ошибка сервиса (${this.status}): подробности в его журнале. Повторите позже.` : `Сервис не понял запрос (${this.status}): обновите страницу и повторите.`;
  }
}

let askToLogIn = () => { location.assign("/ms-admin/login?next=" + encodeURIComponent(location.pathname + location.search)); return new Promise(() => {}); };
/** The frame puts its dialog here: a promise that resolves once somebody is logged in again. */
export function onLoggedOut(ask) { askToLogIn = ask; }

async function once(path, method, body, signal) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Requested-With"] = "page";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(ANSWER_MS);
  let answer, told;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    told = await answer.json();
  } catch (error) {
    if (signal && signal.aborted) throw error;
    throw new ApiError(answer && !answer.ok ? answer.status : 0, {});
  }
  if (!answer.ok) throw new ApiError(answer.status, told || {});
  return told;
}

/** Ask the service; the answer as JSON. A session that has ended is asked for once more, in place, so that nothing typed is lost. */
export async function api(path, { method = "GET", body, signal, relogin = true } = {}) {
  try {
    return await once(path, method, body, signal);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401 || !relogin) throw error;
  }
  await askToLogIn();
  return once(path, method, body, signal);
}

/** Calls `look` every `ms` while somebody sees the page, and when it is seen again. */
export function useWhileSeen(ms, look) {
  const latest = useRef(look);
  latest.current = look;
  useEffect(() => {
    const now = () => { if (!document.hidden) latest.current(); };
    const each = setInterval(now, ms);
    document.addEventListener("visibilitychange", now);
    return () => { clearInterval(each); document.removeEventListener("visibilitychange", now); };
  }, [ms]);
}

/** Load `path` (null: nothing yet), and again when `of` is another: `{data, error, loading, reload, look}`; what was there stays while it is loaded again.
 *  `look`: reload by a clock. It leaves a question that is under way alone: one that is never answered has to become an error. */
export function useData(path, of = "") {
  const [state, setState] = useState({ data: null, error: null, loading: path !== null });
  const [turn, setTurn] = useState(0), asking = useRef(false);
  useEffect(() => {
    asking.current = path !== null;
    if (path === null) return undefined;
    const gone = new AbortController();
    const told = (take) => (answer) => { if (!gone.signal.aborted) { asking.current = false; setState(take(answer)); } };
    setState((before) => ({ ...before, loading: true }));
    api(path, { signal: gone.signal }).then(
      told((data) => ({ data, error: null, loading: false })), told((error) => (before) => ({ data: before.data, error, loading: false })));
    return () => gone.abort();
  }, [path, of, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const look = useCallback(() => { if (!asking.current) reload(); }, []);
  return { ...state, reload, look };
}

// -- addresses ----------------------------------------------------------------------------------------------------

export const param = (name) => new URLSearchParams(location.search).get(name) || "";

/** This page's address with some parameters changed; empty ones are left out. */
export function withParams(changed, path = location.pathname, from = location.search) {
  const all = new URLSearchParams(from);
  for (const [name, value] of Object.entries(changed)) {
    if (value === "" || value === null || value === undefined) all.delete(name);
    else all.set(name, value);
  }
  const text = all.toString();
  return text ? `${path}?${text}` : path;
}

// -- words --------------------------------------------------------------------------------------------------------

export function plural(count, one, few, many) {
  const tens = Math.abs(count) % 100, ones = tens % 10;
  if (tens >= 11 && tens <= 14) return many;
  if (ones === 1) return one;
  return ones >= 2 && ones <= 4 ? few : many;
}
const NUMBER = new Intl.NumberFormat("ru-RU", { maximumFractionDigits: 1 });
export const number = (value) => NUMBER.format(value);
export const counted = (count, one, few, many) => `${number(count)} ${plural(count, one, few, many)}`;

const asDate = (moment) => (moment instanceof Date ? moment : new Date(moment));
const DATE = new Intl.DateTimeFormat("ru-RU", { day: "2-digit", month: "2-digit", year: "numeric" });
const TIME = new Intl.DateTimeFormat("ru-RU", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const SHORT = new Intl.DateTimeFormat("ru-RU", { hour: "2-digit", minute: "2-digit" });
/** Moments are milliseconds since the epoch or ISO text; shown in the reader's own time zone. */
export const date = (moment) => DATE.format(asDate(moment));
export const time = (moment) => TIME.format(asDate(moment));
export const shortTime = (moment) => SHORT.format(asDate(moment));
export const dateTime = (moment) => `${date(moment)} ${time(moment)}`;
/** `14:03` today, `вчера 14:03`, else `05.11.2026 14:03`. */
export function when(moment, now = new Date()) {
  const then = asDate(moment), day = (each) => new Date(each.getFullYear(), each.getMonth(), each.getDate()).getTime();
  const days = Math.round((day(now) - day(then)) / 86_400_000);
  if (days === 0) return shortTime(then);
  return days === 1 ? `вчера ${shortTime(then)}` : `${date(then)} ${shortTime(then)}`;
}

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
/** `UTC+3`: how far the reader's clock is from UTC at that moment. */
export function offset(moment = new Date()) {
  const minutes = -asDate(moment).getTimezoneOffset(), size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(size / 60)}${size % 60 ? `:${String(size % 60).padStart(2, "0")}` : ""}`;
}
/** Said once on each page with times: a colleague elsewhere reads other ones. */
export const Zone = () => html`<span class="zone">Время — этого устройства: ${offset()}${ZONE && ZONE !== "UTC" ? `, ${ZONE}` : ""}.</span>`;

/** `0:07`, `12:40`, `1:02:03`: how long something lasted, from milliseconds. */
export function duration(ms) {
  const total = Math.max(0, Math.round(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3600), minutes = Math.floor((total % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(total % 60)}` : `${minutes}:${two(total % 60)}`;
}
/** `40 мс`, `1,3 с`, `5 мин`, `2 ч 5 мин`, `3 дня`: how long, in words. */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} мс`;
  if (ms < 10_000) return `${NUMBER.format(ms / 1000)} с`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} с`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} мин`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} ч ${minutes % 60} мин` : `${hours} ч`;
  return counted(Math.floor(hours / 24), "день", "дня", "дней");
}
/** `0,3 с`, `12 с`: how long somebody waited; nobody waits in milliseconds. */
export const waited = (ms) => (ms < 9_950 ? `${NUMBER.format(Math.round(ms / 100) / 10)} с` : span(ms));
export const ago = (moment, now = Date.now()) => {
  const passed = now - asDate(moment).getTime();
  if (passed < 5_000) return "только что";
  return `${passed < 86_400_000 && passed >= 10_800_000 ? `${Math.floor(passed / 3_600_000)} ч` : passed < 172_800_000 && passed >= 86_400_000 ? "1 день" : span(passed)} назад`;
};
/** `+375 29 123-45-67`, `+7 916 123-45-67`; anything else as it is. */
export function phone(text) {
  const found = /^(\+375)(\d{2})(\d{3})(\d{2})(\d{2})$/.exec(text) || /^(\+7)(\d{3})(\d{3})(\d{2})(\d{2})$/.exec(text);
  if (text === "anonymous") return "скрытый номер";
  return found ? `${found[1]} ${found[2]} ${found[3]}-${found[4]}-${found[5]}` : text;
}

// -- short messages -----------------------------------------------------------------------------------------------

const heard = new Set();
/** Tell something at the edge of the page; `kind`: "good", "bad" or nothing. */
export function toast(text, kind = "") { for (const each of heard) each(text, kind); }
const wordsOf = (error) => (error instanceof ApiError ? error.words : `Ошибка на странице: ${error.message}`);
export const sayError = (error) => toast(wordsOf(error), "bad");

export function Toasts() {
  const [shown, setShown] = useState([]);
  useEffect(() => {
    const add = (text, kind) => {
      const one = { id: Math.random(), text, kind };
      setShown((before) => [...before.slice(-3), one]);
      setTimeout(() => setShown((before) => before.filter((each) => each !== one)), kind === "bad" ? 15_000 : 6_000);
    };
    heard.add(add);
    return () => heard.delete(add);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">${shown.map((each) => html`
    <div class=${`toast ${each.kind}`} key=${each.id}><span>${each.text}</span>
      <button type="button" aria-label="Закрыть сообщение" onClick=${() => setShown((all) => all.filter((one) => one !== each))}>✕</button></div>`)}</div>`;
}

// -- small parts --------------------------------------------------------------------------------------------------

export const Tag = ({ kind = "", children, title }) => html`<span class=${`tag ${kind}`} title=${title}>${children}</span>`;
export const Busy = ({ words = "Загрузка…" }) => html`<span class="muted"><span class="busy" aria-hidden="true"></span> ${words}</span>`;
/** Something that could not be loaded; `retry` loads it, and is called by itself for as long as whoever is asked is away. */
export function Failed({ error, retry }) {
  const waits = Boolean(retry && error.passes);
  useEffect(() => {
    if (!waits) return undefined;
    const later = setTimeout(retry, AGAIN_MS); // once for each failure: an answer that takes its time is not overtaken
    return () => clearTimeout(later);
  }, [error]);
  return html`<div class="note bad row" role="alert"><span>${waits ? `${AWAY[error.status]} Страница спрашивает снова сама.` : wordsOf(error)}</span>
    ${retry && html`<button class="btn small" type="button" onClick=${retry}>${waits ? "Повторить сейчас" : "Повторить"}</button>`}</div>`;
}
/** A dialog that is open while it is there. `onClose` is called for Escape too. Whoever presses that twice closes it without
 *  our being asked: it is opened again, for somebody waits for its answer. */
export function Dialog({ title, onClose, wide, children }) {
  const box = useRef(null), name = useId();
  useLayoutEffect(() => { box.current.showModal(); }, []);
  return html`<dialog ref=${box} class=${wide ? "wide" : ""} aria-labelledby=${name} onCancel=${(event) => { event.preventDefault(); onClose(); }}
    onClose=${() => { if (box.current && box.current.isConnected) box.current.showModal(); }}>
    <h2 id=${name}>${title}</h2>${children}</dialog>`;
}
