// «Настройки»: the list of enterprises, or one enterprise's settings and their history.
import { html } from "./lib.js";
import { mount } from "./shell.js";
import { Chooser } from "./settings-chooser.js";
import { Editor } from "./settings-editor.js";

mount({ section: "settings" }, ({ me, enterprise }) => (enterprise
  ? html`<${Editor} key=${enterprise} me=${me} number=${enterprise} />`
  : html`<${Chooser} me=${me} />`));
