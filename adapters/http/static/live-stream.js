// The board's stream: a snapshot, then changes; comes back by itself, and says when it is not there.
import { useState, useEffect, api } from "./lib.js";

const RETRY_MS = 2_000;
const SILENCE_MS = 25_000; // the service says something every ten seconds

const keyOf = (call) => JSON.stringify([call.enterprise, call.call]);

/** `{calls, health, more, away, error, linked, heardMs, skewMs, ready}` of one enterprise ("" for all). `calls` is an array that changes only when a call does. */
export function useBoard(enterprise) {
  const [seen, setSeen] = useState({ calls: [], health: null, more: false, away: "", error: null, linked: false, heardMs: null, skewMs: 0, ready: false });
  useEffect(() => {
    const calls = new Map();
    let source = null, later = null, quiet = null, over = false;
    const put = (change) => { if (!over) setSeen((before) => ({ ...before, ...change })); };
    const listen = () => { clearTimeout(quiet); quiet = setTimeout(lost, SILENCE_MS); };
    const heard = (data) => {
      listen();
      return { linked: true, heardMs: Date.now(), ...(data.now_ms ? { skewMs: data.now_ms - Date.now() } : {}) };
    };
    const on = (kind, take) => source.addEventListener(kind, (event) => { const data = JSON.parse(event.data); put({ ...heard(data), ...take(data) }); });
    function lost() {
      clearTimeout(quiet);
      clearTimeout(later);
      if (source) source.close();
      source = null;
      put({ linked: false });
      if (!over) later = setTimeout(connect, RETRY_MS);
    }
    function connect() {
      if (document.hidden) return; // again when somebody looks
      source = new EventSource(`/ms-admin/api/board/stream?enterprise=${encodeURIComponent(enterprise)}`);
      const own = source;
      listen(); // who takes the connection and says nothing is not there either
      source.onerror = () => {
        if (own !== source) return;
        // asks to log in again where that is the reason, and says any other
        if (own.readyState === EventSource.CLOSED) api(`/ms-admin/api/board?enterprise=${encodeURIComponent(enterprise)}`).catch((error) => put({ error }));
        lost();
      };
      on("snapshot", (data) => {
        calls.clear();
        for (const each of data.calls) calls.set(keyOf(each), each);
        return { calls: [...calls.values()], health: data.health, more: data.more, away: data.away, error: null, ready: true };
      });
      on("calls", (data) => {
        for (const each of data.changed) calls.set(keyOf(each), each);
        for (const [number, call] of data.gone) calls.delete(JSON.stringify([number, call]));
        return { calls: [...calls.values()], more: data.more, away: "" };
      });
      on("health", (health) => ({ health })); // while a backlog moves nothing else may come for minutes: it is a sign of life, too
      on("away", (data) => ({ away: data.reason }));
      on("beat", () => ({}));
    }
    // a browser has six connections to a host, for all its tabs: six boards that nobody looks at would keep every other page waiting
    const look = () => {
      if (document.hidden) lost();
      else if (!source) { clearTimeout(later); connect(); }
    };
    document.addEventListener("visibilitychange", look);
    connect();
    return () => {
      over = true;
      clearTimeout(later);
      clearTimeout(quiet);
      document.removeEventListener("visibilitychange", look);
      if (source) source.close();
    };
  }, [enterprise]);
  return seen;
}
