// «Нажатия»: numbers clicked in MoySklad, what became of each, and how MoySklad signs them.
import { html, useState, useEffect, useData, useWhileSeen, api, param, withParams, ago, when, time, Busy, Failed, Tag } from "./lib.js";
import { mount } from "./shell.js";
import { Client, ChooseOne, person } from "./calls-words.js";
import { STAGES, WAYS, signed } from "./clicks-words.js";
import { NOTHING, renewed, continued } from "./clicks-list.js";

const EVERY_MS = 5_000;
function Clicks({ enterprise }) {
  const [bad, setBad] = useState(param("bad") === "1");
  const pick = (event) => {
    const on = event.target.checked;
    setBad(on);
    history.replaceState(null, "", withParams({ bad: on ? "1" : "" }));
  };
  if (!enterprise) return html`<div class="page-head"><h1>Нажатия в МоёмСкладе</h1></div><${ChooseOne} what="Нажатия" />`;
  return html`
    <div class="page-head"><h1 class="grow">Нажатия в МоёмСкладе</h1>
      <label class="check"><input type="checkbox" checked=${bad} onChange=${pick} /> только неудачные</label></div>
    <${List} key=${`${enterprise} ${bad}`} enterprise=${enterprise} bad=${bad} />`;
}

function List({ enterprise, bad }) {
  const base = `/ms-admin/api/clicks/${encodeURIComponent(enterprise)}?lang=ru${bad ? "&bad=1" : ""}`;
  const { data, error, reload, look } = useData(base);
  const [list, setList] = useState(NOTHING);
  const [now, setNow] = useState(Date.now()), [loading, setLoading] = useState(false), [lost, setLost] = useState(null);
  useWhileSeen(EVERY_MS, () => { look(); setNow(Date.now()); });
  useEffect(() => { if (data) setList((was) => renewed(was, data)); }, [data]);
  const more = async () => {
    const { next } = list;
    setLoading(true);
    setLost(null);
    setList((was) => ({ ...was, growing: true }));
    try {
      const told = await api(`${base}&${next}`);
      setList((was) => continued(was, next, told));
    } catch (failure) { setLost(failure); } finally { setLoading(false); }
  };
  return html`
    ${error && html`<${Failed} error=${error} retry=${reload} />`}
    ${data && html`<p class="muted">${signed(data.signature)}</p>`}
    <section class="panel" aria-label="Нажатия">
      ${!data && !error && html`<p class="empty"><${Busy} /></p>`}
      ${data && list.clicks.map((each) => html`<${Click} key=${each.click} enterprise=${enterprise} click=${each} names=${data.names} now=${now} />`)}
      ${data && !data.clicks.length && html`<p class="empty">${bad ? html`<${Tag} kind="good">Неудачных нет<//>` : "На номера в МоёмСкладе ещё никто не нажимал."}</p>`}
      ${lost && html`<${Failed} error=${lost} retry=${more} />`}
      ${list.next && html`<div class="more"><button class="btn" type="button" disabled=${loading} onClick=${more}>${loading ? "Ищем…" : "Показать ещё"}</button></div>`}
    </section>`;
}

function Click({ enterprise, click, names, now }) {
  const [open, setOpen] = useState(location.hash === `#${click.click}`);
  const [words, kind] = STAGES[click.stage] || [click.stage, ""];
  return html`<details class="click" id=${click.click} open=${open} onToggle=${(event) => setOpen(event.target.open)}>
    <summary><span class="when nowrap"><b>${ago(click.at_ms, now)}</b> <span class="muted small">${when(click.at_ms)}</span></span>
      <span class="who">${click.extension ? person(click.extension, names) : "?"} <span aria-hidden="true">→</span><span class="sr"> звонит </span> <${Client} number=${click.number || "?"} name="" /></span>
      <span class="what"><${Tag} kind=${kind}>${words}<//>${click.repeats > 0 && html` <span class="muted small">доставлено раз: ${click.repeats + 1}</span>`}
        ${click.error && click.stage !== "joined" && html` <span>${click.error}${click.remedy && html`: <span class="muted">${click.remedy}</span>`}</span>`}</span>
      ${click.link && html`<a class="nowrap" href=${click.link}>к звонку</a>`}</summary>
    ${open && html`<${Steps} enterprise=${enterprise} click=${click} />`}</details>`;
}

function Steps({ enterprise, click }) {
  const { data, error, reload } = useData(`/ms-admin/api/clicks/${encodeURIComponent(enterprise)}/${encodeURIComponent(click.click)}?lang=ru`);
  useEffect(() => { reload(); }, [click.stage, click.repeats]);
  if (!data) return error ? html`<${Failed} error=${error} retry=${reload} />` : html`<${Busy} />`;
  return html`<ol class="click-steps">${data.steps.map((step, index) => html`<li key=${index} class=${step.bad ? "bad" : ""}>
      <span class="num muted">${time(step.at_ms)}</span> <span>${step.title}${step.why && html`<span class="muted"> — ${step.why}</span>`}</span></li>`)}</ol>
    <p class="small muted">${click.uid && html`Логин в МоёмСкладе: ${click.uid}. `}${click.way && html`Способ: ${WAYS[click.way] || click.way}. `}Имя: <code>click-${click.click}</code></p>`;
}

mount({ section: "calls" }, Clicks);
