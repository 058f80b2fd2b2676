// quota.hold: what is set aside while a function runs, and how it ends.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Ductape, Hold, QuotaInput } from "ductape";
import { clientWith, faultOf, inputOf } from "./support.js";

const START_MS = Date.UTC(2026, 4, 15, 12);
const TTL_MS = 60_000;
const INPUT = { env: "prd", product_tag: "shop", quota_tag: "q", amount: 4, ttl_ms: TTL_MS };
let nowMs = START_MS;
let warnings: string[] = [];

beforeEach(() => {
  nowMs = START_MS;
  warnings = [];
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets time pass for the store and for the timers of the client. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    nowMs += Math.min(left, 1_000);
    await vi.advanceTimersByTimeAsync(Math.min(left, 1_000));
  }
}

const logger = { warn: (text: string) => void warnings.push(text) };
const open = (): Promise<Ductape> =>
  clientWith([{ tag: "q", limit: 10, period: "day" }], { clock: () => nowMs, logger });

async function counted({ processor }: Ductape) {
  const { used, held } = await processor.quota.run(inputOf({ action: "check", amount: 0 }));
  return { used, held };
}

describe("quota.hold around a function", () => {
  it("sets the amount aside while it runs, and commits what it used", async () => {
    await using ductape = await open();
    const text = await ductape.processor.quota.hold(INPUT, async (hold) => {
      expect(hold.amount).toBe(4);
      expect(await counted(ductape)).toEqual({ used: 0, held: 4 });
      hold.use(1);
      hold.use(2);
      expect(hold.used).toBe(3);
      return "done";
    });
    expect(text).toBe("done");
    expect(await counted(ductape)).toEqual({ used: 3, held: 0 });
  });

  it("commits the whole amount if it says nothing of its use", async () => {
    await using ductape = await open();
    await ductape.processor.quota.hold(INPUT, () => undefined);
    expect(await counted(ductape)).toEqual({ used: 4, held: 0 });
  });

  it("counts what was used past what was set aside", async () => {
    await using ductape = await open();
    await ductape.processor.quota.hold(INPUT, (hold) => hold.use(12));
    expect(await counted(ductape)).toEqual({ used: 12, held: 0 });
  });

  it("adds up fractions without the noise of floats", async () => {
    await using ductape = await clientWith([{ tag: "q", limit: 10, period: "day", decimals: 1 }], {
      clock: () => nowMs,
    });
    await ductape.processor.quota.hold(INPUT, (hold) => {
      hold.use(0.1);
      hold.use(0.2);
    });
    expect(await counted(ductape)).toEqual({ used: 0.3, held: 0 });
  });

  it("releases the hold when the function throws, and throws its own error", async () => {
    await using ductape = await open();
    const error = new RangeError("of the work");
    const failing = ductape.processor.quota.hold(INPUT, (hold) => {
      hold.use(1);
      throw error;
    });
    await expect(failing).rejects.toBe(error);
    expect(await counted(ductape)).toEqual({ used: 0, held: 0 });
  });

  it("does not run the function if the limit denies, and throws QUOTA_EXCEEDED", async () => {
    await using ductape = await open();
    const work = vi.fn(() => 1);
    const fault = await faultOf(ductape.processor.quota.hold({ ...INPUT, amount: 11 }, work));
    expect(fault).toMatchObject({ code: "QUOTA_EXCEEDED", result: { limit: 10, used: 0 } });
    expect(work).not.toHaveBeenCalled();
  });

  it("takes what is left, from at_least", async () => {
    await using ductape = await open();
    await ductape.processor.quota.run(inputOf({ amount: 7 }));
    const input = { ...INPUT, amount: 5, at_least: 2 };
    expect(await ductape.processor.quota.hold(input, (hold) => hold.amount)).toBe(3);
    expect(await counted(ductape)).toEqual({ used: 10, held: 0 });
  });

  it("keeps the hold far longer than its time while it runs", async () => {
    await using ductape = await open();
    await ductape.processor.quota.hold(INPUT, async () => {
      await pass(10 * TTL_MS);
      expect(await counted(ductape)).toEqual({ used: 0, held: 4 });
    });
    expect(await counted(ductape)).toEqual({ used: 4, held: 0 });
    expect(warnings).toEqual([]);
  });

  it("refuses a use that is no amount", async () => {
    await using ductape = await open();
    await ductape.processor.quota.hold(INPUT, (hold) => {
      for (const amount of [-1, Number.NaN, Infinity]) {
        expect(() => hold.use(amount)).toThrow("expects a number from 0");
      }
    });
  });
});

