"use strict";
// Click-to-call as MoySklad would send it: who, to whom, to which provider's address, signed in which way; and what came back.

const REMEMBERED = "provider";

function openClick({ account, from = "", to = "" } = {}) {
  const people = [...screens.values()].filter((screen) => screen.employee && (!account || screen.account === account));
  byId("click-from").replaceChildren(...people.map((screen) => {
    const option = element("option", "", `${screen.extension} ${screen.employee.name}`);
    option.value = JSON.stringify([screen.account, screen.extension]);
    option.selected = screen.extension === from;
    return option;
  }));
  if (to) byId("click-to").value = to;
  byId("click-url").value ||= new URLSearchParams(location.search).get("provider") || localStorage.getItem(REMEMBERED) || "";
  byId("click-answer").hidden = true;
  byId("click").showModal();
  (byId("click-to").value ? byId("click-url").value ? byId("click-form").querySelector("[type=submit]") : byId("click-url") : byId("click-to")).focus();
}

function showAnswer(kind, words, body) {
  const box = byId("click-answer");
  box.className = `answer ${kind}`;
  box.replaceChildren(element("b", "", words), ...(body ? [element("pre", "", body)] : []));
  box.hidden = false;
}

async function sendClick(event) {
  event.preventDefault();
  const submit = byId("click-form").querySelector("[type=submit]");
  const [account, extension] = JSON.parse(byId("click-from").value);
  localStorage.setItem(REMEMBERED, byId("click-url").value);
  submit.disabled = true;
  showAnswer("", "Отправляем…");
  try {
    const sent = await fetch("/sandbox/click", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        account, srcNumber: extension, destNumber: byId("click-to").value.trim(), url: byId("click-url").value.trim(),
        variant: byId("click-variant").value, form: byId("click-as-form").checked,
      }),
    });
    const told = await sent.json();
    if (!sent.ok) showAnswer("bad", `Не отправлено: ${told.hint || told.error}`);
    else if (told.error) showAnswer("bad", `Провайдер не ответил (${told.error}) за ${told.elapsed_ms} мс`);
    else showAnswer(told.status === 200 ? "good" : "bad", `Ответ провайдера: ${told.status} за ${told.elapsed_ms} мс`, told.body);
  } catch {
    showAnswer("bad", "Песочница не отвечает.");
  }
  submit.disabled = false;
}

byId("call").addEventListener("click", () => openClick({ account: chosenAccount() }));
byId("click-close").addEventListener("click", () => byId("click").close());
byId("click-form").addEventListener("submit", sendClick);
