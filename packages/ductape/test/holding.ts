// A client with one quota on any store, and the calls that hold, settle and read it.
import type { Decision, Ductape, QuotaDefinition, QuotaInput } from "ductape";
import { manualClock, type ManualClock } from "ductape/testing";
import { clientWith, inputOf } from "./support.js";

/** What tests ask of quota `q`, with the time they set. */
export interface Holding {
  readonly client: Ductape;
  readonly clock: ManualClock;
  run(input: Partial<QuotaInput>): Promise<Decision>;
  reserve(reservation: string, input?: Partial<QuotaInput>): Promise<Decision>;
  commit(reservation: string, input?: Partial<QuotaInput>): Promise<Decision>;
  extend(reservation: string, input?: Partial<QuotaInput>): Promise<Decision>;
  release(reservation: string, input?: Partial<QuotaInput>): Promise<Decision>;
  increment(amount: number, input?: Partial<QuotaInput>): Promise<Decision>;
  check(amount?: number, input?: Partial<QuotaInput>): Promise<Decision>;
  /** `[used, held, remaining]` of the binding rule. */
  numbers(input?: Partial<QuotaInput>): Promise<readonly [number, number, number | null]>;
}

/** A client of the store with this quota as `q`; unless said otherwise on 31 January 2026. */
export async function holdingOn(
  store: string,
  quota: Omit<QuotaDefinition, "tag">,
  start = "2026-01-31T12:00:00Z",
): Promise<Holding> {
  const clock = manualClock(start);
  const client = await clientWith([{ tag: "q", ...quota }], { store, clock });
  return { client, clock, ...callsOf(client) };
}

/** The calls of a client that has quota `q`. */
export function callsOf(client: Ductape): Omit<Holding, "client" | "clock"> {
  const run = async (input: Partial<QuotaInput>): Promise<Decision> =>
    await client.processor.quota.run(inputOf(input));
  const check = (amount = 0, input: Partial<QuotaInput> = {}) =>
    run({ action: "check", amount, ...input });
  return {
    run,
    check,
    reserve: (reservation, input) => run({ action: "reserve", reservation, ...input }),
    commit: (reservation, input) => run({ action: "commit", reservation, ...input }),
    extend: (reservation, input) => run({ action: "extend", reservation, ...input }),
    release: (reservation, input) => run({ action: "release", reservation, ...input }),
    increment: (amount, input) => run({ action: "increment", amount, ...input }),
    async numbers(input) {
      const { used, held, remaining } = await check(0, input);
      return [used, held, remaining] as const;
    },
  };
}

/** The instant at which the hold of an answer expires, in epoch milliseconds. */
export function expiresMs({ reservation }: Decision): number {
  const expires = reservation?.expires_at;
  if (expires === undefined) throw new Error("the answer has no reservation with an expiry");
  return Date.parse(expires);
}
