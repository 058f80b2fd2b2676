// Features through a server: over HTTP, by a remote client, and on the command line.
import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RemoteDuctape, UncommittedError, type FeatureInput } from "ductape";
import { EmbeddedDuctape } from "ductape";
import { faultOf } from "../../ductape/test/support.js";
import { folder, newStore, run } from "./command.js";
import { ROOT_KEY, start, startWith, type Started } from "./support.js";

const SECRET = `whsec_${Buffer.alloc(32, 3).toString("base64")}`;
const WHERE = { product_tag: "shop", env: "prd" } as const;
const CALL = { ...WHERE, feature_tag: "f", input: { n: 2 } } as const;

/** A program of the customer, which checks the signature as a receiver should. */
let program: Server;
let programUrl = "";
const calls: unknown[] = [];
beforeAll(async () => {
  program = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const {
        "webhook-id": id,
        "webhook-timestamp": at,
        "webhook-signature": given,
      } = request.headers;
      const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
      const wanted = createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64");
      const isRight = given === `v1,${wanted}`;
      calls.push(JSON.parse(body));
      response.writeHead(isRight ? 200 : 401).end(JSON.stringify({ n: 3, text: "done" }));
    });
  });
  await new Promise<void>((resolve) => program.listen(0, "127.0.0.1", resolve));
  const address = program.address();
  programUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/work`;
});

const feature = (): FeatureInput => ({
  tag: "f",
  input: { n: { type: "integer" }, style: { type: "string", default: "plain" } },
  quotas: [
    { quota: "q", amount: "$Input{n}", settle: "$Result{n}" },
    { quota: "calls", allow_fail: true },
  ],
  output: { text: "$Result{text}", left: "$Quota{q}{remaining}" },
  handler: { url: programUrl },
  ttl_ms: 1_000,
});
const QUOTAS = [
  { tag: "q", limit: 10, period: "day" },
  { tag: "calls", limit: 1, period: "day" },
] as const;

let server: Started;
let remote: RemoteDuctape;
beforeEach(async () => {
  await remote?.close();
  await server?.close();
  server = await startWith(QUOTAS, { handlerSecret: SECRET, outgoing: "any" });
  remote = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY });
  await remote.product.features.create("shop", feature());
});
afterAll(async () => {
  await remote.close();
  await server.close();
  program.close();
  folder.remove();
});

async function standing(): Promise<unknown> {
  const check = { ...WHERE, quota_tag: "q", action: "check", amount: 0 } as const;
  const { used, held } = await server.ductape.processor.quota.run(check);
  return [used, held];
}

const ended = { n: 3, text: "done" };

describe("a feature over HTTP", () => {
  it("runs at its URL, with a request that its handler can verify", async () => {
    const { feature_tag: _, ...body } = CALL;
    const { status, body: answer } = await server.call("/v1/features/f/run", { body });
    expect([status, answer]).toMatchObject([
      200,
      { allowed: true, code: "OK", feature_tag: "f", output: { text: "done", left: 7 } },
    ]);
    expect(calls.at(-1)).toMatchObject({ ...WHERE, feature_tag: "f", input: { n: 2 } });
    expect(await standing()).toEqual([3, 0]);
    const denied = await server.call("/v1/features/f/run", { body: { ...body, input: { n: 8 } } });
    expect([denied.status, denied.body]).toMatchObject([
      200,
      { allowed: false, code: "QUOTA_EXCEEDED", quotas: [{ quota_tag: "q", amount: 8 }] },
    ]);
  });

  it("is reserved, extended and committed by a caller that does the work", async () => {
    const post = (name: string, more: object) =>
      server.call(`/v1/features/f/${name}`, { body: { ...WHERE, ...more } });
    const reserved = await post("reserve", { input: { n: 4 }, reservation: "r", ttl_ms: 60_000 });
    expect(reserved.body).toMatchObject({
      reservation: { id: "r" },
      input: { n: 4, style: "plain" },
      ttl_ms: 60_000,
    });
    expect(await standing()).toEqual([0, 4]);
    expect((await post("extend", { reservation: "r" })).status).toBe(200);
    const committed = await post("commit", { reservation: "r", result: ended });
    expect(committed.body).toMatchObject({ output: { text: "done", left: 7 } });
    expect(await standing()).toEqual([3, 0]);
    await post("reserve", { input: { n: 4 }, reservation: "s" });
    const released = await post("release", { reservation: "s", reason: "given up" });
    expect(released.status).toBe(200);
    expect(server.audit.at(-1)).toMatchObject({
      event: "feature.release",
      target: { ...WHERE, feature_tag: "f", reservation: "s" },
      after: { reason: "given up" },
    });
    expect(await standing()).toEqual([3, 0]);
    expect((await post("commit", { reservation: "none" })).body).toMatchObject({
      code: "RESERVATION_NOT_FOUND",
    });
  });

  it("refuses what its definition does not describe, at its place", async () => {
    const { status, body } = await server.call("/v1/features/f/run", {
      body: { ...WHERE, input: { n: "2" } },
    });
    expect([status, body["issues"]]).toEqual([
      400,
      [{ path: "input.n", message: 'expects an integer, got "2"' }],
    ]);
    const other = { tag: "s", events: [{ type: "action", event: "charge" }] };
    const refused = await server.call("/v1/products/shop/features", {
      body: { tag: "g", sequence: [other] },
    });
    expect(refused.body["issues"]).toMatchObject([
      {
        path: "sequence[0].events[0].type",
        message: expect.stringContaining("do any other work in the feature's handler"),
      },
    ]);
  });

  it("is not called in the server's own network, whoever wrote the definition", async () => {
    const store = newStore();
    await using writer = new EmbeddedDuctape({ store });
    await writer.product.create({ tag: "shop" });
    await writer.product.environments.create("shop", { slug: "prd" });
    for (const quota of QUOTAS) await writer.product.quotas.create("shop", quota);
    await writer.product.features.create("shop", feature());
    const careful = await start({ store, handlerSecret: SECRET });
    const before = calls.length;
    const { feature_tag: _, ...body } = CALL;
    const { status, body: problem } = await careful.call("/v1/features/f/run", { body });
    expect([status, problem["code"]]).toEqual([502, "HANDLER_FAILED"]);
    expect(calls).toHaveLength(before);
    await careful.close();
  });
});

describe("a remote client", () => {
  it("runs a feature whose handler is registered in its process", async () => {
    const seen: unknown[] = [];
    remote.features.handle("shop", "f", async ({ input, session, subject }) => {
      // Longer than the time of its holds.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      seen.push(input, session, subject, await standing());
      return ended;
    });
    const before = calls.length;
    expect(await remote.processor.feature.run(CALL)).toMatchObject({
      allowed: true,
      output: { text: "done", left: 7 },
      reservation: expect.any(String),
    });
    expect(seen).toEqual([{ n: 2, style: "plain" }, null, null, [0, 2]]);
    expect(calls).toHaveLength(before);
    expect(await standing()).toEqual([3, 0]);
  });

  it("releases everything if that handler throws, whose error is thrown as it is", async () => {
    const own = new RangeError("no model");
    remote.features.handle("shop", "f", () => {
      throw own;
    });
    await expect(remote.processor.feature.run(CALL)).rejects.toBe(own);
    expect(await standing()).toEqual([0, 0]);
  });

  it("runs any other on the server, and tells what plans include", async () => {
    const before = calls.length;
    expect(await remote.processor.feature.run(CALL)).toMatchObject({ output: { text: "done" } });
    expect(calls).toHaveLength(before + 1);
    expect(await remote.features.isEnabled({ ...WHERE, feature_tag: "f" })).toBe(true);
    await remote.product.quotas.update("shop", "q", { limit: 0 });
    expect(await remote.features.isEnabled({ ...WHERE, feature_tag: "f" })).toBe(false);
    expect(await faultOf(remote.processor.feature.run({ ...CALL, input: {} }))).toMatchObject({
      code: "VALIDATION",
      issues: [{ path: "input.n", message: "is required: an integer" }],
    });
  });

  it("keeps the output of work that the server did not let it charge", async () => {
    const hasty = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY, retries: 0 });
    hasty.features.handle("shop", "f", async () => {
      await server.close();
      return ended;
    });
    const error = await faultOf(hasty.processor.feature.run(CALL));
    expect(error).toBeInstanceOf(UncommittedError);
    expect(error).toMatchObject({ output: ended, reservation: expect.any(String) });
    await hasty.close();
  });
});

describe("ductape feature", () => {
  it("defines, lists and runs a feature", async () => {
    const more = {
      DUCTAPE_URL: server.url,
      DUCTAPE_API_KEY: ROOT_KEY,
    };
    const shop = ["--product", "shop"];
    const quotas = '[{"quota":"q","amount":"$Input{n} * 2","settle":"$Result{n}"}]';
    const handler = JSON.stringify({ url: programUrl });
    const input = '{"n":{"type":"integer"}}';
    const made = await run(
      [
        "feature",
        "create",
        "g",
        ...shop,
        "--input",
        input,
        "--quotas",
        quotas,
        "--handler",
        handler,
      ],
      more,
    );
    expect(made.stderr).toBe("created feature g\n");
    const { stdout } = await run(["feature", "ls", ...shop], more);
    expect(stdout).toMatch(/TAG +NAME +QUOTAS +REVISION/);
    const at = ["feature", "run", "g", ...shop, "--env", "prd"];
    const ran = await run([...at, "--input", '{"n":2}'], more);
    expect([ran.code, JSON.parse(ran.stdout)]).toEqual([0, ended]);
    expect(ran.stderr).toMatch(/^q: counted 3 of hold \S+ for the whole product: 3 of 10 used\n$/);
    const denied = await run([...at, "--input", '{"n":9}', "--json"], more);
    expect([denied.code, JSON.parse(denied.stdout)]).toMatchObject([3, { allowed: false }]);
    const wrong = await run([...at, "--input", "{n"], more);
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringContaining("--input: expects JSON such as '{\"pages\":3}'"),
    ]);
  });
});
