// «Сейчас»: the calls that go on, as they go on.
import { html, useState, useEffect, useRef, useMemo, param, withParams, counted, number, duration, shortTime, Failed } from "./lib.js";
import { mount } from "./shell.js";
import { PHASES, Way, Client, People, callLink, useNames } from "./calls-words.js";
import { useBoard } from "./live-stream.js";
import { Troubles, Link } from "./live-health.js";

const ORDER = { ringing: 0, transferring: 1, arrived: 2, on_hold: 3, talking: 4 };

// -- clocks: text that changes each second without drawing anything else again ---------------------------------------

const clocks = new Set();
setInterval(() => { for (const each of clocks) each(); }, 1000);

function Clock({ since, skew, alarm }) {
  const box = useRef(null);
  useEffect(() => {
    const tick = () => {
      const passed = Date.now() + skew - since;
      box.current.textContent = duration(passed);
      box.current.classList.toggle("late", Boolean(alarm) && passed >= alarm);
    };
    tick();
    clocks.add(tick);
    return () => clocks.delete(tick);
  }, [since, skew, alarm]);
  return html`<span class="num clock" ref=${box}></span>`;
}

// -- the table ------------------------------------------------------------------------------------------------------

const NOBODY = {}; // always the same one, or every row would be drawn again
const LATE_RING_MS = 30_000;

function Row({ call, names, skew, all }) {
  const [words, kind] = PHASES[call.phase] || [call.phase, ""];
  const rings = call.phase === "ringing" || call.phase === "transferring";
  // the same row as before is not even looked at: hundreds stand here, and a few change
  return useMemo(() => html`<tr class=${`phase-${call.phase}`}>
    <td class="state"><span class=${`tag ${kind}`}>${words}</span></td>
    <td class="right"><${Clock} since=${call.phase_ms || call.started_ms} skew=${skew} alarm=${rings && call.direction === "in" ? LATE_RING_MS : 0} /></td>
    <td class="who"><a href=${callLink(call.enterprise, call.call)}><${Way} direction=${call.direction} /> <${Client} number=${call.number} name=${call.client} /></a></td>
    <td class="with">${rings ? html`<span class="muted">${call.direction === "out" ? "звонит" : "звонит у"} </span><${People} extensions=${call.ringing} names=${names} none="никого" />`
      : html`<${People} extensions=${call.talking} names=${names} none=${call.phase === "on_hold" ? "ждёт" : "—"} />`}</td>
    <td class="cards">${call.cards.length ? html`<span class="tag accent" title="Карточка на экране">карточка: ${call.cards.join(", ")}</span>` : html`<span class="faint">нет карточки</span>`}
      ${call.parked ? html` <span class="tag bad" title=${call.parked}>нужен человек</span>` : call.failures > 0 && html` <span class="tag warn" title="Были неудачные запросы к МоемуСкладу">сбои: ${call.failures}</span>`}</td>
    ${all && html`<td class="nowrap"><a class="muted" href=${`?enterprise_number=${encodeURIComponent(call.enterprise)}`}>${call.enterprise}</a></td>`}
    <td class="num nowrap muted began">с ${shortTime(call.started_ms)}</td>
  </tr>`, [call, names, skew, all]);
}

function matches(call, typed, names) {
  if (!typed) return true;
  const digits = typed.replace(/\D/g, "");
  const people = [...call.ringing, ...call.talking, ...call.cards];
  return (digits.length >= 2 && (call.number.replace(/\D/g, "").includes(digits) || people.some((each) => each === digits)))
    || call.client.toLowerCase().includes(typed) || people.some((each) => (names[each] || "").toLowerCase().includes(typed));
}

function Live({ enterprise }) {
  const board = useBoard(enterprise);
  const names = useNames(enterprise, useMemo(() => [...new Set(board.calls.flatMap((call) => [...call.ringing, ...call.talking]))].sort(), [board.calls]));
  const [typed, setTyped] = useState(param("find")), [only, setOnly] = useState(GROUPS.some(([name]) => name === param("only")) ? param("only") : "");
  useEffect(() => { history.replaceState(null, "", withParams({ find: typed.trim(), only })); }, [typed, only]); // a link, or a reload, shows the same
  const [now, setNow] = useState(Date.now());
  useEffect(() => { const each = setInterval(() => setNow(Date.now()), 5000); return () => clearInterval(each); }, []);
  // small differences of the clocks are no reason to draw everything again
  const skew = Math.round(board.skewMs / 2000) * 2000;
  const sorted = useMemo(() => [...board.calls].sort((a, b) => (ORDER[a.phase] ?? 9) - (ORDER[b.phase] ?? 9) || a.phase_ms - b.phase_ms
    || (a.call < b.call ? -1 : 1)), [board.calls]);
  const shown = sorted.filter((call) => (!only || group(call) === only) && matches(call, typed.trim().toLowerCase(), names));
  const count = (name) => sorted.filter((call) => group(call) === name).length;
  const silent = board.ready && (!board.linked || board.away);
  return html`
    <div class="page-head"><h1>Сейчас</h1>
      <div class="row counts" role="group" aria-label="Показать">${GROUPS.map(([name, words]) => html`
        <button key=${name} type="button" class=${`btn small ${only === name ? "primary" : ""}`} aria-pressed=${only === name} onClick=${() => setOnly(only === name ? "" : name)}>
          ${words} <b class="num">${number(count(name))}</b></button>`)}</div>
      <span class="grow"></span>
      <input type="search" placeholder="Номер, клиент, сотрудник" aria-label="Найти среди текущих звонков" value=${typed} onInput=${(event) => setTyped(event.target.value)} />
      <${Link} board=${board} /></div>
    <${Troubles} health=${board.health} now=${now + skew} enterprise=${enterprise} />
    <section class=${`panel ${silent ? "silent" : ""}`} aria-label="Текущие звонки">
      ${shown.length > 0 && html`<div class="frame"><table class="live">
        <thead><tr><th scope="col">Состояние</th><th scope="col" class="right">Длится</th><th scope="col">Клиент</th><th scope="col">Сотрудники</th><th scope="col">Карточки</th>
          ${!enterprise && html`<th scope="col">Предприятие</th>`}<th scope="col">Начался</th></tr></thead>
        <tbody>${shown.map((call) => html`<${Row} key=${call.enterprise + "/" + call.call} call=${call} names=${enterprise ? names : NOBODY} skew=${skew} all=${!enterprise} />`)}</tbody></table></div>`}
      ${board.ready && !shown.length && html`<p class="empty">${sorted.length ? "Под отбор ничего не подходит." : "Сейчас никто не звонит. Звонки появятся здесь сами."}</p>`}
      ${!board.ready && (board.error ? html`<div class="panel-body"><${Failed} error=${board.error} /></div>` : html`<p class="empty">Загрузка…</p>`)}
      ${board.more && html`<p class="empty small">Показаны первые ${counted(sorted.length, "звонок", "звонка", "звонков")}${enterprise ? "" : ": выберите предприятие"}.</p>`}
    </section>`;
}

const GROUPS = [["ring", "звонят"], ["talk", "говорят"], ["hold", "ждут"]];
const group = (call) => (call.phase === "talking" ? "talk" : call.phase === "ringing" || call.phase === "transferring" ? "ring" : "hold");

mount({ section: "live" }, Live);
