"use strict";
// The page is a picture of /sandbox/stream: a snapshot, then changes. All text goes in as text, never as markup.

const MAX_CALLS = 100;
const RETRY_MS = 1500;

const byId = (id) => document.getElementById(id);
const calls = new Map();
const screens = new Map();
let order = [];
let clockSkewMs = 0;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

const screenKey = (account, extension) => account + "\n" + extension;

function chosenAccount() {
  return byId("account").value || null;
}

function duration(ms) {
  const total = Math.max(0, Math.floor(ms / 1000));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = String(total % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

// 2026-07-16 12:00:05.000 -> 16.07.2026 12:00:05
function moment(text) {
  const [date, time] = text.split(" ");
  return date.split("-").reverse().join(".") + " " + time.slice(0, 8);
}

function plural(count, one, few, many) {
  const tens = count % 100;
  const ones = count % 10;
  if (tens >= 11 && tens <= 14) return many;
  if (ones === 1) return one;
  return ones >= 2 && ones <= 4 ? few : many;
}

// -- screens ----------------------------------------------------------------------------------------------

function cardView(card) {
  const box = element("article", card.timer_started ? "card talking" : "card");
  const kind = element("div", "kind");
  const ringing = card.is_incoming ? "Входящий звонок" : "Исходящий звонок";
  kind.append(element("span", "", card.timer_started ? "Разговор" : ringing));
  const timer = element("span", "timer");
  if (card.timer_started_ms !== null) timer.dataset.since = card.timer_started_ms;
  kind.append(timer);
  const name = element("div", card.contact_name ? "name" : "name unknown", card.contact_name || "Контакт не найден");
  box.append(kind, name, element("div", "number", card.number));
  return box;
}

function drawScreen(screen) {
  const box = element("section", screen.cards.length ? "screen busy" : "screen");
  const head = element("header");
  const who = screen.employee ? screen.employee.name : "нет сотрудника";
  const name = element("span", "who", who);
  name.title = who;
  head.append(element("span", "ext", screen.extension), name);
  if (screen.employee) {
    const button = element("button", "dial", "☎");
    button.type = "button";
    button.title = button.ariaLabel = `Позвонить клиенту с номера ${screen.extension}`;
    button.addEventListener("click", () => openClick({ account: screen.account, from: screen.extension }));
    head.append(button);
  }
  const list = element("div", "cards");
  if (screen.cards.length) list.append(...screen.cards.map(cardView));
  else list.append(element("p", "idle", screen.active === false ? "учётная запись неактивна" : "карточек нет"));
  box.append(head, list);
  return box;
}

const drawn = new Map(); // what stands as it stood keeps its place, and the focus in it

function screenNode(screen) {
  const key = screenKey(screen.account, screen.extension), said = JSON.stringify(screen), known = drawn.get(key);
  if (known && known.said === said) return known.node;
  const node = drawScreen(screen);
  drawn.set(key, { said, node });
  return node;
}

function put(list, nodes) {
  if (nodes.length !== list.children.length || nodes.some((node, index) => node !== list.children[index])) list.replaceChildren(...nodes);
}

function drawScreens() {
  const shown = [...screens.values()]
    .filter((screen) => chosenAccount() === null || screen.account === chosenAccount())
    .filter((screen) => screen.employee || screen.cards.length)
    .sort((a, b) => a.account.localeCompare(b.account)
      || a.extension.length - b.extension.length || a.extension.localeCompare(b.extension));
  put(byId("screens"), shown.map(screenNode));
  const cards = shown.reduce((sum, screen) => sum + screen.cards.length, 0);
  byId("cards-count").textContent = cards
    ? `${plural(cards, "открыта", "открыто", "открыто")} ${cards} ${plural(cards, "карточка", "карточки", "карточек")}`
    : "открытых карточек нет";
  tick();
}

function changeCard(kind, message) {
  const key = screenKey(message.account, message.extension);
  const fresh = { account: message.account, extension: message.extension, employee: message.employee, active: null, cards: [] };
  const screen = screens.get(key) || fresh;
  screen.cards = screen.cards.filter((card) => card.call_id !== message.card.call_id);
  if (kind !== "card_hidden") screen.cards.push(message.card);
  screens.set(key, screen);
  drawScreens();
}

function tick() {
  const now = Date.now() + clockSkewMs;
  for (const timer of document.querySelectorAll(".timer[data-since]")) {
    timer.textContent = duration(now - Number(timer.dataset.since));
  }
}

// -- calls ------------------------------------------------------------------------------------------------

function recordCell(urls) {
  const cell = element("td");
  if (!urls.length) cell.append(element("span", "faint", "—"));
  urls.forEach((url, index) => {
    // the sandbox only takes http and https; checked again here because this becomes a link
    if (!/^https?:\/\//.test(url)) return;
    const link = element("a", "", urls.length > 1 ? `Прослушать ${index + 1}` : "Прослушать");
    link.href = url;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    if (index) cell.append(element("br"));
    cell.append(link);
  });
  return cell;
}

function textCell(text, className) {
  const cell = element("td", className);
  if (text) cell.textContent = text;
  else cell.append(element("span", "faint", "—"));
  return cell;
}

function lengthCell(call) {
  const cell = element("td", "num right");
  if (call.effective_duration_ms !== null) cell.textContent = duration(call.effective_duration_ms);
  else cell.append(element("span", "tag live", "идёт"));
  return cell;
}

function callRow(call, fresh) {
  const row = element("tr", fresh ? "fresh" : "");
  const direction = element("td");
  direction.append(element("span", call.is_incoming ? "tag in" : "tag out", call.is_incoming ? "Входящий" : "Исходящий"));
  const employee = call.employee ? `${call.employee.name}${call.extension ? `, ${call.extension}` : ""}` : call.extension;
  const number = element("td", "num");
  if (/\d{3}/.test(call.number)) {
    const dial = element("button", "number-dial", call.number);
    dial.type = "button";
    dial.title = "Позвонить на этот номер";
    dial.addEventListener("click", () => openClick({ account: call.account, to: call.number, from: call.extension }));
    number.append(dial);
  } else number.textContent = "номер скрыт";
  row.append(
    textCell(moment(call.start_time), "num"),
    number,
    textCell(call.counterparty ? call.counterparty.name : "", "contact"),
    direction,
    textCell(employee, "person"),
    lengthCell(call),
    textCell(call.comment, "comment"),
    recordCell(call.record_urls),
  );
  return row;
}

function drawCalls(freshId) {
  const shown = order.map((id) => calls.get(id))
    .filter((call) => chosenAccount() === null || call.account === chosenAccount());
  byId("calls").replaceChildren(...shown.map((call) => callRow(call, call.id === freshId)));
  byId("no-calls").hidden = shown.length > 0;
  byId("calls-count").textContent = shown.length ? `последние ${shown.length}` : "";
}

function changeCall(call) {
  const known = calls.has(call.id);
  calls.set(call.id, call);
  if (!known) {
    order.unshift(call.id);
    for (const old of order.splice(MAX_CALLS)) calls.delete(old);
  }
  drawCalls(call.id);
}

// -- the stream -------------------------------------------------------------------------------------------

function drawAccounts(names) {
  const select = byId("account");
  const before = select.value;
  select.replaceChildren(...["", ...names].map((name) => {
    const option = element("option", "", name || "все");
    option.value = name;
    return option;
  }));
  select.value = names.includes(before) ? before : "";
  select.parentElement.hidden = names.length < 2;
}

function takeSnapshot(snapshot) {
  clockSkewMs = snapshot.now_ms - Date.now();
  calls.clear();
  screens.clear();
  order = snapshot.calls.map((call) => call.id);
  for (const call of snapshot.calls) calls.set(call.id, call);
  for (const screen of snapshot.screens) screens.set(screenKey(screen.account, screen.extension), screen);
  drawAccounts([...new Set(snapshot.screens.map((screen) => screen.account))].sort());
  drawScreens();
  drawCalls(null);
}

function showLink(live) {
  const link = byId("link");
  link.className = live ? "link live" : "link waiting";
  link.textContent = live ? "на связи" : "нет связи, повтор…";
}

function connect() {
  const source = new EventSource("/sandbox/stream");
  source.onopen = () => showLink(true);
  source.onerror = () => {
    showLink(false);
    source.close();
    setTimeout(connect, RETRY_MS);
  };
  source.addEventListener("snapshot", (event) => takeSnapshot(JSON.parse(event.data)));
  for (const kind of ["card_shown", "card_timer", "card_hidden"]) {
    source.addEventListener(kind, (event) => changeCard(kind, JSON.parse(event.data)));
  }
  for (const kind of ["call_created", "call_updated"]) {
    source.addEventListener(kind, (event) => changeCall(JSON.parse(event.data).call));
  }
  source.addEventListener("reset", () => {
    source.close();
    connect();
  });
}

byId("account").addEventListener("change", () => {
  drawScreens();
  drawCalls(null);
});
setInterval(tick, 500);
connect();