describe("the signal of a hold", () => {
  it("is aborted by the caller's: its use is committed, even if the work throws", async () => {
    await using ductape = await open();
    for (const isThrown of [false, true]) {
      const caller = new AbortController();
      const { signal } = caller;
      const work = ductape.processor.quota.hold(
        INPUT,
        async (hold) => {
          hold.use(2);
          caller.abort(new Error("gone"));
          if (isThrown) throw hold.signal.reason;
          return hold.signal.aborted;
        },
        { signal },
      );
      if (isThrown) await expect(work).rejects.toThrow("gone");
      else expect(await work).toBe(true);
    }
    expect(await counted(ductape)).toEqual({ used: 4, held: 0 });
  });

  it("is aborted without a use: the hold is released", async () => {
    await using ductape = await open();
    const caller = new AbortController();
    await ductape.processor.quota.hold(INPUT, () => caller.abort(), { signal: caller.signal });
    expect(await counted(ductape)).toEqual({ used: 0, held: 0 });
  });

  it("is aborted when somebody releases the hold, and the commit says so", async () => {
    await using ductape = await open();
    const fault = await faultOf(
      ductape.processor.quota.hold({ ...INPUT, reservation: "job" }, async (hold) => {
        hold.use(2);
        const release = { action: "release", reservation: "job", reason: "stuck" } as const;
        await ductape.processor.quota.run(inputOf(release));
        await pass(TTL_MS);
        expect(hold.signal.aborted).toBe(true);
        expect(hold.signal.reason).toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
      }),
    );
    expect(fault).toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    expect(warnings).toEqual([
      'hold "job" of quota "q" is lost: its amount is no longer set aside',
    ]);
    expect(await counted(ductape)).toEqual({ used: 0, held: 0 });
  });

  it("is aborted when it expired and its amount is gone; its use is counted", async () => {
    await using ductape = await open();
    await ductape.processor.quota.hold(INPUT, async (hold) => {
      hold.use(3);
      // The process was stopped for longer than the hold lasts, and others took what was free.
      nowMs += 2 * TTL_MS;
      await ductape.processor.quota.run(inputOf({ amount: 10 }));
      await pass(TTL_MS);
      expect(hold.signal.reason).toMatchObject({ code: "QUOTA_EXCEEDED" });
    });
    expect(await counted(ductape)).toEqual({ used: 13, held: 0 });
  });

  it("is aborted by close(), which waits for the work and counts its use", async () => {
    const ductape = await open();
    let ended = false;
    const work = ductape.processor.quota.hold(INPUT, async (hold) => {
      await new Promise((resolve) => hold.signal.addEventListener("abort", resolve));
      hold.use(2);
      ended = true;
    });
    await vi.advanceTimersByTimeAsync(0);
    await ductape.close();
    expect(ended).toBe(true);
    await work;
    expect(await faultOf(counted(ductape))).toMatchObject({ code: "STORE_UNAVAILABLE" });
    const late = faultOf(ductape.processor.quota.hold(INPUT, () => 1));
    expect(await late).toMatchObject({ code: "STORE_UNAVAILABLE" });
  });
});

