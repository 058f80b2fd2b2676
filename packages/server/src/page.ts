import { ERRORS } from "ductape";
import { assetOf, readViewer, type Asset } from "./viewer.js";

/** The page at `/docs` and the files that it loads. */
export interface Page {
  readonly html: string;
  readonly assets: ReadonlyMap<string, Asset>;
}

/** The page may load only its own files and answers of this server. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const STYLE = `
:root { color-scheme: light dark }
body { background: #fff; color: #3b4151; margin: 0 }
body, table { font: 15px/1.5 system-ui, sans-serif }
noscript, #faults { box-sizing: border-box; display: block; margin: 0 auto 3rem; max-width: 1460px }
noscript, #faults { padding: 0 20px }
#faults h2 { font-size: 24px; margin: 2rem 0 0.5rem }
code { font: 0.9em ui-monospace, monospace }
#faults table { border-collapse: collapse; width: 100% }
#faults td, #faults th { border-bottom: 1px solid #8884; padding: 0.3rem 0.6rem; text-align: left }
#faults tr:target { background: #fc04 }
html.dark-mode body { background: #1c2022; color: #e4e6e6 }
html.dark-mode .swagger-ui td.header-col,
html.dark-mode .swagger-ui .examples-select__section-label { color: inherit }
a { color: #4990e2 }
.swagger-ui .info { margin: 30px 0 }
`;

const SCRIPT = `
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  validatorUrl: null,
  filter: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  // A link to a fault points below the viewer, which grows and pushes its target down.
  onComplete: () => document.getElementById(location.hash.slice(1))?.scrollIntoView(),
});
`;

/** The licences of Swagger UI and of the code in its bundle. */
const LICENCES = ["NOTICE", "LICENSE", "swagger-ui-bundle.js.LICENSE.txt"];

/**
 * The page for people: each route with its fields, examples and a form to try it, and each fault.
 */
export function pageOf(version: string): Page {
  const asset = {
    viewerStyle: assetOf("swagger-ui", "css", readViewer("swagger-ui.css")),
    viewer: assetOf("swagger-ui-bundle", "js", readViewer("swagger-ui-bundle.js")),
    style: assetOf("page", "css", Buffer.from(STYLE)),
    script: assetOf("page", "js", Buffer.from(SCRIPT)),
    licences: assetOf("licences", "txt", Buffer.concat(LICENCES.map(readViewer))),
  };
  const path = ({ name }: Asset): string => `docs/${name}`;
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Ductape Quotas ${text(version)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${path(asset.viewerStyle)}">
<link rel="stylesheet" href="${path(asset.style)}">
<script defer src="${path(asset.viewer)}"></script>
<script defer src="${path(asset.script)}"></script>
<noscript><p>This page needs JavaScript. Its content is also in
<a href="openapi.json">openapi.json</a>, an OpenAPI document for any viewer.</p></noscript>
<div id="viewer"></div>
<section id="faults">
<h2>Faults</h2>
<p>A denial is an answer with <code>allowed: false</code>. A fault is a problem
(<code>application/problem+json</code>) with one of these codes.</p>
<table>
<tr><th>Code</th><th>Status</th><th>Retry may help</th></tr>
${Object.entries(ERRORS)
  .map(
    ([code, { httpStatus, retryable }]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${httpStatus}</td>` +
      `<td>${retryable ? "yes" : "no"}</td></tr>`,
  )
  .join("\n")}
</table>
<p>The viewer is Swagger UI (<a href="${path(asset.licences)}">licences</a>).</p>
</section>
</html>
`;
  return { html, assets: new Map(Object.values(asset).map((each) => [each.name, each])) };
}

function text(value: string): string {
  return value.replaceAll(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);
}
