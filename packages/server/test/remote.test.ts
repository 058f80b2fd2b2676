// What only a client of a server has: requests, retries, keys of its own, and its options.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Ductape, DuctapeError, RemoteDuctape, type QuotaInput } from "ductape";
import { ROOT_KEY, startWith } from "./support.js";

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const INPUT: QuotaInput = {
  env: "prd",
  product_tag: "shop",
  quota_tag: "calls",
  action: "increment",
};
const QUOTA = { tag: "calls", limit: 1_000, period: "lifetime" } as const;

async function running() {
  const server = await startWith([QUOTA]);
  ends.push(() => server.close());
  return server;
}

type Handle = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A proxy between a client and the server that may misbehave in any way. */
async function between(handle: Handle): Promise<string> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => handle(request, response, Buffer.concat(parts).toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  return `http://127.0.0.1:${isAddress(address) ? address.port : 0}`;
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}

function clientOf(url: string, options: { retries?: number; timeoutMs?: number } = {}) {
  const client = new RemoteDuctape({ url, apiKey: ROOT_KEY, ...options });
  ends.push(() => client.close());
  return client;
}

async function faultOf(call: Promise<unknown>): Promise<DuctapeError> {
  const fault: unknown = await call.then(
    () => null,
    (error: unknown) => error,
  );
  if (DuctapeError.is(fault)) return fault;
  throw new Error("it should have failed", { cause: fault });
}

