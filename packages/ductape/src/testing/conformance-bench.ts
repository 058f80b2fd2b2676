import assert from "node:assert/strict";
import type { Client } from "../client/client.js";
import type { QuotaResult } from "../quota/decision.js";
import type { QuotaDefinition } from "../define/quota.js";
import { DuctapeError, type ErrorCode } from "../base/errors.js";
import type { QuotaInput } from "../quota/request.js";
import type { Clock } from "../base/call.js";

/** The clock that a case sets. */
export interface DrivenClock extends Clock {
  advance(byMs: number): number;
}

/** What a case works with. `client` is connected and has product `shop` with environment `prd`. */
interface Bench {
  readonly client: Client;
  readonly clock: DrivenClock;
  /** Another connection to the same place. */
  connect(): Client;
}

/** A check of one promise. Rejects with an `AssertionError` if a store breaks it. */
export type Body = (bench: Bench) => Promise<void>;

/** A day in milliseconds. */
export const DAY_MS = 86_400_000;
/** An hour in milliseconds. */
export const HOUR_MS = 3_600_000;
/** The scope of a rule that counts each user. */
export const BY_USER = { scope: "$Session{userId}" } as const;

/** Defines quota `q`. */
export const define = (client: Client, quota: Omit<QuotaDefinition, "tag">) =>
  client.product.quotas.create("shop", { tag: "q", ...quota });

/** Runs an increment of quota `q`, with the fields of `input` in place of the defaults. */
export function run(client: Client, input: Partial<QuotaInput> = {}): Promise<QuotaResult> {
  return client.processor.quota.run(inputOf(input));
}

/** The input of an increment of quota `q`, with the fields of `input` in place of the defaults. */
export const inputOf = (input: Partial<QuotaInput>): QuotaInput => ({
  env: "prd",
  product_tag: "shop",
  quota_tag: "q",
  action: "increment",
  ...input,
});

/** The `used` of a `check`. */
export async function usedOf(client: Client, input: Partial<QuotaInput> = {}): Promise<number> {
  const result = await run(client, { ...input, action: "check", amount: 0 });
  assert.equal(result.degraded, false);
  return result.used;
}

/** How many of `count` concurrent calls are admitted. */
export async function admittedOf(client: Client, count: number, input: Partial<QuotaInput> = {}) {
  const results = await Promise.all(Array.from({ length: count }, () => run(client, input)));
  return results.filter(({ allowed }) => allowed).length;
}

/** Asserts that a call fails with this code. */
export async function rejectsWith(code: ErrorCode, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(DuctapeError.is(error), String(error));
    assert.equal(error.code, code);
    return true;
  });
}