describe("a hold without a function", () => {
  it("is settled at the end of its scope by what was used, or released", async () => {
    await using ductape = await open();
    {
      await using hold = await ductape.processor.quota.hold(INPUT);
      hold.use(3);
      expect(await counted(ductape)).toEqual({ used: 0, held: 4 });
    }
    expect(await counted(ductape)).toEqual({ used: 3, held: 0 });
    {
      await using _ = await ductape.processor.quota.hold(INPUT);
    }
    expect(await counted(ductape)).toEqual({ used: 3, held: 0 });
  });

  it("is settled once, by commit or release", async () => {
    await using ductape = await open();
    const quota = ductape.quota({ env: "prd", product_tag: "shop", quota_tag: "q" });
    {
      await using hold = await quota.hold({ amount: 4 });
      expect(await hold.commit(1)).toMatchObject({ reservation: { charged: 1 }, used: 1 });
      hold.use(9);
      expect(hold.isSettled).toBe(true);
    }
    {
      await using hold = await quota.hold({ amount: 4 });
      hold.use(9);
      expect(await hold.release("not needed")).toMatchObject({ held: 0, used: 1 });
    }
    expect(await counted(ductape)).toEqual({ used: 1, held: 0 });
  });

  it("that is still being reserved when the client closes is settled as well", async () => {
    const ductape = await open();
    const { quota } = ductape.processor;
    const run = quota.run.bind(quota);
    const settled: string[] = [];
    let isReserved: (() => void) | undefined;
    vi.spyOn(quota, "run").mockImplementation(async (input, options) => {
      const result = await run(input, options);
      settled.push(input.action);
      if (input.action === "reserve") {
        await new Promise<void>((resolve) => {
          isReserved = resolve;
        });
      }
      return result;
    });
    const alone = quota.hold(INPUT);
    await vi.advanceTimersByTimeAsync(0);
    const closing = ductape.close();
    isReserved?.();
    expect((await alone).signal.aborted).toBe(true);
    await closing;
    expect(settled).toEqual(["reserve", "release"]);
  });

  it("is settled by close() if nobody else does", async () => {
    const ductape = await open();
    const hold: Hold = await ductape.processor.quota.hold(INPUT);
    hold.use(2);
    await ductape.close();
    expect(hold.isSettled).toBe(true);
    expect(hold.signal.aborted).toBe(true);
  });
});

describe("a hold of a session", () => {
  it("is settled after its token has expired", async () => {
    await using ductape = await open();
    const session = { tag: "login", name: "Login", schema: { userId: "u" } };
    await ductape.product.sessions.create("shop", {
      ...session,
      selector: "$Session{userId}",
      expiry: 1,
      period: "minutes",
    });
    const { token } = await ductape.processor.sessions.start({
      product: "shop",
      env: "prd",
      tag: "login",
      data: { userId: "ada" },
    });
    const input = { ...INPUT, session: { tag: "login", token } };
    await ductape.processor.quota.hold(input, () => pass(10 * TTL_MS));
    expect(await counted(ductape)).toEqual({ used: 4, held: 0 });
  });
});

describe("a hold whose store cannot answer for a while", () => {
  it("goes on over a lost heartbeat, and its commit is repeated", async () => {
    await using ductape = await open();
    const { quota } = ductape.processor;
    let faults = 0;
    await quota.hold(INPUT, async (hold) => {
      const run = vi.spyOn(quota, "run").mockImplementation(() => {
        faults++;
        const down = new Error("down");
        return Promise.reject(Object.assign(down, { code: "STORE_UNAVAILABLE" }));
      });
      await pass(TTL_MS / 2);
      run.mockRestore();
      expect(faults).toBeGreaterThan(0);
      await pass(TTL_MS);
      expect(hold.signal.aborted).toBe(false);
    });
    expect(warnings[0]).toContain("could not be extended; it goes on");
    expect(await counted(ductape)).toEqual({ used: 4, held: 0 });
  });

  it("commits again what the policy for an outage only admitted", async () => {
    await using ductape = await open();
    const { quota } = ductape.processor;
    const run = quota.run.bind(quota);
    let commits = 0;
    const spy = vi.spyOn(quota, "run");
    Reflect.apply(spy.mockImplementation, spy, [
      async (input: QuotaInput) => {
        if (input.action !== "commit" || commits++ > 0) return run(input);
        return { ...(await run({ ...input, action: "check", reservation: {} })), degraded: true };
      },
    ]);
    const work = quota.hold(INPUT, (hold) => hold.use(2));
    await vi.advanceTimersByTimeAsync(1_000);
    await work;
    spy.mockRestore();
    expect(commits).toBe(2);
    expect(await counted(ductape)).toEqual({ used: 2, held: 0 });
  });

  it("runs without a hold under onStoreError allow, and counts its use afterwards", async () => {
    await using ductape = await open();
    const { quota } = ductape.processor;
    const degraded = {
      action: "reserve",
      env: "prd",
      product_tag: "shop",
      quota_tag: "q",
      subject: null,
      exceeded: false,
      code: "STORE_UNAVAILABLE",
      degraded: true,
      amount: 4,
      allowed: true,
      success: true,
      retry_after_ms: 0,
    };
    const run = vi.spyOn(quota, "run");
    Reflect.apply(run.mockImplementationOnce, run, [() => Promise.resolve(degraded)]);
    await quota.hold(INPUT, (hold) => {
      expect(hold.id).toBe(null);
      hold.use(11);
    });
    expect(await counted(ductape)).toEqual({ used: 11, held: 0 });
  });
});
