import { describe, expect, it } from "vitest";
import { DuctapeError } from "ductape";
import type { Outcome } from "../src/decide/outcome.js";
import { compileQuota, QUOTA } from "../src/define/quota.js";
import { planStep } from "../src/quota/plan.js";
import type { Plan } from "../src/decide/plan.js";
import { parseRequest } from "../src/quota/request.js";
import type { CallOptions } from "../src/base/call.js";
import { Batching, type BatchingOptions } from "../src/stores/batching.js";
import { doneOf } from "./done.js";
import { inputOf, randomOf, seedOf } from "./support.js";

const SEED = seedOf();
const body = QUOTA.parse({ tag: "q", limit: null, period: "lifetime" });
const identity = QUOTA.identify(body, null, { newUid: () => "uid", nowMs: 0, coLocate: false });
const quota = compileQuota({ body, identity }, "shop", { slug: "prd", uid: "uid" }, new Map());

/** A plan that its amount distinguishes from others. */
function planOf(amount: number): Plan {
  return [
    planStep(
      parseRequest(inputOf({ amount }), () => ""),
      null,
      quota,
      0,
    ),
  ];
}

/** Batches for an engine that records its plans, may be busy and may fail. */
class Bench {
  readonly batches: number[][] = [];
  readonly batching: Batching;
  isBusy = false;
  fault: Error | null = null;
  tries = 0;

  constructor(options: Partial<BatchingOptions> = {}) {
    const bounds = { batchPlansMax: 100, queuePlansMax: 1_000, timeoutMs: 60_000, ...options };
    this.batching = new Batching((plans) => this.#flush(plans), bounds);
  }

  submit(amount: number, options?: CallOptions): Promise<string> {
    return this.batching.submit(planOf(amount), options).then(
      (outcome) => (outcome === "stale" ? outcome : "decided"),
      (error: unknown) => (DuctapeError.is(error) ? error.code : String(error)),
    );
  }

  submitAll(first: number, count: number, options?: CallOptions): Promise<string[]> {
    return Promise.all(Array.from({ length: count }, (_, i) => this.submit(first + i, options)));
  }

  #flush(plans: readonly Plan[]): Outcome[] | null {
    this.tries++;
    if (this.isBusy) return null;
    this.batches.push(plans.map(([{ amount }]) => amount));
    const { fault } = this;
    this.fault = null;
    if (fault !== null) throw fault;
    return plans.map(doneOf);
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Waits, while `holds` is not true, for the engine to be asked again. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

describe("the calls of one turn", () => {
  it("form one batch, in order, including calls made on answers", async () => {
    const bench = new Bench();
    const first = bench.submitAll(1, 3);
    const later = Promise.resolve().then(() => bench.submitAll(4, 2));
    expect(await first).toEqual(["decided", "decided", "decided"]);
    await later;
    await Promise.all([bench.submit(6).then(() => bench.submit(8)), bench.submit(7)]);
    expect(bench.batches).toEqual([[1, 2, 3, 4, 5], [6, 7], [8]]);
  });

  it("are split into batches of a bounded size, still in their order", async () => {
    const bench = new Bench({ batchPlansMax: 4 });
    await bench.submitAll(1, 10);
    expect(bench.batches).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [9, 10],
    ]);
  });
});

describe("a queue that is full", () => {
  it("refuses one more call, saying how many wait, and accepts calls again later", async () => {
    const bench = new Bench({ queuePlansMax: 3 });
    const waiting = bench.submitAll(1, 3);
    const refused: unknown = await bench.batching
      .submit(planOf(4))
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "OVERLOADED",
      retryable: true,
      message: "3 calls are already waiting for the store; try again later",
    });
    expect(await waiting).toEqual(["decided", "decided", "decided"]);
    expect(await bench.submit(5)).toBe("decided");
    expect(bench.batches).toEqual([[1, 2, 3], [5]]);
  });

  it("has room again for each call that is given up", async () => {
    const bench = new Bench({ queuePlansMax: 2 });
    bench.isBusy = true;
    const giveUp = new AbortController();
    const given = bench.submit(1, { signal: giveUp.signal });
    const kept = bench.submit(2);
    expect(await bench.submit(3)).toBe("OVERLOADED");
    giveUp.abort();
    expect(await given).toBe("ABORTED");
    const taken = bench.submit(4);
    bench.isBusy = false;
    expect(await Promise.all([kept, taken])).toEqual(["decided", "decided"]);
    expect(bench.batches).toEqual([[2, 4]]);
  });
});

describe("a call with a signal", () => {
  it("is never sent if the signal is already aborted, and fails with its reason", async () => {
    const bench = new Bench();
    const signal = AbortSignal.abort("enough");
    const refused: unknown = await bench.batching
      .submit(planOf(1), { signal })
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "ABORTED", cause: "enough", retryable: false });
    await turn();
    expect(bench.tries).toBe(0);
  });

  it("is given up in the turn it was made, and the others are sent", async () => {
    const bench = new Bench();
    const giveUp = new AbortController();
    const calls = [bench.submit(1), bench.submit(2, { signal: giveUp.signal }), bench.submit(3)];
    giveUp.abort();
    expect(await Promise.all(calls)).toEqual(["decided", "ABORTED", "decided"]);
    expect(bench.batches).toEqual([[1, 3]]);
  });

  it("is given up while the engine is busy", async () => {
    const bench = new Bench();
    bench.isBusy = true;
    const giveUp = new AbortController();
    const call = bench.submit(1, { signal: giveUp.signal });
    await until(() => bench.tries === 2);
    giveUp.abort();
    expect(await call).toBe("ABORTED");
    bench.isBusy = false;
    expect(await bench.submit(2)).toBe("decided");
    expect(bench.batches).toEqual([[2]]);
  });

  it("keeps its answer if the signal is aborted afterwards", async () => {
    const bench = new Bench();
    const giveUp = new AbortController();
    const call = bench.submit(1, { signal: giveUp.signal });
    void call.then(() => giveUp.abort());
    expect(await call).toBe("decided");
    giveUp.abort();
    await turn();
    expect(await call).toBe("decided");
    expect(bench.batches).toEqual([[1]]);
  });
});

