// The HTTP API as a page, drawn from /openapi.json. Open to everybody, so it asks nothing else.
import { html, render, useState, useEffect, Busy, Failed, ApiError } from "./lib.js";

const TAGS = {
  dispatcher: "Events of calls", service: "The service", settings: "Settings of an enterprise", checks: "Checks", calls: "Calls", board: "The live board", parked: "Parked calls",
  access: "Access", pages: "Pages and their files",
};
const WHO = (operation) => {
  if (!operation.security.length) return "anybody";
  return operation.security.some((each) => "inside" in each) ? "near callers, or MS_INTERNAL_TOKEN" : "MS_ADMIN_TOKEN, or a session";
};

const plain = (text) => (text || "").replace(/`+/g, "");

/** A schema in one line: `object`, `string?`, `list of Name`. */
function typeOf(schema) {
  if (!schema || !Object.keys(schema).length) return "anything";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) {
    const kinds = schema.anyOf.filter((each) => each.type !== "null").map(typeOf);
    return kinds.join(" or ") + (kinds.length < schema.anyOf.length ? "?" : "");
  }
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.type === "array") return schema.prefixItems ? `[${schema.prefixItems.map(typeOf).join(", ")}]` : `list of ${typeOf(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties && typeof schema.additionalProperties === "object") return `object of ${typeOf(schema.additionalProperties)}`;
  return schema.type || "anything";
}

function namesIn(schema, found = new Set()) {
  if (schema && typeof schema === "object") {
    if (schema.$ref) found.add(schema.$ref.split("/").pop());
    else Object.values(schema).forEach((each) => namesIn(each, found));
  }
  return found;
}

function Fields({ name, schemas, seen = [] }) {
  const schema = schemas[name];
  if (!schema || !schema.properties) return null;
  const required = schema.required || [];
  const inner = [...namesIn(schema.properties)].filter((each) => !seen.includes(each) && schemas[each] && schemas[each].properties);
  return html`<div class="shape"><p><b class="mono">${name}</b> <span class="muted">${schema.description || ""}</span></p>
    <table><tbody>${Object.entries(schema.properties).map(([field, each]) => html`<tr key=${field}><td class="mono">${field}${required.includes(field) ? html`<span class="must" title="required">*</span>` : ""}</td>
      <td class="mono small">${typeOf(each)}</td><td class="small muted">${each.description || ""}</td></tr>`)}</tbody></table>
    ${inner.map((each) => html`<details key=${each}><summary>${each}</summary><${Fields} name=${each} schemas=${schemas} seen=${[...seen, name]} /></details>`)}</div>`;
}

function Content({ content, schemas }) {
  return Object.entries(content || {}).slice(0, 6).map(([media, { schema }]) => {
    const names = [...namesIn(schema)];
    return html`<div key=${media}><p class="small"><span class="mono">${media}</span> <span class="muted">${typeOf(schema)}</span></p>${names.map((name) => html`<${Fields} key=${name} name=${name} schemas=${schemas} />`)}</div>`;
  });
}

function Operation({ path, method, operation, schemas }) {
  const [open, setOpen] = useState(location.hash === `#${encodeURIComponent(operation.operationId)}`);
  return html`<details class="operation" id=${encodeURIComponent(operation.operationId)} open=${open} onToggle=${(event) => setOpen(event.target.open)}>
    <summary><span class=${`verb ${method}`}>${method.toUpperCase()}</span><span class="mono path">${path}</span><span class="muted what">${plain(operation.summary)}</span></summary>
    ${open && html`<div class="inside">
      <p class="small">For: ${WHO(operation)}</p>
      ${operation.parameters && html`<h3>Parameters</h3><table><tbody>${operation.parameters.map((each) => html`<tr key=${each.in + each.name}>
        <td class="mono">${each.name}${each.required ? html`<span class="must">*</span>` : ""}</td><td class="small muted">${each.in}</td><td class="mono small">${typeOf(each.schema)}</td>
        <td class="small muted">${each.description || each.schema.description || ""}</td></tr>`)}</tbody></table>`}
      ${operation.requestBody && html`<h3>Body</h3><${Content} content=${operation.requestBody.content} schemas=${schemas} />`}
      ${Object.entries(operation.responses).filter(([status]) => status !== "default").map(([status, each]) => html`<div key=${status}><h3>${status}: ${each.description}</h3><${Content} content=${each.content} schemas=${schemas} /></div>`)}
      <p class="small muted">Anything else is an error in words: <span class="mono">{"error", "field", "hint"}</span>.</p>
    </div>`}</details>`;
}

function Docs() {
  const [told, setTold] = useState(null), [failed, setFailed] = useState(null), [typed, setTyped] = useState("");
  useEffect(() => {
    fetch("/openapi.json").then((answer) => (answer.ok ? answer.json() : Promise.reject(new ApiError(answer.status, {})))).then(setTold, setFailed);
  }, []);
  if (failed) return html`<main><${Failed} error=${failed} /></main>`;
  if (!told) return html`<main><${Busy} words="Loading…" /></main>`;
  const all = Object.entries(told.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  const fits = ({ path, operation }) => `${path} ${operation.summary}`.toLowerCase().includes(typed.trim().toLowerCase());
  return html`<main class="narrow docs" lang="en">
    <div class="page-head"><h1 class="grow">${told.info.title}</h1><a href="/openapi.json">openapi.json</a>
      <input type="search" placeholder="Find an address" aria-label="Find an address" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></div>
    <p class="muted">Version ${told.info.version}. ${told.info.description}</p>
    ${Object.entries(TAGS).map(([tag, words]) => {
      const found = all.filter((each) => each.operation.tags.includes(tag) && fits(each));
      return found.length > 0 && html`<section key=${tag}><h2>${words}</h2><div class="panel">${found.map((each) => html`<${Operation} key=${each.operation.operationId} ...${each} schemas=${told.components.schemas} />`)}</div></section>`;
    })}
    ${all.filter((each) => !TAGS[each.operation.tags[0]] && fits(each)).map((each) => html`<div class="panel" key=${each.operation.operationId}><${Operation} ...${each} schemas=${told.components.schemas} /></div>`)}
  </main>`;
}

render(html`<${Docs} />`, document.getElementById("app"));
