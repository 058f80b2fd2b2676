import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutagePolicy, QuotaDefinition } from "ductape";
import { rootKeyOf, startServer, type RunningServer, type ServerOptions } from "ductape-server";

/** The answer to a call: status, headers and body as JSON; null if it has no body. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** How a test calls. */
export interface Call {
  readonly method?: string;
  readonly key?: string | null;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A server on a free port, with a key that may do all. */
export interface Started<Policy extends OutagePolicy = "throw"> extends RunningServer<Policy> {
  readonly root: string;
  /** The lines of the audit log. */
  readonly audit: Record<string, unknown>[];
  readonly warnings: string[];
  call(path: string, call?: Call): Promise<Reply>;
}

/** A key that may do all; its form is that of `DUCTAPE_ROOT_KEY`. */
export const ROOT_KEY = `dk_${"r00t".repeat(8)}`;

/** Starts a server in this process, by default on `memory:`. */
export async function start<const Policy extends OutagePolicy = "throw">(
  options: ServerOptions<Policy> = {},
): Promise<Started<Policy>> {
  const audit: Record<string, unknown>[] = [];
  const warnings: string[] = [];
  const server = await startServer<Policy>({
    store: "memory:",
    port: 0,
    rootKey: rootKeyOf(ROOT_KEY),
    auditLog: { write: (line: string) => void audit.push(recordOf(JSON.parse(line))) },
    warn: (message, error) => void warnings.push(`${message} ${String(error ?? "")}`),
    ...options,
  });
  const { url } = server;
  return { ...server, root: ROOT_KEY, audit, warnings, call: (path, call) => ask(url, path, call) };
}

/** A server with one product, one environment and the quotas of a test. */
export async function startWith(
  quotas: readonly QuotaDefinition[],
  options: ServerOptions<"throw"> = {},
): Promise<Started> {
  const server = await start(options);
  const { product } = server.ductape;
  await product.create({ tag: "shop", name: "Shop" });
  await product.environments.create("shop", { slug: "prd", env_name: "Production" });
  for (const quota of quotas) await product.quotas.create("shop", quota);
  return server;
}

/** Calls a server: with the root key unless another, or null for none, is given. */
export async function ask(
  url: string,
  path: string,
  { method, key = ROOT_KEY, body, headers = {} }: Call = {},
): Promise<Reply> {
  const response = await fetch(`${url}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const parsed: unknown = isJson && text !== "" ? JSON.parse(text) : { text };
  return { status: response.status, headers: response.headers, body: recordOf(parsed) };
}

/** An increment of quota `q`. */
export function inputOf(input: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { env: "prd", product_tag: "shop", quota_tag: "q", action: "increment", ...input };
}

/** A value that must be an object. */
export function recordOf(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`expects an object, got ${JSON.stringify(value)}`);
  }
  return { ...value };
}

/** A folder of its own for one test; `remove` deletes it. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "ductape-server-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The names of the files that the page at /docs loads, which have a hash in them. */
export async function filesOfDocs(url: string): Promise<string[]> {
  const page = await (await fetch(`${url}/docs`)).text();
  return [...page.matchAll(/"docs\/([^"]+)"/g)].map(([, name]) => String(name));
}
