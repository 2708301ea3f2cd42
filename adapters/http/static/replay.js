// One call, as it happened: the picture first, then the chosen moment, then every step.
import { html, useState, useEffect, useRef, useCallback, useData, api, date, dateTime, duration, offset, phone, time, when, toast, sayError, Busy, Failed, Tag } from "./lib.js";
import { mount } from "./shell.js";
import { outcomeOf, isInner, Way, Client, person, callsOf, canCall, callLink } from "./calls-words.js";
import { Picture, KINDS } from "./replay-picture.js";
import { Step, Moment, clock } from "./replay-step.js";
import { WhatIf } from "./replay-what-if.js";

const [, , , number, call] = location.pathname.split("/").map(decodeURIComponent);
const BASE = `/ms-admin/api/calls/${encodeURIComponent(number)}/${encodeURIComponent(call)}`;
const EVERY_MS = 3_000;
const FOLLOWED_MS = 60_000; // an order begins after two seconds, and goes behind the calls of today

const asked = () => Number((/^#step-(\d+)$/.exec(location.hash) || [])[1]) || 0;

/** Which step is chosen: by the address, by keys, by hand. While a call goes on and the last one is chosen, the last one it stays. */
function useStep(entries) {
  const [version, setVersion] = useState(asked);
  const found = entries.findIndex((entry) => entry.version === version);
  const at = found >= 0 ? found : Math.max(0, entries.length - 1);
  const place = useRef(at); // ahead of what is drawn: a key that is held down comes faster than we draw
  place.current = at;
  const choose = useCallback((index) => {
    const to = Math.max(0, Math.min(entries.length - 1, index)), entry = entries[to];
    if (!entry) return;
    const last = to === entries.length - 1;
    place.current = to;
    setVersion(entry.version);
    history.replaceState(null, "", last ? location.pathname + location.search : `#step-${entry.version}`);
  }, [entries]);
  useEffect(() => {
    const hash = () => setVersion(asked());
    addEventListener("hashchange", hash);
    return () => removeEventListener("hashchange", hash);
  }, []);
  const count = useRef(entries.length), wasLast = useRef(true);
  useEffect(() => {
    if (entries.length > count.current && wasLast.current && !asked()) setVersion(0);
    count.current = entries.length;
  }, [entries]);
  useEffect(() => { wasLast.current = at === entries.length - 1; }, [at, entries]);
  useEffect(() => {
    const keys = (event) => {
      const way = { ArrowLeft: place.current - 1, ArrowRight: place.current + 1, Home: 0, End: entries.length - 1 }[event.key];
      if (way === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "range") return;
      if (document.activeElement.closest(".json, dialog, .pop")) return;
      event.preventDefault();
      choose(way);
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, [choose]);
  return [at, choose];
}

function Replay() {
  const { data, error, reload, look } = useData(`${BASE}?lang=ru`);
  const live = Boolean(data && data.picture.live);
  const [now, setNow] = useState(Date.now()), [until, setUntil] = useState(0);
  const unsettled = Boolean(data && (live || data.phase === "ending" || now < until));
  useEffect(() => {
    if (!unsettled) return undefined;
    const each = setInterval(() => { if (!document.hidden) { look(); setNow(Date.now()); } }, EVERY_MS);
    return () => clearInterval(each);
  }, [unsettled, look]);
  const follow = useCallback(() => { setNow(Date.now()); setUntil(Date.now() + FOLLOWED_MS); }, []);
  if (!data) return error ? html`<div class="page-head"><h1>Звонок ${call}</h1></div><${Missing} error=${error} retry=${reload} />` : html`<${Busy} />`;
  return html`<${Story} story=${data} now=${live ? now : data.picture.to_ms} follow=${follow} lost=${error} />`;
}

const Missing = ({ error, retry }) => (error.status === 404
  ? html`<div class="note warn">Такого звонка нет: о нём ничего не было слышно, или адрес неполон. <a href="/ms-admin/calls">Найти звонок</a></div>`
  : html`<${Failed} error=${error} retry=${retry} />`);

function Story({ story, now, follow, lost }) {
  const [at, choose] = useStep(story.entries), [asking, setAsking] = useState(false);
  useEffect(() => {
    document.title = [story.direction === "internal" ? "внутренний" : phone(story.number), story.start_ms !== null && when(story.start_ms), story.enterprise].filter(Boolean).join(" · ") + " — звонок";
  }, [story.number, story.start_ms]);
  const count = story.entries.length, entry = story.entries[at];
  return html`
    <${Head} story=${story} follow=${follow} asking=${asking} ask=${() => setAsking(true)} />
    ${asking && html`<${WhatIf} number=${number} call=${story.call} story=${story} onClose=${() => setAsking(false)} />`}
    ${lost && html`<p class="note bad">Нет связи с сервисом: на экране то, что было известно.</p>`}
    ${count === 0 ? html`<p class="note">О звонке ещё ничего не записано.</p>` : html`
    <${Picture} story=${story} at=${at} choose=${choose} now=${now} />
    <div class="scrub row">
      <button type="button" class="btn" aria-label="Предыдущий шаг" disabled=${at === 0} onClick=${() => choose(at - 1)}>◀</button>
      <input type="range" min="0" max=${count - 1} value=${at} aria-label="Шаг" aria-valuetext=${`шаг ${at + 1}: ${entry.title}`} onInput=${(event) => choose(Number(event.target.value))} />
      <button type="button" class="btn" aria-label="Следующий шаг" disabled=${at === count - 1} onClick=${() => choose(at + 1)}>▶</button>
      <span class="num muted nowrap">${at + 1} / ${count}</span><span class="muted small keys">клавиши ← →</span></div>
    <div class="story">
      <section class="panel chosen" aria-live="polite" aria-label="Выбранный шаг"><div class="panel-body"><${Step} story=${story} at=${at} /></div></section>
      <section class="panel" aria-label="Состояние в этот момент"><div class="panel-head"><h2>В этот момент</h2></div><div class="panel-body"><${Moment} story=${story} at=${at} /></div></section>
      <${Steps} story=${story} at=${at} choose=${choose} />
    </div>`}`;
}

function Steps({ story, at, choose }) {
  const box = useRef(null);
  useEffect(() => {
    const row = box.current.querySelector("[aria-current]");
    if (!row) return;
    const top = row.offsetTop; // only the list scrolls, never the page
    if (top < box.current.scrollTop || top + row.offsetHeight > box.current.scrollTop + box.current.clientHeight) box.current.scrollTop = top - box.current.clientHeight / 2;
  }, [at]);
  let latest = 0;
  return html`<section class="panel steps" aria-label="Все шаги"><div class="panel-head"><h2>Все шаги</h2><span class="muted num">${story.entries.length}</span></div>
    <ol ref=${box}>${story.entries.map((entry, index) => {
      const overtaken = entry.at_ms < latest;
      latest = Math.max(latest, entry.at_ms);
      return html`<li key=${entry.version}><button type="button" class=${entry.kind} aria-current=${index === at ? "step" : undefined} tabindex=${index === at ? 0 : -1} onClick=${() => choose(index)}>
        <span class="num muted">${clock(entry.at_ms)}</span><span class=${`kind ${entry.kind}`} title=${KINDS[entry.kind]}></span>
        <span class="words">${entry.title}${overtaken && html` <span class="muted small">(услышано раньше, присоединено сейчас)</span>`}${entry.notes.map((note) => html`<span key=${note.about + note.text} class="note-line">${note.about}: ${note.text}</span>`)}</span></button></li>`;
    })}</ol></section>`;
}

/** Whether somebody talked, or may have, whatever was heard of it. */
const unheard = (story) => story.outcome === "answered" || story.outcome === "lost";

function Head({ story, follow, asking, ask }) {
  const [words, kind] = outcomeOf(story), [busy, setBusy] = useState(false);
  const names = story.picture.names, remote = story.moysklad;
  const copy = async () => {
    try { await navigator.clipboard.writeText(location.href); toast("Ссылка на этот момент скопирована.", "good"); } catch { toast(location.href); }
  };
  const again = async () => {
    setBusy(true);
    try {
      const told = await api(`/ms-admin/api/retry/${encodeURIComponent(number)}/${encodeURIComponent(story.call)}`, { method: "POST" });
      toast(told.calls ? "Повторяем. Через несколько секунд будет видно, чем кончилось." : "Повторять нечего.", "good");
      follow();
    } catch (failure) { sayError(failure); } finally { setBusy(false); }
  };
  return html`
    <div class="page-head replay-head"><h1 class="grow"><${Way} direction=${story.direction} /> ${isInner(story) ? "Между сотрудниками"
      : html`<${Client} number=${story.number} name=${story.picture.client} />`} <${Tag} kind=${kind}>${words}<//></h1>
      ${canCall(story.number) && html`<a class="btn small" href=${callsOf(story.enterprise, story.number)} title="Все звонки с этого номера и на него">Все звонки номера</a>`}
      ${story.entries.length > 0 && html`<button type="button" class="btn small" aria-expanded=${asking} onClick=${ask}>А если бы…</button>`}
      <button type="button" class="btn small" onClick=${copy}>Ссылка на момент</button>
      <a class="btn small" href=${`${BASE}?download=1`} download>Скачать</a>
      <a class="btn small" href=${`${BASE}?download=1&numbers=hide`} download title="Без номеров и имён: можно приложить к заявке">Скачать без номеров</a></div>
    ${story.parked && html`<div class="note bad row"><span class="grow"><b>Нужен человек:</b> ${story.parked}</span> <button type="button" class="btn small" disabled=${busy} onClick=${again}>Повторить</button></div>`}
    <dl class="summary">
      <div><dt>Когда</dt><dd class="num">${story.start_ms !== null ? dateTime(story.start_ms) : "—"}${story.end_ms !== null && html` – ${date(story.end_ms) === date(story.start_ms) ? time(story.end_ms) : dateTime(story.end_ms)} <span class="muted">(${duration(story.end_ms - story.start_ms)})</span>`}
        ${" "}<span class="muted small" title="Время этого устройства">${offset(story.start_ms ?? story.picture.from_ms)}</span></dd></div>
      <div><dt>Звонило</dt><dd>${story.rang.length ? story.rang.map((each) => person(each, names)).join(", ") : unheard(story) ? "не слышно (нет события набора)" : "ни у кого"}</dd></div>
      <div><dt>Говорили</dt><dd>${story.talked.length ? story.talked.map((each) => person(each, names)).join(", ") : unheard(story) ? "не слышно (нет событий соединений)" : story.outcome === "internal" ? "между собой, если трубку сняли" : "никто"}</dd></div>
      ${story.hung_up_by && html`<div><dt>Положил трубку</dt><dd>${story.hung_up_by === "external" ? "абонент" : story.hung_up_by === "pbx" ? "АТС" : person(story.hung_up_by, names)}${
        story.cause !== null && html` <span class="muted">(причина ${story.cause})</span>`}</dd></div>`}
      ${story.attributed_because && html`<div><dt>Чей звонок</dt><dd>${story.attributed ? person(story.attributed, names) : "ничей"} <span class="muted">— ${story.attributed_because}</span></dd></div>`}
      <div><dt>В МоёмСкладе</dt><dd>${remote.call ? html`есть${remote.contact ? ", привязан к клиенту" : ", без клиента"}${remote.comment && html`, «${remote.comment}»`}${remote.recordings.map((each, index) => html`, <${Recording} key=${each} url=${each} words=${remote.recordings.length > 1 ? `запись ${index + 1}` : "запись разговора"} />`)}` : "нет"}${
        remote.order && `, заказ ${remote.order_name || remote.order}`}${remote.task && ", задача «Перезвонить»"}${
        story.open_cards.length > 0 && html` <${Tag} kind="accent">карточки: ${story.open_cards.join(", ")}<//>`}</dd></div>
      ${story.leg_of && html`<div><dt>Часть звонка</dt><dd><a href=${callLink(story.enterprise, story.leg_of)}>${story.leg_of}</a></dd></div>`}
      ${story.legs.length > 0 && html`<div><dt>Его части на АТС</dt><dd class="legs">${story.legs.map((each) => html`<code key=${each}>${each}</code> `)}</dd></div>`}
      ${story.click && html`<div><dt>Откуда</dt><dd><a href=${`/ms-admin/clicks?enterprise_number=${encodeURIComponent(story.enterprise)}#${encodeURIComponent(story.click)}`}>нажатие на номер в МоёмСкладе</a></dd></div>`}
      <div><dt>Предприятие</dt><dd><a href=${`/ms-admin/calls?enterprise_number=${encodeURIComponent(story.enterprise)}`}>${story.enterprise}</a> <span class="muted small">звонок <code>${story.call}</code>${story.settings_revision ? `, настройки ред. ${story.settings_revision}` : ""}</span></dd></div>
    </dl>`;
}

/** The page it leads to is the PBX's: it is not told where the listener came from. */
const Recording = ({ url, words }) => (/^https?:\/\//i.test(url) ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${words}</a>` : words);

mount({ section: "calls", of: number }, Replay);
