// The way in, with the operator's password.
import { html, render, useState, useEffect, api, param } from "./lib.js";

/** Only a path of this service: a link must not lead anywhere else after the password. */
function next() {
  const asked = param("next");
  return /^\/(ms-admin|ms|docs)(\/|\?|$)/.test(asked) && !asked.startsWith("/ms-admin/login") ? asked : "/ms-admin/";
}

function LogIn() {
  const [wrong, setWrong] = useState(""), [busy, setBusy] = useState(false), [seen, setSeen] = useState(false);
  useEffect(() => {
    // somebody who has logged in in another tab meanwhile need not do so here
    const look = () => { if (!document.hidden) api("/ms-admin/api/me", { relogin: false }).then(() => location.replace(next()), () => {}); };
    document.addEventListener("visibilitychange", look);
    look();
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  const send = async (event) => {
    event.preventDefault();
    const input = event.target.elements.password;
    setBusy(true);
    setWrong("");
    try {
      await api("/ms-admin/api/login", { method: "POST", body: { password: input.value }, relogin: false });
      location.replace(next());
    } catch (error) {
      setWrong(error.words);
      setBusy(false);
      input.focus();
      input.select();
    }
  };
  return html`<main class="gate"><form class="panel" onSubmit=${send}><div class="panel-body">
    <h1 class="brand"><img src="/ms.png" alt="" width="28" height="28" />Звонки и МойСклад</h1>
    <input class="sr" type="text" name="username" value="operator" autocomplete="username" readonly tabindex="-1" aria-hidden="true" />
    <div class="field"><label for="password">Пароль оператора</label>
      <input id="password" name="password" type=${seen ? "text" : "password"} autocomplete="current-password" required autofocus aria-invalid=${Boolean(wrong)} aria-describedby="wrong" /></div>
    <label class="check"><input type="checkbox" checked=${seen} onChange=${(event) => setSeen(event.target.checked)} /> Показать пароль</label>
    <p id="wrong" class="error-text" role="alert">${wrong}</p>
    <button class="btn primary" disabled=${busy}>${busy ? "Проверяем…" : "Войти"}</button>
    <p class="small muted">Вы администратор предприятия? Откройте ссылку, которую прислал поставщик телефонии.</p>
  </div></form></main>`;
}

render(html`<${LogIn} />`, document.getElementById("app"));
