import { describe, expect, it } from "vitest";
import { DuctapeError, StoreError, type CallOptions } from "ductape";
import { compileQuota, QUOTA } from "../src/define/quota.js";
import { planStep } from "../src/quota/plan.js";
import type { Plan } from "../src/decide/plan.js";
import { parseRequest } from "../src/quota/request.js";
import { Batching, type Answers, type BatchingOptions } from "../src/stores/batching.js";
import { doneOf } from "./done.js";
import { inputOf } from "./support.js";

const QUOTA_OF_USER = (() => {
  const scope = "$Session{userId}";
  const body = QUOTA.parse({ tag: "q", limit: null, period: "lifetime", scope });
  const identity = QUOTA.identify(body, null, { newUid: () => "uid", nowMs: 0, coLocate: false });
  return compileQuota({ body, identity }, "shop", { slug: "prd", uid: "uid" }, new Map());
})();

/** A plan; `amount` distinguishes it from others. */
function planOf(amount: number): Plan {
  return [
    planStep(
      parseRequest(inputOf({ amount, subject: "u" }), () => ""),
      null,
      QUOTA_OF_USER,
      0,
    ),
  ];
}

const DONE = doneOf(planOf(1));

interface Flight {
  readonly plans: readonly Plan[];
  readonly amounts: number[];
  end(answers: Answers): void;
  fail(fault: Error): void;
}

/** An engine that answers on command. */
class Engine {
  readonly flights: Flight[] = [];

  readonly flush = (plans: readonly Plan[]): Promise<Answers> =>
    new Promise((resolve, reject) => {
      const amounts = plans.map(([{ amount }]) => amount);
      this.flights.push({ plans, amounts, end: resolve, fail: reject });
    });

  /** The batch that was sent as number `i`, once it is. */
  async flight(i: number): Promise<Flight> {
    for (;;) {
      const flight = this.flights[i];
      if (flight !== undefined) return flight;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async land(i: number): Promise<void> {
    const { plans, end } = await this.flight(i);
    end(plans.map(doneOf));
  }
}

const OPTIONS = { batchPlansMax: 100, queuePlansMax: 1_000, timeoutMs: 60_000 };

function batchingOn(engine: Engine, options: Partial<BatchingOptions> = {}) {
  const batching = new Batching(engine.flush, { ...OPTIONS, ...options });
  const submit = (amount: number, call?: CallOptions) =>
    batching.submit(planOf(amount), call).then(
      (outcome): string => (outcome === "stale" ? outcome : "decided"),
      (error: unknown) => (DuctapeError.is(error) ? error.code : String(error)),
    );
  const submitAll = (first: number, count: number) =>
    Promise.all(Array.from({ length: count }, (_, i) => submit(first + i)));
  return { batching, submit, submitAll };
}

const turns = async (count = 5) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe("an engine that answers later", () => {
  it("gets the plans that arrived meanwhile as the next batch, in order", async () => {
    const engine = new Engine();
    const { submitAll } = batchingOn(engine);
    const first = submitAll(1, 3);
    await engine.flight(0);
    const second = submitAll(4, 2);
    await turns();
    expect(engine.flights.map(({ amounts }) => amounts)).toEqual([[1, 2, 3]]);
    await engine.land(0);
    expect(await first).toEqual(["decided", "decided", "decided"]);
    await engine.land(1);
    await second;
    expect(engine.flights.map(({ amounts }) => amounts)).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
  });

  it("gets a wave in as many batches as may be under way, but no small ones", async () => {
    const engine = new Engine();
    const { submitAll } = batchingOn(engine, { inFlightMax: 2 });
    const wave = submitAll(0, 40);
    await engine.flight(1);
    const late = submitAll(40, 10);
    await turns();
    expect(engine.flights.map(({ amounts }) => amounts.length)).toEqual([20, 20]);
    await engine.land(1);
    await engine.land(0);
    await wave;
    await turns();
    expect(engine.flights.slice(2).map(({ amounts }) => amounts.length)).toEqual([10]);
    await engine.land(2);
    await late;
  });

  it("is tried again if it was busy, with those plans first", async () => {
    const engine = new Engine();
    const { submitAll } = batchingOn(engine);
    const first = submitAll(1, 2);
    const { end } = await engine.flight(0);
    const second = submitAll(3, 1);
    end(null);
    await engine.land(1);
    expect(await first).toEqual(["decided", "decided"]);
    expect((await engine.flight(1)).amounts).toEqual([1, 2, 3]);
    await second;
  });

  it("is asked again for plans that it put aside, before others, in their order", async () => {
    const engine = new Engine();
    const { submitAll } = batchingOn(engine);
    const first = submitAll(1, 4);
    (await engine.flight(0)).end([DONE, null, DONE, null]);
    const later = submitAll(5, 2);
    expect((await engine.flight(1)).amounts).toEqual([2, 4, 5, 6]);
    await engine.land(1);
    expect(await first).toEqual(["decided", "decided", "decided", "decided"]);
    expect(await later).toEqual(["decided", "decided"]);
  });

  it("may fail one plan, or a whole batch, and continues", async () => {
    const engine = new Engine();
    const { submitAll, submit } = batchingOn(engine);
    const first = submitAll(1, 2);
    (await engine.flight(0)).end([new StoreError("STORE_UNAVAILABLE", "one"), DONE]);
    expect(await first).toEqual(["STORE_UNAVAILABLE", "decided"]);
    const second = submitAll(3, 2);
    (await engine.flight(1)).fail(new StoreError("OUTCOME_UNKNOWN", "all"));
    expect(await second).toEqual(["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"]);
    const third = submit(5);
    await engine.land(2);
    expect(await third).toBe("decided");
  });

  it("that never answers: sent is unknown, waiting is timed out or aborted", async () => {
    const engine = new Engine();
    const { submit, batching } = batchingOn(engine);
    const sent = submit(1, { timeoutMs: 60 });
    await engine.flight(0);
    const waiting = submit(2, { timeoutMs: 60 });
    const controller = new AbortController();
    const aborted = submit(3, { signal: controller.signal });
    const patient = submit(4);
    controller.abort();
    expect(await aborted).toBe("ABORTED");
    expect(await sent).toBe("OUTCOME_UNKNOWN");
    expect(await waiting).toBe("TIMEOUT");
    await engine.land(0);
    await engine.land(1);
    expect(await patient).toBe("decided");
    expect(engine.flights.map(({ amounts }) => amounts)).toEqual([[1], [4]]);
    await batching.drain();
  });

  it("is not asked again for a plan that was given up as unknown", async () => {
    const engine = new Engine();
    const { submit } = batchingOn(engine);
    const sent = submit(1, { timeoutMs: 30 });
    const { end } = await engine.flight(0);
    expect(await sent).toBe("OUTCOME_UNKNOWN");
    end(null);
    const next = submit(2);
    await engine.land(1);
    expect(await next).toBe("decided");
    expect((await engine.flight(1)).amounts).toEqual([2]);
  });

  it("is drained when the last batch has landed", async () => {
    const engine = new Engine();
    const { submit, batching } = batchingOn(engine);
    const call = submit(1);
    let isDrained = false;
    const drained = batching.drain().then(() => (isDrained = true));
    await engine.flight(0);
    await turns();
    expect(isDrained).toBe(false);
    await engine.land(0);
    await Promise.all([call, drained]);
  });
});
