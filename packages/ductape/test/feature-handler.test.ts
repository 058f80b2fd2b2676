// The handler of a feature at a URL, and the signature of the request to it.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape, type EmbeddedOptions } from "ductape";
import { signatureHeaders } from "../src/feature/signature.js";
import { faultOf } from "./support.js";

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const OLD_SECRET = `whsec_${Buffer.alloc(24, 9).toString("base64")}`;
const CALL = { product_tag: "shop", env: "prd", feature_tag: "f", input: { n: 2 } } as const;

interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let server: Server;
let url = "";
const asked: Asked[] = [];
let answer = (): { status: number; text: string; headers?: Record<string, string> } => ({
  status: 200,
  text: '{"used":3,"text":"done"}',
});

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      asked.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      if (request.url === "/slow") return;
      const { status, text, headers = {} } = answer();
      response.writeHead(status, headers).end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function shopWith(options: EmbeddedOptions, path = "/", timeout_ms = 5_000) {
  const ductape = new Ductape({ store: "memory:", ...options, onStoreError: "throw" });
  await ductape.product.create({ tag: "shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  await ductape.product.quotas.create("shop", { tag: "q", limit: 10, period: "day" });
  await ductape.product.features.create("shop", {
    tag: "f",
    input: { n: { type: "integer" } },
    quotas: [{ quota: "q", amount: "$Input{n} * 2", settle: "$Result{used}" }],
    output: { text: "$Result{text}" },
    handler: { url: url + path, timeout_ms },
  });
  return ductape;
}

async function standing({ processor }: Ductape) {
  const check = { ...CALL, quota_tag: "q", action: "check", amount: 0 } as const;
  const { feature_tag: _f, input: _i, ...input } = check;
  const { used, held } = await processor.quota.run(input);
  return [used, held];
}

/** What a receiver does by the specification, written apart from the sender. */
function isSigned({ headers, body }: Asked, secret: string, nowMs = Date.now()): boolean {
  const id = String(headers["webhook-id"]);
  const seconds = Number(headers["webhook-timestamp"]);
  if (Math.abs(nowMs / 1_000 - seconds) > 300) return false;
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const wanted = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest();
  return String(headers["webhook-signature"])
    .split(" ")
    .map((text) => text.split(","))
    .some(([version, text = ""]) => {
      const given = Buffer.from(text, "base64");
      return version === "v1" && given.length === wanted.length && timingSafeEqual(given, wanted);
    });
}

describe("the handler of a feature at a URL", () => {
  it("is called with a signed request, and its answer is the result", async () => {
    await using ductape = await shopWith({ handlerSecret: SECRET });
    const done = await ductape.processor.feature.run({ ...CALL, subject: { userId: "ada" } });
    expect(done).toMatchObject({ allowed: true, output: { text: "done" }, quotas: [{ used: 3 }] });
    const last = asked.at(-1);
    if (last === undefined || !done.allowed) throw new Error("nothing was asked");
    expect(last.headers["content-type"]).toBe("application/json");
    expect(last.headers["webhook-id"]).toBe(done.reservation);
    expect(JSON.parse(last.body)).toEqual({
      ...CALL,
      session: null,
      subject: { userId: "ada" },
      reservation: done.reservation,
      features: {},
    });
    expect(isSigned(last, SECRET)).toBe(true);
    expect(isSigned(last, OLD_SECRET)).toBe(false);
    expect(isSigned({ ...last, body: last.body.replace("2", "3") }, SECRET)).toBe(false);
    expect(isSigned(last, SECRET, Date.now() + 600_000)).toBe(false);
  });

  it("is called with a signature by each of two secrets", async () => {
    await using ductape = await shopWith({ handlerSecret: `${SECRET} ${OLD_SECRET}` });
    await ductape.processor.feature.run(CALL);
    const last = asked.at(-1);
    expect([SECRET, OLD_SECRET].map((secret) => last && isSigned(last, secret))).toEqual([
      true,
      true,
    ]);
  });

  it("is not called without a secret, and before anything is held", async () => {
    await using ductape = await shopWith({});
    const before = asked.length;
    expect(await faultOf(ductape.processor.feature.run(CALL))).toMatchObject({
      code: "HANDLER_NOT_FOUND",
      message: expect.stringContaining("DUCTAPE_HANDLER_SECRET is not set"),
    });
    expect(asked).toHaveLength(before);
  });

  it.each<[string, ReturnType<typeof answer>, string]>([
    ["fails", { status: 500, text: "secret stack" }, "answered 500"],
    ["redirects", { status: 302, text: "", headers: { location: "/other" } }, "answered 302"],
    ["gives no JSON", { status: 200, text: "<html>secret" }, "answered what is no JSON"],
    ["gives too much", { status: 200, text: "1".repeat(1_048_577) }, "more than 1048576 bytes"],
  ])("releases everything if it %s", async (_, given, message) => {
    await using ductape = await shopWith({ handlerSecret: SECRET });
    const before = asked.length;
    const usual = answer;
    answer = () => given;
    const fault = await faultOf(ductape.processor.feature.run(CALL)).finally(() => {
      answer = usual;
    });
    expect(fault).toMatchObject({ code: "HANDLER_FAILED", retryable: false });
    expect(fault.message).toContain(message);
    expect(fault.message).not.toContain("secret");
    expect(asked).toHaveLength(before + 1);
    expect(await standing(ductape)).toEqual([0, 0]);
  });

  it("may answer with nothing, which is no result", async () => {
    await using ductape = await shopWith({ handlerSecret: SECRET });
    const usual = answer;
    answer = () => ({ status: 204, text: "" });
    const done = await ductape.processor.feature.run(CALL).finally(() => {
      answer = usual;
    });
    expect(done).toMatchObject({ output: { text: null }, issues: [{ path: "quotas[0].settle" }] });
    expect(await standing(ductape)).toEqual([4, 0]);
  });

  it("is given up after its time, and when the caller aborts", async () => {
    await using ductape = await shopWith({ handlerSecret: SECRET }, "/slow", 100);
    expect((await faultOf(ductape.processor.feature.run(CALL))).message).toContain("100 ms");
    await using patient = await shopWith({ handlerSecret: SECRET }, "/slow", 60_000);
    const signal = AbortSignal.timeout(200);
    const fault = await faultOf(patient.processor.feature.run(CALL, { signal }));
    expect(fault.message).toContain("the call was aborted");
    expect(await standing(patient)).toEqual([0, 0]);
  });

  it("is not called in a network that is not allowed, whatever its name resolves to", async () => {
    const local = url.replace("127.0.0.1", "localhost");
    await using careful = new Ductape({
      store: "memory:",
      handlerSecret: SECRET,
      outgoing: "public",
    });
    await careful.product.create({ tag: "shop" });
    for (const at of [url, local, "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/"]) {
      const made = careful.product.features.create("shop", { tag: "f", handler: { url: at } });
      expect(await faultOf(made)).toMatchObject({ issues: [{ path: "handler.url" }] });
    }
  });
});

describe("the secret of handlers", () => {
  it.each(["", "whsec_", "abc", "whsec_c2hvcnQ=", `${SECRET},${SECRET}`, `${SECRET} x`])(
    "is refused where it is %j, and never shown",
    (handlerSecret) => {
      const make = () => new Ductape({ store: "memory:", handlerSecret });
      expect(make).toThrow(/options.handlerSecret: expects whsec_ and base64 of 24 to 64/);
    },
  );
});

it("signs as the test vector of Standard Webhooks does", () => {
  const key = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
  const id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
  expect(signatureHeaders([key], id, 1_614_265_330_000, '{"test": 2432232314}')).toEqual({
    "webhook-id": id,
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});
