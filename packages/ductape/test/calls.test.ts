import { mkdirSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { Ductape, DuctapeError, QuotaExceededError, type OutagePolicy } from "ductape";
import { openSqlite, type Sqlite } from "../src/stores/sqlite/driver.js";
import { callAny, clientWith, faultOf, inputOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
afterEach(() => {
  vi.unstubAllEnvs();
});

const quota = { tag: "q", limit: 5, period: "lifetime" } as const;
const input = inputOf();
const silent = { warn: () => undefined };
/** For calls that only prepare or look, whatever the client's own time is. */
const PATIENT = { timeoutMs: 60_000 };
let files = 0;
const newPath = (): string => `${folder.path}/${++files}/store.db`;

async function usedOf(ductape: Ductape<OutagePolicy>): Promise<number> {
  const check = { ...input, action: "check", amount: 0 } as const;
  const result = await ductape.processor.quota.run(check, PATIENT);
  return result.degraded ? Number.NaN : result.used;
}

/** Holds the write lock of a file, as another process would. */
async function lock(path: string): Promise<Sqlite> {
  const other = await openSqlite(path);
  other.exec("BEGIN IMMEDIATE");
  return other;
}

describe.each(storeUrls(folder.path))("the options of a call on %s", (store) => {
  it("are VALIDATION that names the wrong one, and count nothing", async () => {
    await using ductape = await clientWith([quota], { store });
    const bad: readonly (readonly [string, unknown])[] = [
      ["options.timeoutMs", { timeoutMs: 0 }],
      ["options.timeoutMs", { timeoutMs: -1 }],
      ["options.timeoutMs", { timeoutMs: Number.NaN }],
      ["options.timeoutMs", { timeoutMs: Infinity }],
      ["options.timeoutMs", { timeoutMs: 2 ** 31 }],
      ["options.timeoutMs", { timeoutMs: "100" }],
      ["options.timeoutMs", { timeoutMs: null }],
      ["options.signal", { signal: null }],
      ["options.signal", { signal: true }],
      ["options.signal", { signal: { aborted: false } }],
      ["options.timeout", { timeout: 5 }],
      ["options", null],
      ["options", 5],
      ["options", "fast"],
      ["options", []],
    ];
    for (const [path, options] of bad) {
      for (const name of ["run", "enforce"] as const) {
        const fault = await faultOf(callAny(ductape.processor.quota, name, input, options));
        expect(fault.code, path).toBe("VALIDATION");
        expect(fault.issues?.map((issue) => issue.path)).toEqual([path]);
      }
      const fault = await faultOf(callAny(ductape.processor.quota, "runAll", [input], options));
      expect(fault.issues?.map((issue) => issue.path)).toEqual([path]);
    }
    const atomic = await faultOf(
      callAny(ductape.processor.quota, "runAll", [input], { atomic: 1 }),
    );
    expect(atomic.issues).toMatchObject([{ path: "options.atomic" }]);
    expect(await usedOf(ductape)).toBe(0);
    await ductape.product.delete("shop", { force: true });
  });

  it("may be left out, undefined or {}, as a whole and each", async () => {
    await using ductape = await clientWith([quota], { store });
    await callAny(ductape.processor.quota, "run", input, undefined);
    await callAny(ductape.processor.quota, "run", input, {});
    await callAny(ductape.processor.quota, "run", input, {
      signal: undefined,
      timeoutMs: undefined,
    });
    await callAny(ductape.processor.quota, "run", input, { signal: {}, timeoutMs: {} });
    await callAny(ductape.processor.quota, "runAll", [input], {
      signal: {},
      timeoutMs: {},
      atomic: {},
    });
    expect(await usedOf(ductape)).toBe(5);
    await ductape.product.delete("shop", { force: true });
  });

  it("abort a call alone, in a list and in an atomic list, and count nothing", async () => {
    await using ductape = await clientWith([quota], { store });
    const signal = AbortSignal.abort("enough");
    const { quota: calls } = ductape.processor;
    expect(await faultOf(calls.run(input, { signal }))).toMatchObject({ cause: "enough" });
    expect(await faultOf(calls.enforce(input, { signal }))).toMatchObject({ code: "ABORTED" });
    const atomic = calls.runAll([input, input], { signal, atomic: true });
    expect(await faultOf(atomic)).toMatchObject({ code: "ABORTED" });
    expect(await calls.runAll([input], { signal })).toMatchObject([{ code: "ABORTED" }]);
    await using fresh = new Ductape({ store });
    expect(await faultOf(fresh.processor.quota.run(input, { signal }))).toMatchObject({
      code: "ABORTED",
    });
    expect(await usedOf(ductape)).toBe(0);
    await ductape.product.delete("shop", { force: true });
  });
});

describe("the time of a call", () => {
  const timeOf = async (make: (store: string) => Ductape, timeoutMs?: number): Promise<number> => {
    const path = newPath();
    await (await clientWith([quota], { store: `sqlite:${path}` })).close();
    await using ductape = make(`sqlite:${path}`);
    await ductape.processor.quota.run(input, PATIENT);
    const other = await lock(path);
    const startMs = performance.now();
    const options = timeoutMs === undefined ? undefined : { timeoutMs };
    const fault = await faultOf(ductape.processor.quota.run(input, options));
    const tookMs = performance.now() - startMs;
    other.close();
    expect(fault).toMatchObject({ code: "TIMEOUT", retryable: true });
    expect(await usedOf(ductape)).toBe(1);
    expect(fault.message).toContain(`busy for ${Math.floor(Number(options?.timeoutMs ?? 40))} ms`);
    return tookMs;
  };

  it("is that of its options, else of the client's, else of the variable", async () => {
    const long = (store: string) => new Ductape({ store, timeoutMs: 60_000 });
    expect(await timeOf(long, 60)).toBeGreaterThanOrEqual(59);
    vi.stubEnv("DUCTAPE_TIMEOUT_MS", "60000");
    await timeOf((store) => new Ductape({ store, timeoutMs: 40 }));
    vi.stubEnv("DUCTAPE_TIMEOUT_MS", "40");
    await timeOf((store) => new Ductape({ store }));
  });
});

describe("onStoreError", () => {
  const degraded = (code: string, isAllowed: boolean) => ({
    action: "increment",
    env: "prd",
    product_tag: "shop",
    quota_tag: "q",
    subject: "u",
    allowed: isAllowed,
    success: isAllowed,
    exceeded: false,
    code,
    degraded: true,
    amount: 2,
    retry_after_ms: isAllowed ? 0 : null,
  });
  const asked = inputOf({ subject: "u", amount: 2 });

  describe.each([
    ["cannot be opened", "STORE_UNAVAILABLE"],
    ["stays busy", "TIMEOUT"],
  ])("where the store %s", (_, code) => {
    const broken = async (onStoreError: OutagePolicy | undefined) => {
      const path = newPath();
      const warnings: string[] = [];
      const logger = { warn: (message: string) => void warnings.push(message) };
      const options = { store: `sqlite:${path}`, onStoreError, logger };
      if (code === "STORE_UNAVAILABLE") {
        mkdirSync(path, { recursive: true });
        const repair = async () => {
          rmSync(path, { recursive: true });
          await (await clientWith([quota], { store: `sqlite:${path}` })).close();
        };
        return { ductape: new Ductape(options), warnings, repair };
      }
      const ductape = await clientWith([quota], { ...options, timeoutMs: 30 });
      const other = await lock(path);
      return { ductape, warnings, repair: async () => other.close() };
    };

    it("throws by default, and nothing is counted", async () => {
      const { ductape, warnings, repair } = await broken(undefined);
      const { quota: calls } = ductape.processor;
      expect(await faultOf(calls.run(asked))).toMatchObject({ code });
      expect(await faultOf(calls.enforce(asked))).toMatchObject({ code });
      expect(await faultOf(calls.runAll([asked], { atomic: true }))).toMatchObject({ code });
      expect(await calls.runAll([asked])).toMatchObject([{ code, message: expect.any(String) }]);
      await repair();
      expect(await usedOf(ductape)).toBe(0);
      expect(warnings).toEqual([]);
      await ductape.close();
    });

    it.each([
      ["allow", true],
      ["deny", false],
    ] as const)("answers by %s with a marked result, in every call", async (policy, isAllowed) => {
      const { ductape, warnings, repair } = await broken(policy);
      const { quota: calls } = ductape.processor;
      expect(await calls.run(asked)).toEqual(degraded(code, isAllowed));
      const each = [degraded(code, isAllowed), degraded(code, isAllowed)];
      expect(await calls.runAll([asked, asked])).toEqual(each);
      expect(await calls.runAll([asked, asked], { atomic: true })).toEqual(each);
      if (isAllowed) expect(await calls.enforce(asked)).toEqual(degraded(code, true));
      else {
        const fault = await faultOf(calls.enforce(asked));
        expect(fault).toMatchObject({ code, retryable: code === "TIMEOUT" });
        expect(fault).not.toBeInstanceOf(QuotaExceededError);
      }
      const told = isAllowed ? "allowed, and not counted" : "denied";
      expect(warnings).toEqual([`the store cannot answer: calls are ${told}`]);
      await repair();
      expect(await usedOf(ductape), "nothing was counted").toBe(0);
      expect(await calls.run(asked, PATIENT)).toMatchObject({ degraded: false, used: 2 });
      await ductape.close();
    });
  });

  it.each(["allow", "deny"] as const)("by %s leaves every other fault as it is", async (policy) => {
    const path = newPath();
    const store = `sqlite:${path}`;
    await using ductape = await clientWith([quota], { store, onStoreError: policy });
    const { quota: calls } = ductape.processor;
    const faults: readonly (readonly [string, Promise<unknown>])[] = [
      ["VALIDATION", callAny(ductape.processor.quota, "run", { ...input, amount: -1 })],
      ["VALIDATION", callAny(ductape.processor.quota, "runAll", "no array")],
      ["VALIDATION", callAny(ductape.processor.quota, "runAll", [], { unknown: 1 })],
      [
        "VALIDATION",
        callAny(ductape.processor.quota, "runAll", [{ ...input, amount: -1 }], { atomic: true }),
      ],
      ["VALIDATION", callAny(ductape.processor.quota, "run", input, null)],
      ["PRODUCT_NOT_FOUND", calls.run({ ...input, product_tag: "none" })],
      ["QUOTA_NOT_FOUND", calls.enforce({ ...input, quota_tag: "none" })],
      ["ABORTED", calls.run(input, { signal: AbortSignal.abort() })],
      ["QUOTA_EXCEEDED", calls.enforce({ ...input, amount: 6 })],
    ];
    for (const [code, call] of faults) expect((await faultOf(call)).code).toBe(code);
    expect(await calls.runAll([])).toEqual([]);
    expect(await calls.run({ ...input, amount: 6 })).toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect(await usedOf(ductape)).toBe(0);
  });

  it("under allow returns what was asked, although the caller has changed its object", async () => {
    const store = `sqlite:${newPath()}`;
    const options = { store, onStoreError: "allow", logger: silent, timeoutMs: 30 } as const;
    await using ductape = await clientWith([quota], options);
    const other = await lock(store.slice("sqlite:".length));
    const { quota: calls } = ductape.processor;
    const mine = { ...asked };
    const told = [calls.run(mine), calls.enforce(mine), calls.runAll([mine], { atomic: true })];
    Object.assign(mine, { quota_tag: "other", amount: -1 });
    const [run, enforced, all] = await Promise.all(told);
    other.close();
    expect([run, enforced]).toEqual([degraded("TIMEOUT", true), degraded("TIMEOUT", true)]);
    expect(all).toEqual([degraded("TIMEOUT", true)]);
  });

  it("by allow leaves OVERLOADED as it is", async () => {
    const path = newPath();
    const options = { store: `sqlite:${path}`, onStoreError: "allow", logger: silent } as const;
    await using ductape = await clientWith([{ ...quota, limit: null }], options);
    await ductape.processor.quota.run(input);
    const other = await lock(path);
    const giveUp = new AbortController();
    const waiting = Array.from({ length: 65_536 }, () =>
      ductape.processor.quota.run(input, { signal: giveUp.signal }).catch(() => null),
    );
    expect(await faultOf(ductape.processor.quota.run(input))).toMatchObject({ code: "OVERLOADED" });
    giveUp.abort();
    await Promise.all(waiting);
    other.close();
    expect(await ductape.processor.quota.run(input)).toMatchObject({ used: 2 });
  });

  it.runIf(process.platform !== "win32")("by allow leaves OUTCOME_UNKNOWN as it is", async () => {
    const path = newPath();
    const options = { store: `sqlite:${path}`, onStoreError: "allow" } as const;
    await using ductape = await clientWith([quota], options);
    await ductape.processor.quota.run(input);
    rmSync(`${path}-wal`);
    await delay(15);
    const fault = await faultOf(ductape.processor.quota.run(input));
    expect(fault).toMatchObject({ code: "OUTCOME_UNKNOWN" });
  });
});

describe.each(["memory:", "sqlite:"])("close() on %s", (kind) => {
  const storeOf = (): string => (kind === "memory:" ? kind : `sqlite:${newPath()}`);

  it("finishes all it accepted and refuses every later call, each time it is called", async () => {
    const ductape = await clientWith([{ ...quota, limit: null }], { store: storeOf() });
    const { quota: calls } = ductape.processor;
    const accepted = Array.from({ length: 300 }, () => calls.run(input));
    const atomic = calls.runAll([input, input], { atomic: true });
    const closing = ductape.close();
    const later = [
      calls.run(input),
      calls.enforce(input),
      calls.runAll([input], { atomic: true }),
      ductape.product.fetchAll(),
      ductape.product.create({ tag: "later" }),
    ].map(faultOf);
    for (const fault of await Promise.all(later)) {
      expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
    }
    await Promise.all([closing, ductape.close()]);
    const results = await Promise.all(accepted);
    expect(results.every(({ allowed }) => allowed)).toBe(true);
    expect((await atomic).at(-1)).toMatchObject({ used: 302 });
    await ductape.close();
    expect((await faultOf(calls.run(input))).message).toBe("the client is closed; make a new one");
  });

  it("lets a call finish whose window passes before it is decided", async () => {
    const startMs = Date.UTC(2026, 0, 1);
    let readings = 0;
    // From the second reading on, where an engine with a round trip decides, it is the next hour.
    const clock = () => (readings++ === 0 ? startMs : startMs + 3_600_000);
    const hourly = { ...quota, period: "hour" } as const;
    const ductape = await clientWith([hourly], { store: storeOf(), clock });
    readings = 1;
    await ductape.processor.quota.run(input);
    readings = 0;
    const call = ductape.processor.quota.run(input);
    await ductape.close();
    expect(await call).toMatchObject({ allowed: true });
  });

  it("ends although callers go on asking", async () => {
    const ductape = await clientWith([{ ...quota, limit: null }], { store: storeOf() });
    let answers = 0;
    const caller = async (): Promise<string> => {
      for (;;) {
        try {
          await ductape.processor.quota.run(input);
          answers++;
        } catch (error) {
          return DuctapeError.is(error) ? error.code : String(error);
        }
        if (kind === "memory:" && answers > 10_000) await new Promise(setImmediate);
      }
    };
    const callers = Array.from({ length: 5_000 }, caller);
    await new Promise(setImmediate);
    await ductape.close();
    expect(new Set(await Promise.all(callers))).toEqual(new Set(["STORE_UNAVAILABLE"]));
    expect(answers).toBeGreaterThanOrEqual(5_000);
  });

  it("is what `await using` does, even if nothing was ever called", async () => {
    const store = storeOf();
    let kept: Ductape;
    {
      await using ductape = new Ductape({ store });
      kept = ductape;
    }
    expect(await faultOf(kept.processor.quota.run(input))).toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
  });
});

describe("close() on a file", () => {
  it("lets the calls that wait for opening count first", async () => {
    const store = `sqlite:${newPath()}`;
    await (await clientWith([quota], { store })).close();
    const ductape = new Ductape({ store });
    const calls = Array.from({ length: 3 }, () => ductape.processor.quota.run(input));
    await ductape.close();
    expect((await Promise.all(calls)).at(-1)).toMatchObject({ used: 3 });
    await using later = new Ductape({ store });
    expect(await usedOf(later)).toBe(3);
  });

  it("waits out a lock that calls wait for, and no longer than they do", async () => {
    const path = newPath();
    const ductape = await clientWith([quota], { store: `sqlite:${path}`, timeoutMs: 50 });
    await ductape.processor.quota.run(input, PATIENT);
    const other = await lock(path);
    const call = faultOf(ductape.processor.quota.run(input));
    const change = faultOf(ductape.product.create({ tag: "another" }));
    await ductape.close();
    expect(await call).toMatchObject({ code: "TIMEOUT" });
    expect(await change).toMatchObject({ code: "TIMEOUT" });
    other.close();
  });

  it("lets a change of a definition finish that was begun before", async () => {
    for (let ticks = 0; ticks < 12; ticks++) {
      const store = `sqlite:${newPath()}`;
      const ductape = await clientWith([quota], { store });
      const made = ductape.product.quotas.create("shop", { ...quota, tag: "made" });
      const changed = ductape.product.quotas.update("shop", "q", { limit: 9 });
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      await ductape.close();
      expect([(await made).revision, (await changed).revision]).toEqual([1, 2]);
      await using later = new Ductape({ store });
      const stored = await later.product.quotas.fetchAll("shop");
      expect(stored.map(({ tag, revision }) => [tag, revision])).toEqual([
        ["made", 1],
        ["q", 2],
      ]);
    }
  });
});
