import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import { startServer } from "ductape-server";
import { sendRaw, headOf } from "./raw.js";
import { ask, inputOf, recordOf, ROOT_KEY, start, startWith } from "./support.js";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("the server itself", () => {
  it("shows without a key that it is alive, whether it is ready, and its metrics", async () => {
    const server = await startWith([{ tag: "q", limit: 1, period: "day", scope: "$Session{u}" }]);
    const get = (path: string) => server.call(path, { key: null });
    expect((await get("/healthz")).body).toEqual({ status: "ok" });
    expect((await get("/readyz")).body).toEqual({ status: "ready", store: "memory" });
    for (const subject of ["secret-user", "secret-user"]) {
      await server.call("/v1/quota/run", { body: inputOf({ subject }) });
    }
    await server.call("/v1/quota/run", { body: inputOf({ quota_tag: "no" }) });
    const { text } = (await get("/metrics")).body;
    expect(text).toContain('ductape_decisions_total{action="increment",outcome="OK"} 1');
    expect(text).toContain(
      'ductape_decisions_total{action="increment",outcome="QUOTA_EXCEEDED"} 1',
    );
    expect(text).toContain(
      'ductape_decisions_total{action="increment",outcome="QUOTA_NOT_FOUND"} 1',
    );
    expect(text).toMatch(
      /duration_seconds_count\{method="POST",route="\/v1\/quota\/run",status="200"\} 2/,
    );
    expect(text).toContain("ductape_store_up 1");
    expect(text).not.toMatch(/secret-user|shop/);
    await server.close();
  });

  it("has an OpenAPI 3.1 document that is valid, of all routes", async () => {
    const server = await start();
    const { body } = await server.call("/openapi.json", { key: null });
    const { valid, errors } = await new Validator().validate(body);
    expect([valid, errors]).toEqual([true, undefined]);
    expect(body["openapi"]).toMatch(/^3\.1\./);
    expect(Object.keys(recordOf(body["paths"]))).toContain("/v1/products/{product}/quotas/{tag}");
    await server.close();
  });

  it("without keys, answers only to names of this machine", async () => {
    const server = await start({ asksForKey: false });
    const as = (host: string) =>
      sendRaw(server.port, [`GET /v1/products HTTP/1.1\r\nHost: ${host}\r\n\r\n`]);
    for (const host of ["localhost", `127.0.0.1:${server.port}`, "[::1]:80", "LOCALHOST"]) {
      expect((await as(host)).status, host).toBe(200);
    }
    for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil", "10.0.0.1"]) {
      expect((await as(host)).status, host).toBe(403);
    }
    await server.close();
  });
});

describe("a server that stops", () => {
  it("finishes accepted calls, reports that it drains, and accepts nothing new", async () => {
    const server = await startWith([{ tag: "q", limit: null, period: "day" }]);
    let closing = Promise.resolve();
    const { status, head } = await sendRaw(
      server.port,
      slowRequest(JSON.stringify(inputOf()), async () => {
        closing = server.close();
        await expect(ask(server.url, "/healthz")).rejects.toThrow();
      }),
    );
    expect(status).toBe(200);
    expect(head).toMatch(/^connection: close$/im);
    await closing;
    await server.close();
  });

  it("refuses an option it cannot use", async () => {
    await expect(startServer({ store: "redes://x", port: 0 })).rejects.toThrow(/store/);
    const server = await start();
    await expect(startServer({ store: "memory:", port: server.port })).rejects.toThrow(
      "EADDRINUSE",
    );
    await server.close();
  });

  /** A request between whose halves something happens. */
  async function* slowRequest(body: string, meanwhile: () => Promise<void>) {
    const lines = [
      "Content-Type: application/json",
      `Authorization: Bearer ${ROOT_KEY}`,
      `Content-Length: ${body.length}`,
    ];
    yield headOf("POST /v1/quota/run", ...lines);
    yield body.slice(0, 10);
    await sleep(100);
    await meanwhile();
    yield body.slice(10);
  }
});

it("the package has the version of its manifest", async () => {
  const server = await start();
  const { body } = await server.call("/openapi.json");
  const manifest: unknown = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  expect(recordOf(body["info"])["version"]).toBe(recordOf(manifest)["version"]);
  await server.close();
});
