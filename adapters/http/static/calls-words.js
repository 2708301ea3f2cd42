// How calls are told: phases, outcomes, directions, who is who. One place, so that every page says the same.
import { html, phone, useState, useEffect, useRef, api } from "./lib.js";

export const PHASES = {
  unheard: ["ничего не слышно", ""], arrived: ["в меню или очереди", "info"], ringing: ["звонит", "warn"], talking: ["разговор", "good"],
  on_hold: ["на удержании", "info"], transferring: ["перевод", "warn"], ending: ["завершается", ""], settled: ["завершён", ""],
  overdue: ["нет отбоя", "bad"], written_off: ["отбоя не было", "bad"], internal: ["внутренний", ""], internal_ended: ["внутренний, завершён", ""],
  absorbed: ["часть другого звонка", ""],
};
export const OUTCOMES = {
  answered: ["отвечен", "good"], missed: ["пропущен", "bad"], abandoned: ["клиент не дождался", "bad"], busy: ["занято", "bad"],
  declined: ["отклонён", "bad"], rejected: ["не принят линией", "warn"], cancelled: ["отменён звонившим", ""], failed: ["не удалось соединить", "bad"],
  unanswered: ["не дозвонились", "warn"], internal: ["внутренний", ""], lost: ["конец неизвестен", "warn"],
};

/** Incoming calls that nobody took, however that came about: `core.values.MISSED_CALLS`. */
export const MISSED = "missed,abandoned,busy,declined,rejected,failed";

export const outcomeOf = (call) => (call.outcome && call.phase !== "absorbed" ? OUTCOMES[call.outcome] || [call.outcome, ""] : PHASES[call.phase] || [call.phase, ""]);

const WAYS = { in: ["↘", "входящий", "way-in"], out: ["↗", "исходящий", "way-out"], internal: ["⇄", "внутренний", "way-internal"] };
export function Way({ direction }) {
  const [sign, words, kind] = WAYS[direction] || ["?", direction, ""];
  return html`<span class=${`way ${kind}`} title=${words}><span aria-hidden="true">${sign}</span><span class="sr">${words}</span></span>`;
}

export const callLink = (enterprise, call) => `/ms-admin/calls/${encodeURIComponent(enterprise)}/${encodeURIComponent(call)}`;

/** `101 Анна Ковалёва`, or the extension alone. */
export const person = (extension, names) => (names && names[extension] ? `${extension} ${names[extension]}` : phone(extension));
export function People({ extensions, names, none = "" }) {
  if (!extensions.length) return html`<span class="faint">${none}</span>`;
  return html`<span class="people">${extensions.map((each, index) => html`${index ? " " : ""}<span key=${each} class="nowrap" title=${names && names[each]}>${phone(each)}${
    names && names[each] ? html` <span class="muted">${names[each]}</span>` : ""}${index < extensions.length - 1 ? "," : ""}</span>`)}</span>`;
}

export function Client({ number, name }) {
  return html`<span class="client">${name && name !== number && html`<b title=${name}>${name}</b>`}<span class="num nowrap">${phone(number)}</span></span>`;
}

/** All calls of one number. */
export const callsOf = (enterprise, number) => `/ms-admin/calls?enterprise_number=${encodeURIComponent(enterprise)}&phone=${encodeURIComponent(number)}`;
/** Whether it is a number that can be called. */
export const canCall = (number) => /^\+\d{7,15}$/.test(number);

/** Whether it is a call between colleagues: it has no client, and its number is an extension or none. */
export const isInner = (call) => call.direction === "internal" && !canCall(call.number);

const LEARN_MS = 1_500; // a name that MoySklad has just told is known a moment later

/** Names of an enterprise's employees; empty until they are there, and where there is no one enterprise. Asked again for each of `extensions` that is new. */
export function useNames(enterprise, extensions = []) {
  const [names, setNames] = useState({}), asked = useRef(new Set());
  const load = () => api(`/ms-admin/api/names/${encodeURIComponent(enterprise)}`).then((told) => setNames(told.names), () => {});
  useEffect(() => {
    asked.current = new Set();
    setNames({});
    if (enterprise) load();
  }, [enterprise]);
  const fresh = enterprise ? extensions.filter((each) => !names[each] && !asked.current.has(each)) : [];
  useEffect(() => {
    if (!fresh.length) return undefined;
    const later = setTimeout(() => { for (const each of fresh) asked.current.add(each); load(); }, LEARN_MS);
    return () => clearTimeout(later);
  }, [fresh.join()]);
  return names;
}

/** Said where a page is about one enterprise and none is chosen. */
export const ChooseOne = ({ what }) => html`<div class="panel"><p class="empty">${what} показываются по одному предприятию: выберите его вверху справа.</p></div>`;
