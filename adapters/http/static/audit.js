import { html } from "./lib.js"; import { mount } from "./shell.js";
mount({ section: "settings" }, () => html`<p class="muted">…</p>`);
