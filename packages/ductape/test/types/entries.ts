// Programs of users of the other entries, compiled and never run: see results.ts.
import type { QuotaInput } from "ductape";
import { Ductape, DuctapeError, type DuctapeOptions, type OutagePolicy } from "ductape/remote";
import { apply, onlyReads, type Counters, type Plan, type Store } from "ductape/store";
import { manualClock, storeSuite } from "ductape/testing";

declare const input: QuotaInput;
declare const policy: OutagePolicy;
declare const options: DuctapeOptions;

export async function theRemoteClientAloneNarrowsAlike(): Promise<number> {
  const { quota } = new Ductape({ url: "http://a" }).processor;
  const result = await quota.run(input);
  if (result.allowed) void result.remaining?.toFixed();
  for (const lenient of [
    await new Ductape({ url: "http://a", onStoreError: "allow" }).processor.quota.run(input),
    await new Ductape({ url: "http://a", onStoreError: policy }).processor.quota.run(input),
    await new Ductape(options).processor.quota.run(input),
  ]) {
    // @ts-expect-error: a degraded answer has no numbers
    void lenient.used;
    if (!lenient.degraded) void lenient.used;
  }
  return result.used;
}

export function aFaultHasACode(fault: unknown): string | null {
  if (!DuctapeError.is(fault)) return null;
  // @ts-expect-error: there is no such code
  if (fault.code === "NOT_A_CODE") return null;
  return fault.issues?.[0]?.path ?? fault.code;
}

declare const counters: Counters;
declare const store: Omit<Store, "apply">;

export function aStoreOfOnesOwnRunsTheDecision(): Store {
  return {
    ...store,
    apply(plan: Plan) {
      // @ts-expect-error: a decision needs an instant
      if (onlyReads(plan)) return apply(counters, plan);
      const outcome = apply(counters, plan, plan[0].plannedMs);
      // @ts-expect-error: it may be stale
      void outcome[0].status;
      return outcome;
    },
  };
}

export function aClockIsSetByHand(): number {
  const clock = manualClock("2026-01-31T00:00:00Z");
  clock.set(0);
  // @ts-expect-error: it moves by milliseconds
  clock.advance("1 s");
  return clock.advance(1) + storeSuite.length;
}
