// What a client of a server answers while the server, or its store, cannot.
import { afterEach, describe, expect, it } from "vitest";
import { DuctapeError, RemoteDuctape, type OutagePolicy, type QuotaInput } from "ductape";
import type { RunningServer } from "ductape-server";
import { start, startWith, ROOT_KEY } from "./support.js";

const INPUT: QuotaInput = {
  env: "prd",
  product_tag: "shop",
  quota_tag: "calls",
  action: "increment",
  subject: "ada",
  amount: 3,
};
const SESSION = { ...INPUT, subject: undefined, session: { tag: "user", token: "a.b.c" } };
/** Nobody listens there. */
const NO_STORE = "postgres://127.0.0.1:1/none";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

function clientOf<const Policy extends OutagePolicy>(url: string, onStoreError?: Policy) {
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  const client = new RemoteDuctape({ url, apiKey: ROOT_KEY, retries: 0, onStoreError, logger });
  ends.push(() => client.close());
  return { quota: client.processor.quota, warnings };
}

async function serverOf(starting: Promise<RunningServer>): Promise<string> {
  const server = await starting;
  ends.push(() => server.close());
  return server.url;
}

/** Where a server was. */
async function nowhere(): Promise<string> {
  const { url, close } = await start();
  await close();
  return url;
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const fault: unknown = await call.catch((error: unknown) => error);
  return DuctapeError.is(fault) ? fault.code : `no fault: ${JSON.stringify(fault)}`;
}

const degraded = (allowed: boolean) => ({
  action: "increment",
  env: "prd",
  product_tag: "shop",
  quota_tag: "calls",
  subject: "ada",
  allowed,
  success: allowed,
  exceeded: false,
  code: "STORE_UNAVAILABLE",
  degraded: true,
  amount: 3,
  retry_after_ms: allowed ? 0 : null,
});

describe("a client of a server that is not there", () => {
  it("throws by default", async () => {
    const { quota, warnings } = clientOf(await nowhere());
    expect(await codeOf(quota.run(INPUT))).toBe("STORE_UNAVAILABLE");
    expect(await codeOf(quota.enforce(INPUT))).toBe("STORE_UNAVAILABLE");
    expect(await codeOf(quota.runAll([INPUT], { atomic: true }))).toBe("STORE_UNAVAILABLE");
    expect(await quota.runAll([INPUT])).toMatchObject([{ code: "STORE_UNAVAILABLE" }]);
    expect(warnings).toEqual([]);
  });

  it.each([
    ["allow", true],
    ["deny", false],
  ] as const)("by %s answers without it, and says so once", async (policy, allowed) => {
    const { quota, warnings } = clientOf(await nowhere(), policy);
    const answer = degraded(allowed);
    expect(await quota.run(INPUT)).toEqual(answer);
    expect(await quota.runAll([INPUT, INPUT])).toEqual([answer, answer]);
    expect(await quota.runAll([INPUT, INPUT], { atomic: true })).toEqual([answer, answer]);
    if (allowed) expect(await quota.enforce(INPUT)).toEqual(answer);
    else expect(await codeOf(quota.enforce(INPUT))).toBe("STORE_UNAVAILABLE");
    const outcome = allowed ? "allowed, and not counted" : "denied";
    expect(warnings).toEqual([`the store cannot answer: calls are ${outcome}`]);
  });

  it("by allow admits no session, whose token only the server can verify", async () => {
    const url = await nowhere();
    expect(await codeOf(clientOf(url, "allow").quota.run(SESSION))).toBe("STORE_UNAVAILABLE");
    expect(await clientOf(url, "deny").quota.run(SESSION)).toMatchObject({ allowed: false });
  });

  it("by allow admits nothing that is no input", async () => {
    const { quota } = clientOf(await nowhere(), "allow");
    for (const wrong of [null, 1, {}, { ...INPUT, env: 1 }, { ...INPUT, amount: "1" }]) {
      const answer: unknown = await Reflect.apply(quota.run, quota, [wrong]).catch(
        (error: unknown) => error,
      );
      expect(DuctapeError.is(answer), JSON.stringify(wrong)).toBe(true);
    }
  });
});

describe("a client of a server whose store is down", () => {
  const down = (onStoreError: OutagePolicy) =>
    serverOf(start({ store: NO_STORE, onStoreError, timeoutMs: 2_000 }));

  it("answers under its own policy if the server throws", async () => {
    const url = await down("throw");
    expect(await codeOf(clientOf(url).quota.run(INPUT))).toBe("STORE_UNAVAILABLE");
    expect(await clientOf(url, "allow").quota.run(INPUT)).toEqual(degraded(true));
    expect(await clientOf(url, "deny").quota.run(INPUT)).toEqual(degraded(false));
  });

  it.each([
    ["allow", true],
    ["deny", false],
  ] as const)("whose own policy is %s passes its answer on, or throws it", async (policy, is) => {
    const url = await down(policy);
    const answer = degraded(is);
    for (const own of ["allow", "deny"] as const) {
      const { quota } = clientOf(url, own);
      expect(await quota.run(INPUT)).toEqual(answer);
      expect(await quota.runAll([INPUT, { ...INPUT, amount: 4 }], { atomic: true })).toEqual([
        answer,
        { ...answer, amount: 4 },
      ]);
      if (is) expect(await quota.enforce(INPUT)).toEqual(answer);
    }
    const { quota } = clientOf(url);
    expect(await codeOf(quota.run(INPUT))).toBe("STORE_UNAVAILABLE");
    expect(await codeOf(quota.runAll([INPUT], { atomic: true }))).toBe("STORE_UNAVAILABLE");
    expect(await quota.runAll([INPUT])).toMatchObject([{ code: "STORE_UNAVAILABLE" }]);
  });
});

it("a client with any policy counts as ever while the server answers", async () => {
  const url = await serverOf(startWith([{ tag: "calls", limit: 4, period: "lifetime" }]));
  const input = { ...INPUT, subject: undefined };
  const { quota, warnings } = clientOf(url, "allow");
  expect(await quota.run(input)).toMatchObject({ degraded: false, used: 3 });
  expect(await quota.run(input)).toMatchObject({ code: "QUOTA_EXCEEDED", used: 3 });
  expect(await codeOf(quota.enforce(input))).toBe("QUOTA_EXCEEDED");
  expect(await codeOf(quota.run({ ...input, quota_tag: "none" }))).toBe("QUOTA_NOT_FOUND");
  expect(warnings).toEqual([]);
});

it("an option of a client that is no policy is refused by name", () => {
  const make = () => Reflect.construct(RemoteDuctape, [{ url: "http://a", onStoreError: "no" }]);
  expect(make).toThrow(/options.onStoreError: expects throw, allow or deny, got "no"/);
});