describe("a client of a server", () => {
  it("sends calls made together as one request, which count each", async () => {
    const server = await running();
    const paths: string[] = [];
    const url = await between((request, response, body) => {
      paths.push(request.url ?? "");
      void pass(server.url, request, body).then(({ status, text }) =>
        response.writeHead(status, { "content-type": "application/json" }).end(text),
      );
    });
    const client = clientOf(url);
    const calls = Array.from({ length: 20 }, () => client.processor.quota.run(INPUT));
    const used = (await Promise.all(calls)).map((result) => result.used);
    expect(used.toSorted()).toEqual(Array.from({ length: 20 }, (_, i) => i + 1).toSorted());
    expect(paths.length).toBeLessThanOrEqual(4);
    expect(paths.every((path) => path === "/v1/quota/batch")).toBe(true);
  });

  it("applies a configuration like a client of the store", async () => {
    const server = await running();
    const client = clientOf(server.url);
    const quotas = [
      { tag: "calls", limit: 5, period: "lifetime" },
      { tag: "more", limit: 1 },
    ];
    const wrong = { products: [{ tag: "shop", quotas }] };
    const faults = await Promise.all(
      [client, server.ductape].map(({ product }) =>
        faultOf(product.apply(JSON.parse(JSON.stringify(wrong)))),
      ),
    );
    expect(faults.map(({ issues }) => issues?.map(({ path }) => path))).toEqual([
      ["products[0].quotas[1].period"],
      ["products[0].quotas[1].period"],
    ]);
    const right = { products: [{ tag: "shop", quotas: [{ ...QUOTA, limit: 5 }] }] } as const;
    const dry = await client.product.apply(right, { dry_run: true });
    expect(dry).toMatchObject({
      applied: false,
      changes: [{ id: "shop" }, { action: "update", id: "calls" }],
    });
    expect(await client.product.apply(right)).toEqual({ ...dry, applied: true });
    expect(await client.processor.quota.run(INPUT)).toMatchObject({ limit: 5 });
  });

  it("ends a list of several pages that was asked for before close()", async () => {
    let pages = 0;
    const url = await between((_, response) => {
      const next = ++pages < 3 ? `p${pages}` : null;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ products: [{ tag: `p${pages}` }], next }));
    });
    const client = clientOf(url);
    const listing = client.product.fetchAll();
    await client.close();
    expect((await listing).map(({ tag }) => tag)).toEqual(["p1", "p2", "p3"]);
  });

  it("counts once if the answer was lost and the call was sent again", async () => {
    const server = await running();
    let lost = 0;
    const url = await between((request, response, body) => {
      void pass(server.url, request, body).then(({ status, text }) => {
        if (lost++ === 0) return request.socket.destroy();
        return response.writeHead(status, { "content-type": "application/json" }).end(text);
      });
    });
    const result = await clientOf(url).processor.quota.run({ ...INPUT, amount: 7 });
    expect(result).toMatchObject({ allowed: true, used: 7, replayed: false });
    expect(lost).toBe(2);
  });

  it("has its own keys kept for as long as it may retry, and 10 s more", async () => {
    const server = await running();
    const sent: QuotaInput[] = [];
    const url = await between((request, response, body) => {
      const { inputs = [JSON.parse(body)] }: { inputs?: QuotaInput[] } = JSON.parse(body);
      sent.push(...inputs);
      void pass(server.url, request, body).then(({ status, text }) =>
        response.writeHead(status, { "content-type": "application/json" }).end(text),
      );
    });
    const { quota } = clientOf(url, { timeoutMs: 4_000 }).processor;
    await quota.run(INPUT);
    await Promise.all([quota.run(INPUT), quota.run({ ...INPUT, idempotency_key: "mine" })]);
    await quota.runAll([INPUT, { ...INPUT, action: "check" }], { atomic: true });
    const ttls = sent.map((input) => Number(input.idempotency_ttl_ms ?? 0));
    expect(ttls.map((ttl) => Math.ceil(ttl / 1_000))).toEqual([14, 14, 0, 14, 0]);
    expect(sent[2]?.idempotency_key).toBe("mine");
    const lone = faultOf(quota.run({ ...INPUT, idempotency_ttl_ms: 5_000 }));
    expect((await lone).message).toBe("idempotency_ttl_ms: has no meaning without idempotency_key");
  });

  it("does not send again after the machine slept: the server may have forgotten", async () => {
    const server = await running();
    let asked = 0;
    const url = await between((request, _, body) => {
      asked++;
      void pass(server.url, request, body).then(() => {
        vi.spyOn(Date, "now").mockReturnValue(Date.now() + 60_000);
        return request.socket.destroy();
      });
    });
    const { code } = await faultOf(clientOf(url).processor.quota.run(INPUT));
    vi.restoreAllMocks();
    expect([code, asked]).toEqual(["OUTCOME_UNKNOWN", 1]);
  });

  it("reports an unknown outcome if it must not send again", async () => {
    const server = await running();
    const url = await between((request, _, body) => {
      void pass(server.url, request, body).then(() => request.socket.destroy());
    });
    const client = clientOf(url, { retries: 0 });
    const { code, message } = await faultOf(client.processor.quota.run(INPUT));
    expect(code).toBe("OUTCOME_UNKNOWN");
    expect(message).toContain(url);
    const check = await faultOf(client.processor.quota.run({ ...INPUT, action: "check" }));
    expect(check.code).toBe("STORE_UNAVAILABLE");
  });

  it("gives up in time on a server that never answers", async () => {
    const client = clientOf(await between(() => undefined), { timeoutMs: 150 });
    const startMs = performance.now();
    expect((await faultOf(client.processor.quota.run(INPUT))).code).toBe("OUTCOME_UNKNOWN");
    expect((await faultOf(client.product.fetchAll())).code).toBe("TIMEOUT");
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });

  it("says where it could not connect", async () => {
    const url = await between(() => undefined);
    for (const end of ends.splice(0)) await end();
    const { code, message } = await faultOf(clientOf(url).product.fetchAll());
    expect(code).toBe("STORE_UNAVAILABLE");
    expect(message).toContain(`${url} cannot be reached (ECONNREFUSED)`);
  });

  it("accepts no answer of another server as a decision", async () => {
    const url = await between((_, response) => response.end("<html>"));
    const { message } = await faultOf(clientOf(url).processor.quota.run(INPUT));
    expect(message).toContain("answered 200, but not as a Ductape server");
  });

  it("throws what the server says, with its issues", async () => {
    const client = clientOf((await running()).url);
    const wrong = await faultOf(client.processor.quota.run({ ...INPUT, amount: -1 }));
    expect([wrong.code, wrong.issues?.[0]?.path]).toEqual(["VALIDATION", "amount"]);
    const missing = await faultOf(client.product.quotas.fetch("shop", "none"));
    expect(missing.code).toBe("QUOTA_NOT_FOUND");
    const keyless = new RemoteDuctape({ url: (await running()).url });
    expect((await faultOf(keyless.product.fetchAll())).code).toBe("UNAUTHORIZED");
    await keyless.close();
  });

  it("refuses what JSON would change, and names no definition by a path", async () => {
    const client = clientOf((await running()).url);
    const amount = await faultOf(client.processor.quota.run({ ...INPUT, amount: Number.NaN }));
    expect(amount.issues?.[0]?.path).toBe("amount");
    for (const id of ["", ".", ".."]) {
      expect((await faultOf(client.product.quotas.fetch("shop", id))).code).toBe("VALIDATION");
    }
  });

  it("finishes the calls in progress when it is closed, and accepts no other", async () => {
    const client = clientOf((await running()).url);
    const accepted = client.processor.quota.run(INPUT);
    await client.close();
    expect(await accepted).toMatchObject({ allowed: true, used: 1 });
    const after = await faultOf(client.processor.quota.run(INPUT));
    expect([after.code, after.retryable]).toEqual(["STORE_UNAVAILABLE", false]);
  });
});

describe("the options of a client", () => {
  it("make it one of a server where they have a url", async () => {
    const server = await running();
    await using ductape = new Ductape({ url: server.url, apiKey: ROOT_KEY });
    expect(ductape.guarantees.name).toBe("server");
    expect(await ductape.processor.quota.run(INPUT)).toMatchObject({ used: 1 });
    await ductape.probe();
  });

  it.each([
    [{ url: "ftp://a" }, "options.url"],
    [{ url: "http://user:pass@a" }, "options.url"],
    [{ url: "http://a", apiKey: "two words" }, "options.apiKey"],
    [{ url: "http://a", retries: 11 }, "options.retries"],
    [{ url: "http://a", timeoutMs: 0 }, "options.timeoutMs"],
  ])("are refused by name: %j", (options, path) => {
    expect(() => new Ductape(options)).toThrow(path);
  });
});

async function pass(url: string, request: IncomingMessage, body: string) {
  const response = await fetch(url + (request.url ?? ""), {
    method: request.method ?? "GET",
    headers: {
      authorization: request.headers.authorization ?? "",
      "content-type": "application/json",
    },
    body: body === "" ? null : body,
  });
  return { status: response.status, text: await response.text() };
}
