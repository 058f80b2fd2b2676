import type { Ductape, Decision, QuotaDefinition, QuotaInput, QuotaResult } from "ductape";
import { manualClock } from "ductape/testing";
import type { Plan } from "../src/decide/plan.js";
import type { CallOptions } from "../src/base/call.js";
import type { Store } from "../src/stores/store.js";
import { openStore } from "../src/stores/url.js";
import { contextOf, clientWith, inputOf } from "./support.js";

/** A wrapper of a real store that counts its calls, and can be made to fail or to wait. */
export interface CountingStore extends Store {
  /** Plans that reached the store. */
  asked: number;
  /** When each was asked, by the plan's own instant. */
  readonly askedMs: number[];
  /** Rejects the plans to come with this error; null: decides them. */
  fault: Error | null;
}

/** Wraps a store; everything goes through to it. */
export function countingStore(inner: Store): CountingStore {
  return {
    guarantees: inner.guarantees,
    documents: inner.documents,
    records: inner.records,
    get isOpen() {
      return inner.isOpen;
    },
    asked: 0,
    askedMs: [],
    fault: null,
    open: () => inner.open(),
    scan: (prefix) => inner.scan(prefix),
    close: () => inner.close(),
    apply(plan: Plan, options?: CallOptions) {
      this.asked++;
      this.askedMs.push(plan[0].plannedMs);
      if (this.fault !== null) return Promise.reject(this.fault);
      return inner.apply(plan, options);
    },
  };
}

/** How old an answer of cache `c` may be, in milliseconds. */
export const EXPIRY_MS = 1_000;
/** A rule that counts by user. */
export const BY_USER = { scope: "$Session{userId}" } as const;
let places = 0;
const clients: Ductape[] = [];

/** Closes the clients of the tests before. */
export async function closeClients(): Promise<void> {
  await Promise.all(clients.splice(0).map((client) => client.close()));
}

/** A client with quota `q` and cache `c`, on a store that counts its calls. */
export async function setUp(url: string, quota: Omit<QuotaDefinition, "tag">) {
  const clock = manualClock("2026-03-10T12:00:00Z");
  const path = url === "memory:" ? url : `${url}${places++}`;
  const counted = countingStore(openStore(path, contextOf(clock)));
  const client = await clientWith([{ tag: "q", ...quota }], { store: counted, clock });
  clients.push(client);
  await client.product.caches.create("shop", { tag: "c", name: "Fast", expiry: EXPIRY_MS });
  const run = (input: Partial<QuotaInput> = {}) => decided(client, { cache: "c", ...input });
  const check = (input: Partial<QuotaInput> = {}) => run({ action: "check", ...input });
  /** How often the store was asked meanwhile. */
  const askedBy = async (work: () => Promise<unknown>): Promise<number> => {
    const before = counted.asked;
    await work();
    return counted.asked - before;
  };
  return { client, clock, counted, path, run, check, askedBy };
}

/** The decision of an increment of quota `q`, or what the input says otherwise. */
export async function decided(client: Ductape, input: Partial<QuotaInput>): Promise<Decision> {
  return decisionOf(await client.processor.quota.run(inputOf(input)));
}

function decisionOf(result: QuotaResult): Decision {
  return result;
}
