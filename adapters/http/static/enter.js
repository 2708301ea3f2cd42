// The way in by a link for one enterprise. Its secret is behind the #, which browsers never send; it is taken out of the
// address and the history at once.
import { html, render, useState, useEffect, api } from "./lib.js";

const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

function Enter() {
  const [wrong, setWrong] = useState(secret ? "" : "В адресе нет ключа. Откройте ссылку целиком, как её прислали.");
  useEffect(() => {
    if (secret) api("/ms-admin/api/enter", { method: "POST", body: { secret }, relogin: false }).then(
      (me) => location.replace(`/ms-admin/?enterprise_number=${encodeURIComponent(me.enterprise)}`), (error) => setWrong(error.words));
  }, []);
  return html`<main class="gate"><div class="panel"><div class="panel-body">
    <h1 class="brand"><img src="/ms.png" alt="" width="28" height="28" />Звонки и МойСклад</h1>
    ${wrong ? html`<p class="note bad" role="alert">${wrong}</p><a href="/ms-admin/login">Вход для оператора</a>` : html`<p role="status">Входим…</p>`}
  </div></div></main>`;
}

render(html`<${Enter} />`, document.getElementById("app"));
