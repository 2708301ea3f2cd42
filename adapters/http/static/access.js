// «Доступ по ссылкам»: links that give one administrator one enterprise. For the operator.
import { html, useState, useEffect, useRef, useData, api, ApiError, toast, sayError, Tag, Busy, Failed, Dialog, date, when, counted } from "./lib.js";
import { mount } from "./shell.js";

const DAYS = [[7, "неделя"], [30, "месяц"], [90, "три месяца"], [365, "год"]];

function Links({ enterprise }) {
  const { data, error, reload } = useData(enterprise ? `/ms-admin/api/links?enterprise=${encodeURIComponent(enterprise)}` : "/ms-admin/api/links");
  const [making, setMaking] = useState(false), [ending, setEnding] = useState(null);
  const end = async () => {
    try {
      await api(`/ms-admin/api/links/${encodeURIComponent(ending.enterprise)}/${ending.link}`, { method: "DELETE" });
      toast("Ссылка отозвана, все входы по ней закончены.", "good");
      reload();
    } catch (failure) {
      sayError(failure);
    }
    setEnding(null);
  };
  const links = data ? data.links : [];
  return html`
    <div class="page-head"><h1 class="grow">Доступ по ссылкам</h1>
      <button type="button" class="btn primary" onClick=${() => setMaking(true)}>Новая ссылка</button></div>
    <p class="muted">Ссылка открывает администратору его предприятие и больше ничего: настройки, звонки, проверки. Её можно отозвать в любой момент.</p>
    <section class="panel">
      ${error && html`<div class="panel-body"><${Failed} error=${error} retry=${reload} /></div>`}
      ${!data && !error && html`<div class="panel-body"><${Busy} /></div>`}
      ${data && !links.length && html`<p class="empty">${enterprise ? `У предприятия ${enterprise} ссылок нет.` : "Ссылок пока нет."}</p>`}
      ${links.length > 0 && html`<div class="frame"><table class="rows"><thead><tr><th scope="col">Кому</th><th scope="col">Предприятие</th><th scope="col">Состояние</th><th scope="col">Создана</th>
        <th scope="col">Последний вход</th><th scope="col"><span class="sr">Действия</span></th></tr></thead><tbody>${links.map((each) => html`<tr key=${each.link}>
          <td>${each.name} <span class="faint small">№ ${each.link}</span></td><td class="num"><span class="only-phone">Предприятие </span><a href=${`/ms-admin/?enterprise_number=${encodeURIComponent(each.enterprise)}`}>${each.enterprise}</a></td>
          <td>${each.alive ? html`<${Tag} kind="good">до ${date(each.expires_at)}<//>` : each.revoked_at ? html`<${Tag}>отозвана ${date(each.revoked_at)}<//>` : html`<${Tag}>истекла ${date(each.expires_at)}<//>`}
            ${each.sessions > 0 && html` <span class="small muted">${counted(each.sessions, "вход", "входа", "входов")}</span>`}</td>
          <td class="num"><span class="only-phone">Создана </span>${date(each.made_at)}</td><td class="num"><span class="only-phone">Последний вход: </span>${each.used_at ? when(each.used_at) : html`<span class="faint">ещё не было</span>`}</td>
          <td class="right">${each.alive && html`<button type="button" class="btn small danger" onClick=${() => setEnding(each)}>Отозвать</button>`}</td></tr>`)}</tbody></table></div>`}
    </section>
    ${making && html`<${Make} enterprise=${enterprise} onClose=${() => { setMaking(false); reload(); }} />`}
    ${ending && html`<${Dialog} title="Отозвать ссылку?" onClose=${() => setEnding(null)}>
      <p>${ending.name}, предприятие ${ending.enterprise}: войти по ней больше не получится, и те, кто вошёл, выйдут сразу.</p>
      <div class="actions"><button type="button" class="btn" onClick=${() => setEnding(null)}>Оставить</button><button type="button" class="btn danger" onClick=${end}>Отозвать</button></div><//>`}`;
}

function Make({ enterprise, onClose }) {
  const [wrong, setWrong] = useState({}), [busy, setBusy] = useState(false), [made, setMade] = useState(null), [copied, setCopied] = useState(false), box = useRef(null);
  const make = async (event) => {
    event.preventDefault();
    const { number, name, days } = event.target.elements;
    setWrong({});
    setBusy(true);
    try {
      setMade(await api(`/ms-admin/api/links/${encodeURIComponent(number.value.trim())}`, { method: "POST", body: { name: name.value.trim(), days: Number(days.value) } }));
    } catch (error) {
      if (error instanceof ApiError) setWrong({ [error.field || "name"]: error.words });
      else sayError(error);
    } finally {
      setBusy(false);
    }
  };
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(made.url);
    } catch {
      box.current.select();
      document.execCommand("copy");
    }
    setCopied(true);
  };
  useEffect(() => { if (made) box.current.select(); }, [made]);
  if (made) {
    return html`<${Dialog} title="Ссылка готова" onClose=${onClose}><p>Скопируйте её сейчас: второй раз её показать нельзя. Отправьте только тому, для кого она сделана.</p>
      <div class="field"><label for="made">Ссылка для входа</label><input id="made" ref=${box} class="mono" readonly value=${made.url} /></div>
      <div class="actions"><button type="button" class="btn" onClick=${onClose}>Закрыть</button><button type="button" class="btn primary" onClick=${copy}><span aria-live="polite">${copied ? "Скопировано" : "Копировать"}</span></button></div><//>`;
  }
  return html`<${Dialog} title="Новая ссылка" onClose=${onClose}><form class="stack" onSubmit=${make}>
    <div class="field"><label for="number">Номер предприятия</label><input id="number" name="number" required value=${enterprise} aria-invalid=${wrong.enterprise_number ? "true" : undefined} />
      ${wrong.enterprise_number && html`<span class="error" role="alert">${wrong.enterprise_number}</span>`}</div>
    <div class="field"><label for="name">Кому</label><input id="name" name="name" required maxlength="80" placeholder="Иванова Мария, «Ромашка»" aria-invalid=${wrong.name ? "true" : undefined} />
      ${wrong.name && html`<span class="error" role="alert">${wrong.name}</span>`}<span class="hint">Так этот человек будет записан в журнале и в истории изменений.</span></div>
    <div class="field"><label for="days">Срок</label><select id="days" name="days">${DAYS.map(([days, words]) => html`<option key=${days} value=${days} selected=${days === 90}>${words}</option>`)}</select></div>
    <div class="actions"><button type="button" class="btn" onClick=${onClose}>Отмена</button><button class="btn primary" disabled=${busy}>Создать</button></div></form><//>`;
}

mount({ section: "access" }, ({ me, enterprise }) => (me.enterprise ? html`<p class="note warn">Эта страница — для оператора.</p>` : html`<${Links} key=${enterprise} enterprise=${enterprise} />`));
