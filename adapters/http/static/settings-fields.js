// The fields of an enterprise's settings: what they are called, how they are read out of an answer and written into a request,
// and how two sets of them differ, in words.

const YES_NO = { true: "да", false: "нет" };
const actions = (section, of) => [
  { path: `${section}.create_client`, label: "Создавать контрагента", kind: "check", words: YES_NO, from: (e) => e[of].create_client,
    hint: "Когда номера нет ни у кого: имя — номер, метка «Создан автоматически»." },
  { path: `${section}.create_order`, label: "Заказ покупателя", kind: "choice", from: (e) => e[of].create_order,
    options: [["none", "не создавать"], ["always", "создавать на каждый звонок"], ["unless_open", "создавать, если у клиента нет открытого"]],
    hint: "Один на звонок, после разговора. Если контрагента нет, он создаётся: без него заказа не бывает." },
  { path: `${section}.order_unanswered`, label: "И когда никто не ответил", kind: "check", words: YES_NO, from: (e) => e[of].order_unanswered, needs: `${section}.create_order` },
  { path: `${section}.order_source`, label: "Источник заказа", kind: "text", from: (e) => e[of].order_source, needs: `${section}.create_order`, placeholder: of === "incoming" ? "Телефонный звонок" : "Исходящий звонок",
    hint: "Канал продаж с таким названием найдётся или создастся; то же — в комментарии к заказу." },
  { path: `${section}.order_state`, label: "Статус заказа", kind: "offered", offers: ["order-states", "states"], from: (e) => e[of].order_state, needs: `${section}.create_order`, placeholder: "как принято в МоёмСкладе" },
];

/** In the order in which they are shown. `from` reads the value in force out of `effective`; secrets are shown masked. */
export const FIELDS = [
  { path: "enabled", label: "Интеграция включена", kind: "check", words: YES_NO, from: (e) => e.enabled },
  { path: "integration_code", label: "Ключ Phone API", kind: "secret",
    hint: "МойСклад → Приложения → решение телефонии → Настройки. Нужен, чтобы записывать звонки и показывать карточки." },
  { path: "api_token", label: "Токен основного API", kind: "secret",
    hint: "МойСклад → Настройки → Токены. Нужен, чтобы находить и создавать контрагентов, получать имена сотрудников." },
  { path: "notifications.call_notify_mode", label: "Карточки звонков", kind: "choice", from: (e) => e.notify_mode,
    options: [["during", "показывать во время звонка"], ["none", "не показывать"]], hint: "Звонки записываются в МойСклад в любом случае." },
  { path: "notifications.notify_incoming", label: "На входящих звонках", kind: "check", words: YES_NO, from: (e) => e.notify_incoming, needs: "notifications.call_notify_mode" },
  { path: "notifications.notify_outgoing", label: "На исходящих звонках", kind: "check", words: YES_NO, from: (e) => e.notify_outgoing, needs: "notifications.call_notify_mode",
    hint: "Только у того сотрудника, который звонит." },
  ...actions("incoming_call_actions", "incoming"),
  { path: "incoming_call_actions.create_task", label: "Пропущенный звонок", kind: "choice", from: (e) => e.incoming.create_task,
    options: [["none", "задачу не ставить"], ["on_missed", "поставить задачу «Перезвонить»"]],
    hint: "Одна на клиента, пока с ним не поговорят; тогда отмечается выполненной. Нужна опция CRM в тарифе МоегоСклада." },
  { path: "incoming_call_actions.task_minutes", label: "Перезвонить за, минут", kind: "number", from: (e) => e.incoming.task_minutes, needs: "incoming_call_actions.create_task", min: 1, max: 10080 },
  ...actions("outgoing_call_actions", "outgoing"),
  { path: "organization", label: "Юридическое лицо для заказов", kind: "offered", offers: ["organizations", "organizations"], from: (e) => e.organization, placeholder: "единственное в МоёмСкладе",
    hint: "Нужно, когда в МоёмСкладе их несколько." },
  { path: "task_assignee", label: "Кому задача, если больше некому", kind: "person", from: (e) => e.task_assignee,
    hint: "Задачу получает ответственный за клиента; если его нет — единственный, у кого звонил телефон, затем номер для нераспознанных звонков, затем этот сотрудник." },
  { path: "employee_mapping", label: "Сотрудники и номера", kind: "mapping" },
  { path: "unrecognized_extension", label: "Номер для нераспознанных звонков", kind: "text", from: (e) => e.unrecognized_extension, inputmode: "numeric", placeholder: "например, 101",
    hint: "На этот добавочный номер записывается звонок, когда нельзя понять, кто говорил." },
  { path: "country", label: "Страна", kind: "text", from: (e) => e.country, placeholder: "BY",
    hint: "Двумя буквами: BY, RU, KZ. По ней читаются номера без кода страны." },
  { path: "timezone", label: "Часовой пояс АТС", kind: "text", from: (e) => e.timezone, placeholder: "Europe/Minsk", hint: "Пусто: как задано для всего сервиса." },
  { path: "webhook_signature", label: "Подпись вызовов из МоегоСклада", kind: "choice", from: (e) => e.webhook_signature,
    options: [["log", "только проверять и записывать"], ["enforce", "без верной подписи отказывать"]],
    hint: "Вид подписи МойСклад не описывает. Отказывать включайте, когда в «Нажатиях» видно, какой вариант подошёл." },
];
export const FIELD = Object.fromEntries(FIELDS.map((each) => [each.path, each]));
const SERVICE_OWN = ["webhook_uuid", "webhook_url", "phone_api_url"];
export const ORDERS_OFF = "none";

