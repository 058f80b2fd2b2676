import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { headOf, sendRaw } from "./raw.js";
import { inputOf, ROOT_KEY, startWith, type Started } from "./support.js";

let server: Started;
beforeAll(async () => {
  server = await startWith([{ tag: "q", limit: 5, period: "lifetime" }]);
});
afterAll(() => server.close());

const KEY = `Authorization: Bearer ${ROOT_KEY}`;
const JSON_TYPE = "Content-Type: application/json";
const post = (path: string, ...lines: string[]) => headOf(`POST ${path}`, KEY, ...lines);
const usedNow = async () => {
  const { body } = await server.call("/v1/quota/run", { body: inputOf({ action: "check" }) });
  return body["used"];
};
const codeIn = (text: string): unknown => JSON.parse(text)["code"];

describe("what is too large is refused before it is read", () => {
  const MB = 1_048_576;
  it.each([
    ["a body of 10 MB that says so", [`Content-Length: ${10 * MB}`], 200_000],
    ["a body of 10 MB in chunks", ["Transfer-Encoding: chunked"], 4 * MB],
  ])("%s", async (_, lines, sentMax) => {
    const piece = Buffer.alloc(16_384, "1");
    const chunk = Buffer.concat([Buffer.from("4000\r\n"), piece, Buffer.from("\r\n")]);
    const isChunked = lines[0]?.includes("chunked") === true;
    function* pieces() {
      yield post("/v1/quota/run", JSON_TYPE, ...lines);
      for (let i = 0; i < 640; i++) yield isChunked ? chunk : piece;
    }
    const startedMs = performance.now();
    const { status, head, text, sentBytes } = await sendRaw(server.port, pieces());
    expect([status, codeIn(text)]).toEqual([413, "BODY_TOO_LARGE"]);
    expect(head).toMatch(/^connection: close$/im);
    // What was on its way in the buffers of the system, and no more.
    expect(sentBytes).toBeLessThan(sentMax + 6 * MB);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  it("a body of 64 kB is taken, and one byte more is not; a batch may have 1 MB", async () => {
    const fill = (bytes: number, rest: string) => rest.padEnd(bytes, " ");
    const input = JSON.stringify(inputOf({ action: "check" }));
    const statusOf = async (path: string, body: string) =>
      (await server.call(path, { body })).status;
    expect(await statusOf("/v1/quota/run", fill(65_536, input))).toBe(200);
    expect(await statusOf("/v1/quota/run", fill(65_537, input))).toBe(413);
    const batch = JSON.stringify({ inputs: [] });
    expect(await statusOf("/v1/quota/batch", fill(MB, batch))).toBe(200);
    expect(await statusOf("/v1/quota/batch", fill(MB + 1, batch))).toBe(413);
  });

  it("headers of more than 8 kB", async () => {
    const { status, text } = await sendRaw(server.port, [
      headOf("GET /healthz", `X-Long: ${"a".repeat(9_000)}`),
    ]);
    expect([status, codeIn(text)]).toEqual([431, "HEADERS_TOO_LARGE"]);
  });

  it.each(["[", '{"a":', '{"inputs":['])("nesting of 10,000 levels of %s", async (open) => {
    const body = open.repeat(10_000);
    const startedMs = performance.now();
    const reply = await server.call("/v1/quota/batch", { body });
    expect([reply.status, reply.body["detail"]]).toEqual([
      400,
      "body: expects at most 32 levels of nesting",
    ]);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });
});

describe("a body that is not plain JSON is refused, and counts nothing", () => {
  const bomb = gzipSync(Buffer.alloc(10_485_760));
  const input = JSON.stringify(inputOf());
  it.each([
    ["text", 415, { "content-type": "text/plain" }, input],
    ["a form", 415, { "content-type": "application/x-www-form-urlencoded" }, input],
    ["another charset", 415, { "content-type": "application/json; charset=utf-16" }, input],
    ["a patch of another kind", 415, { "content-type": "application/json-patch+json" }, input],
    ["a gzip bomb", 415, { "content-encoding": "gzip" }, bomb],
    ["what says that it is compressed", 415, { "content-encoding": "br, gzip" }, input],
    ["nothing", 400, {}, ""],
    ["half of it", 400, {}, input.slice(0, -1)],
    [
      "bytes that are no UTF-8",
      400,
      {},
      Buffer.from(`${input.slice(0, -1)},"subject":"\xff"}`, "latin1"),
    ],
    ["a mark before it", 400, {}, `\ufeff${input}`],
    ["two of them", 400, {}, `${input}${input}`],
    ["a comment", 400, {}, `${input} // one`],
    ["no object", 400, {}, "5"],
    ["null", 400, {}, "null"],
    ["a number beyond 2^53", 400, {}, input.replace("}", ',"amount":9007199254740993}')],
    ["a number beyond all", 400, {}, input.replace("}", ',"amount":1e400}')],
    ["a number far below 0", 400, {}, input.replace("}", ',"amount":-9e99}')],
  ])("%s", async (_, status, headers, body) => {
    const response = await fetch(`${server.url}/v1/quota/run`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${ROOT_KEY}`,
        "content-type": "application/json",
        ...headers,
      },
      body,
    });
    const text = await response.text();
    expect([response.status, response.headers.get("content-type")], text).toEqual([
      status,
      "application/problem+json; charset=utf-8",
    ]);
    expect(text).not.toContain("product_tag");
    expect(await usedNow()).toBe(0);
  });

  it("a body in UTF-8 may say so", async () => {
    const headers = { "content-type": 'application/json; charset="UTF-8"' };
    const { status } = await server.call("/v1/quota/run", {
      body: inputOf({ action: "check" }),
      headers,
    });
    expect(status).toBe(200);
  });

  it("a request that is not HTTP also gets a problem, and an upgrade nothing", async () => {
    const { status, text } = await sendRaw(server.port, ["HELLO\r\n\r\n"]);
    expect([status, codeIn(text)]).toEqual([400, "VALIDATION"]);
    const two = post("/v1/quota/run", JSON_TYPE, "Content-Length: 5", "Transfer-Encoding: chunked");
    expect((await sendRaw(server.port, [two, "0\r\n\r\n"])).status).toBe(400);
    const twice = post("/v1/quota/run", JSON_TYPE, "Content-Length: 5", "Content-Length: 6");
    expect((await sendRaw(server.port, [twice, "12345"])).status).toBe(400);
  });
});

describe("what is not there", () => {
  it.each([
    ["GET", "/v1/nothing", 404, "ROUTE_NOT_FOUND", null],
    ["GET", "/favicon.ico", 404, "ROUTE_NOT_FOUND", null],
    ["GET", "/v1/quota/run", 405, "METHOD_NOT_ALLOWED", "POST"],
    ["PUT", "/v1/products/shop", 405, "METHOD_NOT_ALLOWED", "GET, PATCH, DELETE, HEAD"],
    ["OPTIONS", "/v1/products", 405, "METHOD_NOT_ALLOWED", "GET, POST, HEAD"],
    ["POST", "/healthz", 405, "METHOD_NOT_ALLOWED", "GET, HEAD"],
    ["GET", "/v1/products/%zz", 400, "VALIDATION", null],
    ["GET", `/v1/products/${"a".repeat(3_000)}`, 400, "VALIDATION", null],
  ])("%s %s is %i %s", async (method, path, status, code, allow) => {
    const reply = await server.call(path, { method });
    expect([reply.status, reply.body["code"], reply.headers.get("allow")]).toEqual([
      status,
      code,
      allow,
    ]);
    expect(reply.headers.get("access-control-allow-origin")).toBe(null);
  });
});