describe("a call whose time is over", () => {
  it("is TIMEOUT while the engine is busy, each after its own time, and never sent", async () => {
    const bench = new Bench({ timeoutMs: 60_000 });
    bench.isBusy = true;
    const patient = bench.submit(1);
    const startMs = performance.now();
    const [short, longer] = await Promise.all([
      bench.batching.submit(planOf(2), { timeoutMs: 20 }).catch((error: unknown) => error),
      bench.submit(3, { timeoutMs: 60 }),
    ]);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(59);
    expect(short).toMatchObject({ code: "TIMEOUT", retryable: true });
    expect(String(short)).toContain("busy for 20 ms");
    expect(longer).toBe("TIMEOUT");
    bench.isBusy = false;
    expect(await patient).toBe("decided");
    expect(bench.batches).toEqual([[1]]);
  });

  it("does not count when it is its turn too late, behind a slow batch", async () => {
    const bench = new Bench({ batchPlansMax: 1 });
    const first = bench.submit(1);
    const second = bench.submit(2, { timeoutMs: 5 });
    const startMs = performance.now();
    while (performance.now() - startMs < 10);
    expect(await Promise.all([first, second])).toEqual(["decided", "TIMEOUT"]);
    expect(bench.batches).toEqual([[1]]);
  });
});

describe("a batch that fails", () => {
  it("fails its own calls alone: those behind it and after it are decided", async () => {
    const bench = new Bench({ batchPlansMax: 2 });
    bench.fault = new Error("the disk failed");
    const calls = bench.submitAll(1, 3);
    expect(await calls).toEqual(["Error: the disk failed", "Error: the disk failed", "decided"]);
    expect(await bench.submit(4)).toBe("decided");
    expect(bench.batches).toEqual([[1, 2], [3], [4]]);
  });

  it("leaves no rejection unhandled", async () => {
    const unhandled: unknown[] = [];
    const listen = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", listen);
    const bench = new Bench();
    bench.fault = new Error("the disk failed");
    const call = bench.batching.submit(planOf(1)).catch(String);
    await bench.batching.drain();
    await turn();
    process.off("unhandledRejection", listen);
    expect(await call).toBe("Error: the disk failed");
    expect(unhandled).toEqual([]);
  });
});

describe("draining", () => {
  it("ends when every call has its answer, or at once if none is waiting", async () => {
    const bench = new Bench({ batchPlansMax: 2 });
    await bench.batching.drain();
    let answers = 0;
    const calls = Array.from({ length: 5 }, (_, i) => bench.submit(i).then(() => answers++));
    await Promise.all([bench.batching.drain(), bench.batching.drain()]);
    await Promise.resolve();
    await Promise.all(calls);
    expect(answers).toBe(5);
    expect(bench.batches).toEqual([[0, 1], [2, 3], [4]]);
  });

  it("ends if all waiting calls time out", async () => {
    const bench = new Bench();
    bench.isBusy = true;
    const call = bench.submit(1, { timeoutMs: 10 });
    await bench.batching.drain();
    expect(await call).toBe("TIMEOUT");
    expect(bench.batches).toEqual([]);
  });
});

describe("a random schedule", () => {
  it(`sends each plan once or reports that it was not sent (SEED=${SEED})`, async () => {
    const random = randomOf(SEED);
    for (let round = 0; round < 40; round++) {
      const bench = new Bench({ batchPlansMax: 1 + random.below(8), queuePlansMax: 24 });
      const answers: Promise<string>[] = [];
      const signals: AbortController[] = [];
      for (let step = 0; step < 60; step++) {
        const kind = random.below(10);
        if (kind < 6) {
          const giveUp = new AbortController();
          if (random.below(3) === 0) signals.push(giveUp);
          const timeoutMs = random.below(6) === 0 ? 1 : 60_000;
          answers.push(bench.submit(answers.length, { signal: giveUp.signal, timeoutMs }));
        } else if (kind === 6) signals.shift()?.abort();
        else if (kind === 7) bench.isBusy = random.below(2) === 0;
        else if (kind === 8 && random.below(4) === 0) bench.fault = new Error("it failed");
        else await turn();
      }
      bench.isBusy = false;
      await bench.batching.drain();
      const told = await Promise.all(answers);
      const sent = bench.batches.flat();
      expect(sent, "in the order they came, each once").toEqual(
        [...new Set(sent)].toSorted((a, b) => a - b),
      );
      told.forEach((answer, i) => {
        const wasSent = answer === "decided" || answer === "Error: it failed";
        expect(sent.includes(i), `round ${round}, plan ${i}: ${answer}`).toBe(wasSent);
        if (!wasSent) expect(["ABORTED", "TIMEOUT", "OVERLOADED"]).toContain(answer);
      });
    }
  });
});
