// Programs of users, compiled and never run: by `npm run lint` against the sources, and by
// consumers.test.ts against the packed files.
import {
  Ductape,
  EmbeddedDuctape,
  RemoteDuctape,
  type Admitted,
  type CallSignal,
  type Client,
  type Denied,
  type DuctapeOptions,
  type EmbeddedOptions,
  type OutagePolicy,
  type QuotaInput,
} from "ductape";

declare const input: QuotaInput;
declare const policy: OutagePolicy;
declare const options: EmbeddedOptions;
declare const anyOptions: DuctapeOptions;

/** True where two types are the same. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const expectTrue = <T extends true>(): T | undefined => undefined;

export async function byDefaultAResultHasItsNumbers(): Promise<(number | null | string)[]> {
  const { quota } = new Ductape().processor;
  const result = await quota.run(input);
  const told: (number | null | string)[] = [result.used, result.remaining, result.rule];
  if (result.allowed) told.push(result.remaining, result.retry_after_ms.toFixed());
  const enforced = await quota.enforce(input);
  const [first] = await quota.runAll([input], { atomic: true });
  return [...told, enforced.remaining, first?.remaining ?? null];
}

export async function allowedAndCodeNarrowEachOther(): Promise<void> {
  const result = await new Ductape({ store: "memory:" }).processor.quota.run(input);
  if (result.allowed) {
    expectTrue<Same<typeof result, Admitted>>();
    expectTrue<Same<(typeof result)["code"], "OK">>();
  } else {
    expectTrue<Same<typeof result, Denied>>();
    expectTrue<Same<(typeof result)["code"], "QUOTA_EXCEEDED" | "NOT_APPLIED">>();
  }
  if (result.code === "OK") expectTrue<Same<typeof result, Admitted>>();
  if (!result.success) expectTrue<Same<typeof result, Denied>>();
  expectTrue<Same<(typeof result)["degraded"], false>>();
  // @ts-expect-error: no result is degraded where faults throw
  if (result.code === "STORE_UNAVAILABLE") return;
}

export async function anotherPolicyAddsDegradedAnswers(): Promise<number | null> {
  const { quota } = new Ductape({ store: "memory:", onStoreError: "allow" }).processor;
  const result = await quota.run(input);
  // @ts-expect-error: a degraded answer has no numbers
  if (result.allowed) void result.remaining;
  // @ts-expect-error: nor has an enforced one
  void (await quota.enforce(input)).remaining;
  // @ts-expect-error: nor one of several
  void (await quota.runAll([input], { atomic: true }))[0]?.remaining;
  if (result.degraded) {
    if (result.allowed) expectTrue<Same<(typeof result)["retry_after_ms"], 0>>();
    else expectTrue<Same<(typeof result)["retry_after_ms"], null>>();
    expectTrue<Same<(typeof result)["code"], "STORE_UNAVAILABLE" | "TIMEOUT">>();
    return null;
  }
  return result.remaining;
}

export async function aPolicyThatMayBeAnyAddsThem(): Promise<void> {
  const results = [
    await new Ductape({ onStoreError: policy }).processor.quota.run(input),
    await new Ductape(anyOptions).processor.quota.run(input),
    await new Ductape({ ...options, store: "memory:" }).processor.quota.run(input),
    await new EmbeddedDuctape({ onStoreError: "deny" }).processor.quota.run(input),
    await new RemoteDuctape({ url: "http://a", onStoreError: policy }).processor.quota.run(input),
    await new Ductape({ url: "http://a", onStoreError: "deny" }).processor.quota.run(input),
  ] as const;
  for (const result of results) {
    // @ts-expect-error: a degraded answer has no numbers
    void result.used;
    if (!result.degraded) void result.used;
  }
}

export async function throwByNameIsAsByDefault(): Promise<number> {
  const embedded = await new EmbeddedDuctape({ onStoreError: "throw" }).processor.quota.run(input);
  const remote = await new RemoteDuctape({ url: "http://a" }).processor.quota.run(input);
  const either = await new Ductape({ url: "http://a", apiKey: "k" }).processor.quota.run(input);
  return embedded.used + remote.used + either.used;
}

export function aClientIsTakenWhereItsAnswersAre(): void {
  const throwing: Client = new Ductape();
  const lenient: Client<OutagePolicy> = new Ductape();
  // @ts-expect-error: its answers may be degraded
  const wrong: Client = new Ductape({ onStoreError: "allow" });
  // @ts-expect-error: they may be, by what the variable holds
  const unknown: Ductape = new Ductape({ onStoreError: policy });
  void [throwing, lenient, wrong, unknown];
}

export function anOptionIsOneOfThree(): void {
  // @ts-expect-error: there is no such policy
  void new Ductape({ onStoreError: "ignore" });
  // @ts-expect-error: a store and a server are two places
  void new Ductape({ store: "memory:", url: "http://a" });
  // @ts-expect-error: a server has no clock of ours
  void new RemoteDuctape({ url: "http://a", clock: () => 0 });
}

export async function severalInputsAreResultsOrFaults(): Promise<number> {
  const { quota } = new Ductape().processor;
  let used = 0;
  for (const each of await quota.runAll([input])) {
    // @ts-expect-error: it may be a fault
    void each.used;
    if (each instanceof Error) continue;
    used += each.used;
  }
  return used;
}

export async function aSignalIsTaken(signal: CallSignal): Promise<void> {
  await using ductape = new Ductape();
  await ductape.processor.quota.run(input, { signal, timeoutMs: 10 });
  // @ts-expect-error: that is no signal
  await ductape.processor.quota.run(input, { signal: "now" });
}
