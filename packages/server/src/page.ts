import { createHash } from "node:crypto";
import { ERRORS } from "ductape";
import { placeOf, takesBody, type Route } from "./route.js";

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
code { font: 0.9em ui-monospace, monospace }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #8884; padding: 0.3rem 0.6rem }
td, th { text-align: left; vertical-align: top }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } a { color: #8bf } }
`;

/** What the page may load: its own style, and nothing else from anywhere. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page for people: each route, each code. It has no script and asks for nothing else. */
export function pageOf(routes: readonly Route[], version: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Ductape Quotas ${text(version)}</title>
<style>${STYLE}</style>
<h1>Ductape Quotas</h1>
<p>Send <code>Authorization: Bearer dk_...</code> with each call under <code>/v1</code>. Bodies are
JSON. What the fields are stands in <a href="/openapi.json">openapi.json</a>.</p>
<h2>Routes</h2>
<table>
<tr><th>Route</th><th>What it does</th><th>Input</th><th>Scope</th></tr>
${routes.map(rowOf).join("\n")}
</table>
<h2>Faults</h2>
<p>A denial is an answer with <code>allowed: false</code>. A fault is a problem
(<code>application/problem+json</code>) with one of these codes.</p>
<table>
<tr><th>Code</th><th>Status</th><th>Worth a retry</th></tr>
${Object.entries(ERRORS)
  .map(
    ([code, { httpStatus, retryable }]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${httpStatus}</td>` +
      `<td>${retryable ? "yes" : "no"}</td></tr>`,
  )
  .join("\n")}
</table>
</html>
`;
}

function rowOf({ method, path, summary, scopes }: Route): string {
  const place = placeOf({ path });
  const input = takesBody(method) ? "body" : "query";
  const scope = (scopes ?? ["none"]).map((each) => `<code>${text(each)}</code>`).join(" ");
  const cells = [`<code>${method} ${text(place)}</code>`, text(summary), input, scope];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

function text(value: string): string {
  return value.replaceAll(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);
}
