import { DuctapeError } from "ductape";
import { PAGE_POLICY, pageOf, type Page } from "../page.js";
import { endpoint, type Call, type Endpoint } from "../route.js";
import { object } from "../schema/part.js";
import { packedBody } from "../viewer.js";

const NOTHING = object({});
const YEAR_S = 31_536_000;

/** The page at `/docs`, the files that it loads, and `/`, which redirects to it. */
export function docsEndpoints(version: string) {
  let made: Page | null = null;
  /** Read at the first visit, because most servers are called only by programs. */
  const page = (): Page => {
    made ??= pageOf(version);
    return made;
  };
  return { home, docs: docs(page), "docs.file": asset(page) };
}

const home = endpoint({
  summary: "Redirect people to /docs, and programs that accept only JSON to /openapi.json",
  input: NOTHING,
  headers: ["Accept"],
  answers: { 302: { description: "The address to go to", schema: null, headers: ["Location"] } },
  handle({ reply, header }) {
    const accept = header("accept") ?? "*/*";
    const isProgram = /\bjson\b/i.test(accept) && !/text\/html|\*\/\*/i.test(accept);
    reply.code(302).header("vary", "accept");
    reply.header("location", isProgram ? "openapi.json" : "docs");
    return undefined;
  },
});

const docs = (page: () => Page): Endpoint =>
  endpoint({
    summary: "A page for people: each route with its fields, examples and a form to try it",
    input: NOTHING,
    answers: { 200: { description: "HTML", schema: null } },
    handle({ reply }) {
      reply.type("text/html; charset=utf-8").header("content-security-policy", PAGE_POLICY);
      // Its files get new names when they change.
      reply.header("cache-control", "no-cache").header("referrer-policy", "no-referrer");
      return page().html;
    },
  });

const asset = (page: () => Page): Endpoint =>
  endpoint({
    summary: "A file of that page, which never changes",
    input: NOTHING,
    headers: ["If-None-Match", "Accept-Encoding"],
    answers: {
      200: { description: "The file", schema: null, headers: ["ETag"] },
      304: { description: "Still the one in If-None-Match", schema: null },
    },
    faults: ["ROUTE_NOT_FOUND"],
    handle: (call) => send(call, page()),
  });

async function send({ params, reply, header }: Call, { assets }: Page): Promise<unknown> {
  const { file = "" } = params;
  const found = assets.get(file);
  if (found === undefined) throw new DuctapeError("ROUTE_NOT_FOUND", "path: there is no such file");
  const etag = `"${found.name}"`;
  reply.header("cache-control", `public, max-age=${YEAR_S}, immutable`);
  reply.header("etag", etag).header("vary", "accept-encoding");
  if (header("if-none-match")?.includes(etag) === true) {
    reply.code(304);
    return undefined;
  }
  reply.type(found.type);
  if (!/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(header("accept-encoding") ?? "")) {
    return found.body;
  }
  reply.header("content-encoding", "gzip");
  return packedBody(found);
}
