// How clicks in MoySklad are told, on their own page and in the settings.
import { when } from "./lib.js";

export const STAGES = {
  waiting: ["принято", "info"], ordering: ["передаём АТС", "info"], ordered: ["АТС звонит", "info"], doubted: ["неизвестно, дошло ли", "warn"],
  joined: ["звонок", "good"], silent: ["звонка не было", "warn"], failed: ["не выполнено", "bad"], expired: ["опоздало", "bad"], refused: ["отказано", "bad"],
  unheard: ["ничего не слышно", ""],
};
export const WAYS = { ami: "AMI", http: "API провайдера" };

/** What is known of the signature, in one sentence. */
export function signed(seen) {
  if (!seen.last_ms) return "Подпись: нажатий ещё не было.";
  const fitted = seen.fitted ? `Подпись проверена: вариант «${seen.fitted}» (${when(seen.fitted_ms)})` : "Подпись: подходящей ещё не было";
  const last = { absent: "; последнее нажатие не подписано", wrong: "; подпись последнего нажатия не подошла" }[seen.last] || "";
  return `${fitted}${last}.`;
}
