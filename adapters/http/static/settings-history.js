// What changed, by whom and when; and the way back: an earlier revision as a new one.
import { html, useState, useData, api, toast, sayError, dateTime, Busy, Failed, Dialog, Tag } from "./lib.js";
import { differences, FIELD } from "./settings-fields.js";
import { Diff } from "./settings-parts.js";

function reasonOf(each) {
  const restored = /^restored revision (\d+)$/.exec(each.reason);
  if (restored) return `возвращена редакция ${restored[1]}`;
  if (each.reason === "deleted") return "настройки удалены";
  if (each.by === "outside") return "изменено в базе, мимо этой страницы";
  return "";
}

const withoutSecrets = (ms) => Object.fromEntries(Object.entries(ms || {}).filter(([name]) => !FIELD[name] || FIELD[name].kind !== "secret"));

export function History({ where, told, dirty, onRestored }) {
  const { data, error, reload } = useData(`${where}/history`);
  const [wanted, setWanted] = useState(null), [busy, setBusy] = useState(false);
  if (error && error.status !== 404) return html`<${Failed} error=${error} retry=${reload} />`;
  if (!data && !error) return html`<${Busy} />`;
  const all = data ? data.history : [];
  const restore = async () => {
    setBusy(true);
    try {
      const fresh = await api(`${where}/restore`, { method: "POST", body: { restore: wanted.revision, revision: told.revision } });
      toast(`Возвращено: редакция ${wanted.revision} действует как редакция ${fresh.revision}.`, "good");
      onRestored(fresh);
    } catch (failure) {
      sayError(failure);
      setWanted(null);
      reload();
    } finally {
      setBusy(false);
    }
  };
  if (!all.length) return html`<section class="panel"><p class="empty">Изменений ещё не было.</p></section>`;
  return html`<div class="stack past">${all.map((each, index) => {
    const before = all[index + 1], lines = before ? differences(before.ms, each.ms) : differences({}, each.ms);
    return html`<section class="panel" key=${each.revision}>
      <div class="panel-head"><h2>Редакция ${each.revision}</h2>${each.revision === told.revision && html`<${Tag} kind="good">действует<//>`}
        ${reasonOf(each) && html`<${Tag} kind="info">${reasonOf(each)}<//>`}
        ${each.revision !== told.revision && html`<button type="button" class="btn small" onClick=${() => setWanted(each)}>Вернуть…</button>`}</div>
      <div class="panel-body"><p class="muted">${each.by === "outside" ? "Кто — неизвестно" : each.by}, <time datetime=${each.at}>${dateTime(each.at)}</time></p>
        ${!before && each.revision > 1 ? html`<p class="muted small">Более ранние изменения здесь не показаны.</p>` : html`<${Diff} lines=${lines} />`}</div></section>`;
  })}
  ${wanted && html`<${Dialog} title=${`Вернуть редакцию ${wanted.revision}?`} wide onClose=${() => setWanted(null)}>
    <p>Её настройки станут новой редакцией и начнут действовать сразу. Ключ и токен останутся нынешними.</p>
    ${dirty && html`<p class="note warn">То, что вы изменили на вкладке «Настройки» и не сохранили, пропадёт.</p>`}
    <${Diff} lines=${differences(withoutSecrets(told.ms), withoutSecrets(wanted.ms))} />
    <div class="actions"><button type="button" class="btn" onClick=${() => setWanted(null)}>Не возвращать</button>
      <button type="button" class="btn primary" disabled=${busy} onClick=${restore}>Вернуть</button></div><//>`}</div>`;
}