/** What the service answers, as the flat values of the form. A secret is "" until somebody types a new one. */
export function valuesOf(told) {
  const values = {};
  for (const field of FIELDS) {
    if (field.kind === "secret") values[field.path] = "";
    else if (field.kind === "mapping") values[field.path] = mappingOf(told.ms.employee_mapping);
    else values[field.path] = field.from(told.effective);
  }
  return values;
}

/** extension -> {employee_id, name, email}, whatever older form it was stored in. */
export function mappingOf(stored) {
  const found = {};
  for (const [extension, each] of Object.entries(stored && typeof stored === "object" ? stored : {})) {
    if (typeof each === "string") found[extension] = { employee_id: each, name: "", email: "" };
    else if (each) found[extension] = { employee_id: each.employee_id || each.id || "", name: each.name || "", email: each.email || "" };
  }
  return found;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
/** The paths whose values differ. */
export const changedPaths = (base, draft) => FIELDS.map((each) => each.path).filter((path) => !same(base[path], draft[path]));
/** `theirs` with the changes that make `draft` of `base`. Who has which extension is stored as a whole, but each extension is a matter of its own. */
export function rebased(base, draft, theirs) {
  const found = { ...theirs };
  for (const path of changedPaths(base, draft)) found[path] = FIELD[path].kind === "mapping" ? remapped(base[path], draft[path], theirs[path]) : draft[path];
  return found;
}
function remapped(base, draft, theirs) {
  const found = { ...theirs };
  for (const extension of new Set([...Object.keys(base), ...Object.keys(draft)])) {
    if (same(base[extension], draft[extension])) continue;
    if (draft[extension]) found[extension] = draft[extension];
    else delete found[extension];
  }
  return found;
}

/** The request that makes these changes: only what was changed, in the shape in which it is stored. CLEAR empties a secret. */
export const CLEAR = Symbol("clear");
export function requestOf(draft, paths) {
  const ms = {};
  for (const path of paths) {
    const [section, name] = path.split(".");
    const value = draft[path] === CLEAR ? "" : draft[path];
    if (name) (ms[section] ||= {})[name] = value;
    else ms[section] = value;
  }
  return ms;
}

// -- differences in words -----------------------------------------------------------------------------------------

export function wordsOf(path, value) {
  const field = FIELD[path] || {};
  if (value === undefined || value === null || value === "") return "не задано";
  if (field.options) return (field.options.find(([each]) => each === value) || ["", String(value)])[1];
  if (field.words) return field.words[value] ?? String(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Lines `{label, was, now}` that tell how stored settings `now` differ from `was` (both as the service shows them, masked). */
export function differences(was, now) {
  const lines = [];
  const before = flat(was), after = flat(now);
  for (const path of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (SERVICE_OWN.includes(path) || same(before[path], after[path])) continue;
    if (path === "employee_mapping") lines.push(...mappingLines(mappingOf(before[path]), mappingOf(after[path])));
    else if (FIELD[path] && FIELD[path].kind === "secret") lines.push(secretLine(FIELD[path].label, before[path], after[path]));
    else lines.push({ label: labelOf(path), was: wordsOf(path, before[path]), now: wordsOf(path, after[path]) });
  }
  return lines;
}

/** The same for the form's values; typed secrets are never repeated. */
export function draftLines(base, draft) {
  return changedPaths(base, draft).flatMap((path) => {
    const { label, kind } = FIELD[path];
    if (kind === "mapping") return mappingLines(base[path], draft[path]);
    if (kind === "secret") return [{ label, was: "прежний", now: draft[path] === CLEAR ? "удалён" : "новый" }];
    return [{ label: labelOf(path), was: wordsOf(path, base[path]), now: wordsOf(path, draft[path]) }];
  });
}

function secretLine(label, was, now) {
  if (!now) return { label, was: was || "не задано", now: "удалён" };
  return { label, was: was || "не задано", now };
}

function mappingLines(was, now) {
  const lines = [], name = (each) => (each ? each.name || each.employee_id : "как в МоёмСкладе");
  for (const extension of new Set([...Object.keys(was), ...Object.keys(now)])) {
    if (!same(was[extension], now[extension])) lines.push({ label: `Сотрудник с номером ${extension}`, was: name(was[extension]), now: name(now[extension]) });
  }
  return lines;
}

/** What the service could not understand, with the field's name as it stands on this page. */
export const problemWords = (text) => text.replace(/^([a-z_]+(?:\.[a-z_]+)?)(\.[^:]+)?: /, (_all, path, rest) => `${labelOf(path)}${rest || ""}: `);

/** The fields of such problems that can be stored as they were understood. */
export const troubledPaths = (problems) => [...new Set(problems.map((text) => (/^([a-z_]+(?:\.[a-z_]+)?): /.exec(text) || [])[1]))]
  .filter((path) => FIELD[path] && !["secret", "mapping"].includes(FIELD[path].kind));

const SECTION_WORDS = { notifications: "", incoming_call_actions: "входящие", outgoing_call_actions: "исходящие" };
export function labelOf(path) {
  const field = FIELD[path], section = path.split(".")[0];
  if (!field) return path;
  return SECTION_WORDS[section] ? `${field.label} (${SECTION_WORDS[section]})` : field.label;
}

function flat(ms) {
  const found = {};
  for (const [key, value] of Object.entries(ms || {})) {
    if (key in SECTION_WORDS && value && typeof value === "object") for (const [name, item] of Object.entries(value)) found[`${key}.${name}`] = item;
    else found[key] = value;
  }
  return found;
}
