// Holds over HTTP, by the remote client and by the commands.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { folder, newStore, run } from "./command.js";
import { recordOf, ROOT_KEY, start } from "./support.js";

afterAll(folder.remove);

const PLACE = { env: "prd", product_tag: "shop", quota_tag: "calls" };
const AT = ["--env", "prd", "--product", "shop", "--quota", "calls"];

let server: Awaited<ReturnType<typeof start>>;
let remote: Ductape;
beforeAll(async () => {
  server = await start();
  remote = new Ductape({ url: server.url, apiKey: ROOT_KEY });
  await define(remote);
});
afterAll(async () => {
  await remote.close();
  await server.close();
});

async function define(ductape: Ductape): Promise<void> {
  await ductape.product.create({ tag: "shop", name: "Shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  const scope = "$Session{userId}";
  await ductape.product.quotas.create("shop", { tag: "calls", scope, limit: 10, period: "day" });
  const slots = { tag: "slots", limit: 2, window: "concurrent" } as const;
  await ductape.product.quotas.create("shop", slots);
}

async function post(input: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${server.url}/v1/quota/run`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${ROOT_KEY}`,
      "content-type": "application/json",
      ...headers,
    },
    body: JSON.stringify({ ...PLACE, ...input }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

describe("holds over HTTP", () => {
  it("are reserved, extended, committed and found settled", async () => {
    const who = { subject: "http" };
    const reserved = await post({ ...who, action: "reserve", amount: 4, reservation: "h-1" });
    expect(reserved.body).toMatchObject({ held: 4, remaining: 6, reservation: { id: "h-1" } });
    expect(reserved.headers.get("ratelimit")).toContain("r=6");
    const longer = { action: "extend", reservation: "h-1", ttl_ms: 1_000_000 };
    expect((await post(longer)).body).toMatchObject({ reservation: { amount: 4 } });
    const commit = { action: "commit", reservation: "h-1", amount: 3 };
    expect((await post(commit)).body).toMatchObject({
      used: 3,
      held: 0,
      reservation: { held: 4, charged: 3, excess: 0, expired: false },
    });
    expect((await post({ ...commit, ...who })).body).toMatchObject({ replayed: true, used: 3 });
    const other = await post({ ...commit, amount: 4 });
    expect(other).toMatchObject({ status: 422, body: { code: "IDEMPOTENCY_CONFLICT" } });
  });

  it("answer 404 for an id that never was, and 400 for a field without meaning", async () => {
    const unknown = await post({ action: "commit", reservation: "nobody" });
    expect(unknown).toMatchObject({ status: 404, body: { code: "RESERVATION_NOT_FOUND" } });
    const wrong = await post({ action: "check", subject: "u", ttl_ms: 1_000 });
    expect(wrong).toMatchObject({ status: 400, body: { issues: [{ path: "ttl_ms" }] } });
  });

  it("tell a denial when the first slot may be free, with no window", async () => {
    const input = { quota_tag: "slots", action: "reserve", ttl_ms: 60_000 };
    const first = await post(input);
    await post(input);
    const denied = await post(input);
    expect(denied.body).toMatchObject({ allowed: false, window: null, period: null, held: 2 });
    const seconds = Number(denied.headers.get("retry-after"));
    expect(seconds).toBeGreaterThanOrEqual(50);
    expect(seconds).toBeLessThanOrEqual(80);
    expect(denied.headers.get("ratelimit-policy")).toContain('qu="concurrent-requests"');
    const { id } = recordOf(recordOf(first.body)["reservation"]);
    await post({ quota_tag: "slots", action: "release", reservation: id });
    expect((await post(input)).body).toMatchObject({ allowed: true });
  });

  it("need the scope of their action, and reading them that of usage", async () => {
    const key = await fetch(`${server.url}/v1/keys`, {
      method: "POST",
      headers: { authorization: `Bearer ${ROOT_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({
        scopes: ["quota:reserve"],
        products: ["shop"],
        environments: ["prd"],
      }),
    }).then((response) => response.json());
    await using client = new Ductape({ url: server.url, apiKey: String(recordOf(key)["key"]) });
    const { quota } = client.processor;
    const reserve = { ...PLACE, action: "reserve", subject: "scoped" } as const;
    const { reservation } = await quota.run(reserve);
    const settle = { ...PLACE, reservation: reservation?.id, action: "commit" } as const;
    await expect(quota.run(settle)).rejects.toMatchObject({ code: "FORBIDDEN" });
    const listing = quota.reservations({ env: "prd", product_tag: "shop" });
    await expect(listing).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});

describe("holds by the remote client", () => {
  it("are kept and settled around a function", async () => {
    const { quota } = remote.processor;
    const input = { ...PLACE, subject: "remote", amount: 4 };
    const open = await quota.hold(input, async (hold) => {
      hold.use(3);
      return quota.reservations({ env: "prd", product_tag: "shop", subject: "remote" });
    });
    expect(open.reservations).toMatchObject([{ quota_tag: "calls", subject: "remote", held: 4 }]);
    const check = { ...PLACE, subject: "remote", action: "check" } as const;
    expect(await quota.run(check)).toMatchObject({ used: 3, held: 0 });
    await expect(quota.hold({ ...input, amount: 8 }, () => 1)).rejects.toMatchObject({
      code: "QUOTA_EXCEEDED",
      result: { used: 3 },
    });
  });

  it("have ids of the client, so that a repeated reserve holds once", async () => {
    const lost = new Set<string>();
    const { fetch: send } = globalThis;
    // Each first answer is lost after the server has decided.
    globalThis.fetch = async (...args) => {
      const response = await send(...args);
      const body = String(args[1]?.body);
      if (lost.has(body) || !body.includes('"reserve"')) return response;
      lost.add(body);
      throw new TypeError("fetch failed", { cause: new Error("lost") });
    };
    try {
      const reserve = { ...PLACE, subject: "lost", action: "reserve", amount: 4 } as const;
      const result = await remote.processor.quota.run(reserve);
      expect(result).toMatchObject({ held: 4, replayed: false });
      expect(lost.size).toBe(1);
    } finally {
      globalThis.fetch = send;
    }
  });
});

async function onStore() {
  const store = newStore();
  await using ductape = new Ductape({ store });
  await define(ductape);
  return { flags: ["--store", store], more: {} };
}

const onServer = () =>
  Promise.resolve({ flags: [], more: { DUCTAPE_URL: server.url, DUCTAPE_API_KEY: ROOT_KEY } });

describe.each([
  ["a store", onStore],
  ["a server", onServer],
])("commands about holds on %s", (_, place) => {
  it("reserve, list, commit and release", async () => {
    const { flags, more } = await place();
    const subject = ["--subject", "userId=cli"];
    const reserve = ["quota", "reserve", ...AT, ...subject, "--amount", "4", ...flags];
    const reserved = await run([...reserve, "--reservation", "c-1"], more);
    expect(reserved.code).toBe(0);
    expect(reserved.stderr).toMatch(
      /^set 4 aside for cli as hold c-1 until 2\S+: 0 of 10 used and 4 held\n$/,
    );
    expect(reserved.stdout).toMatch(
      /^RULE +USED +HELD +LIMIT +REMAINING +RESETS AT\n\S+ +0 +4 +10 +6/,
    );
    const second = await run([...reserve, "--ttl-ms", "60000", "--json"], more);
    const { id } = JSON.parse(second.stdout).reservation;
    const listed = await run(
      ["holds", "ls", ...AT.slice(0, 4), "--subject", "cli", ...flags],
      more,
    );
    expect(listed.stdout).toMatch(
      /^ID +QUOTA +SUBJECT +HELD +OPENED AT +EXPIRES AT\nc-1 +calls +cli +4 /,
    );
    const denied = await run([...reserve, "--at-least", "3"], more);
    expect(denied).toMatchObject({ code: 3 });
    expect(denied.stderr).toMatch(
      /^denied 3 for cli, it may fit in \d+ s: 0 of 10 used and 8 held/,
    );
    const commit = ["quota", "commit", ...AT, "--reservation", "c-1", "--amount", "5", ...flags];
    expect((await run(commit, more)).stderr).toBe(
      "counted 5 of hold c-1 for cli, 1 more than was held: 5 of 10 used and 4 held\n",
    );
    const release = ["holds", "release", id, ...AT, "--reason", "worker is gone", ...flags];
    expect((await run(release, more)).stderr).toBe(
      `released 4 of hold ${id} for cli: 5 of 10 used\n`,
    );
    const refund = ["quota", "decrement", ...AT, ...subject, "--of", "c-1", ...flags];
    expect((await run(refund, more)).stderr).toBe("took 5 from cli: 0 of 10 used\n");
  });

  it("exit with 2 without an id or a reason, and with 4 for an unknown one", async () => {
    const { flags, more } = await place();
    expect(await run(["quota", "commit", ...AT, ...flags], more)).toMatchObject({ code: 2 });
    expect(await run(["holds", "release", "x", ...AT, ...flags], more)).toMatchObject({ code: 2 });
    const unknown = ["holds", "release", "x", ...AT, "--reason", "none", ...flags];
    expect(await run(unknown, more)).toMatchObject({ code: 4 });
  });
});
