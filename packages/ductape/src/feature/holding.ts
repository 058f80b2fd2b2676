import { DuctapeError, renamedFault, StoreError, ValidationError } from "../base/errors.js";
import { Issues } from "../base/field.js";
import type { CallOptions } from "../base/call.js";
import type { Logger } from "../base/logger.js";
import type { OutagePolicy } from "../base/settings.js";
import type { ExpressionScope } from "../define/expression.js";
import type { PlacedUse } from "../define/feature-phases.js";
import { amountOf } from "../define/quota-use.js";
import type { QuotaResult } from "../quota/decision.js";
import type { QuotaInput } from "../quota/request.js";

/** The decisions of a client, as far as features need them. */
export interface Decisions<Result> {
  run(input: QuotaInput, options?: CallOptions): Promise<Result>;
  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<Result[]>;
  runAll(inputs: readonly QuotaInput[], options?: CallOptions): Promise<(Result | DuctapeError)[]>;
}

/** What a {@link Holding} depends on. */
export interface HoldingParts<Policy extends OutagePolicy> {
  /** Decides reservations, under the client's `onStoreError`. */
  readonly reserving: Decisions<QuotaResult<Policy>>;
  /** Settles them: its faults throw. */
  readonly settling: Decisions<QuotaResult>;
  readonly logger: Logger;
}

/** Who asks, and for what. */
interface Asked extends Pick<QuotaInput, "product_tag" | "env" | "session" | "subject" | "cache"> {
  /** How long amounts stay reserved, in milliseconds. */
  readonly ttlMs: number;
}

/** A quota and its last answer; null: that of its reservation is not known here. */
interface Held<Policy extends OutagePolicy> {
  readonly use: PlacedUse;
  result: QuotaResult<Policy> | null;
}

/** A quota and what it is asked. */
interface Wanted {
  readonly use: PlacedUse;
  readonly input: QuotaInput;
}

const NO_OPTIONS: CallOptions = {};

type Settled = Partial<Pick<QuotaInput, "amount" | "ttl_ms" | "reason">>;

/** How often a commit is tried that the store did not answer, and the first pause between. */
const COMMITS_MAX = 4;
const PAUSE_MS = 50;

/** All that one run of a feature holds, under one id. */
export class Holding<Policy extends OutagePolicy> {
  readonly id: string;
  readonly #parts: HoldingParts<Policy>;
  readonly #asked: Omit<Asked, "ttlMs">;
  readonly #ttlMs: number;
  readonly #held: Held<Policy>[] = [];
  #beat: NodeJS.Timeout | undefined;

  constructor(parts: HoldingParts<Policy>, { ttlMs, ...asked }: Asked, id: string) {
    this.#parts = parts;
    this.#asked = asked;
    this.#ttlMs = ttlMs;
    this.id = id;
  }

  /** The last answers, in order. */
  get results(): QuotaResult<Policy>[] {
    return this.#held.flatMap(({ result }) => (result === null ? [] : [result]));
  }

  /** The last answers by quota: `$Quota`. */
  get byQuota(): object {
    return Object.fromEntries(this.#held.map(({ use, result }) => [use.quota, result]));
  }

  /** Takes up holds that an earlier call reserved. */
  resume(uses: readonly PlacedUse[]): void {
    for (const use of uses) this.#held.push({ use, result: null });
  }

  /**
   * Reserves quotas as one decision; those of `allow_fail` each on their own, afterwards. Returns
   * all answers if one denies, else null. Throws `VALIDATION` for an invalid amount, before
   * anything is decided, and the faults of `quota.run`.
   */
  async reserve(
    uses: readonly PlacedUse[],
    scope: ExpressionScope,
    call: CallOptions,
  ): Promise<QuotaResult<Policy>[] | null> {
    const issues = new Issues();
    const wanted = uses.map((use) => ({ use, input: this.#reservation(use, scope, issues) }));
    issues.throwAny();
    const { reserving } = this.#parts;
    const required = wanted.filter(({ use }) => !use.allow_fail);
    const results = await together(reserving, required, call);
    if (results.some(({ allowed }) => !allowed)) return results;
    required.forEach(({ use }, i) => this.#held.push({ use, result: results[i] ?? null }));
    for (const each of wanted) {
      if (!each.use.allow_fail) continue;
      const [result = null] = await together(reserving, [each], call);
      this.#held.push({ use: each.use, result });
    }
    return null;
  }

  /** Renews the holds at thirds of their time, until {@link rest}. */
  keepAlive(): void {
    if (this.#open(true).length + this.#open(false).length === 0) return;
    this.#beat = setTimeout(() => {
      void this.settle("extend", { ttl_ms: this.#ttlMs })
        // An amount that is committed late counts all the same.
        .catch((error: unknown) => {
          if (this.#beat !== undefined) this.#warn("extend", error);
        })
        .finally(() => {
          if (this.#beat !== undefined) this.keepAlive();
        });
    }, this.#ttlMs / 3).unref();
  }

  /** Ends the renewals. */
  rest(): void {
    clearTimeout(this.#beat);
    this.#beat = undefined;
  }

  /** Frees everything. A fault is logged: what stays held expires. */
  async free(): Promise<void> {
    await this.settle("release", {}).catch((error: unknown) => this.#warn("release", error));
  }

  /**
   * Extends or releases everything, as one decision; quotas of `allow_fail` on their own, if they
   * are held. Returns the answers. Throws the faults of `quota.run`.
   */
  async settle(action: "extend" | "release", more: Settled): Promise<QuotaResult[]> {
    const inputs = this.#open(true).map((held) => this.#settlement(action, held, more));
    const results = await together(this.#parts.settling, inputs, NO_OPTIONS);
    for (const held of this.#open(false)) {
      const result = await this.#settleAlone(held, this.#settlement(action, held, more), 1);
      if (result !== null) results.push(result);
    }
    return results;
  }

  /**
   * Charges what was used, together. A `settle` without a valid result charges what was reserved,
   * and is an issue. Throws the faults of the store, once it has been tried repeatedly, and for
   * resumed holds those of `quota.run`.
   */
  async commit(scope: ExpressionScope, issues: Issues): Promise<void> {
    const required = this.#open(true);
    const inputs = required.map((held) =>
      this.#settlement("commit", held, settledBy(held.use, scope, issues)),
    );
    try {
      const results = await together(this.#parts.settling, inputs, NO_OPTIONS, COMMITS_MAX);
      required.forEach((held, i) => {
        held.result = results[i] ?? held.result;
      });
    } catch (error) {
      await this.#commitEach(required, inputs, issues, error);
    }
    for (const held of this.#open(false)) {
      const settled = settledBy(held.use, scope, issues);
      await this.#settleAlone(held, this.#settlement("commit", held, settled), COMMITS_MAX);
    }
  }

  /**
   * After one refused, because its quota is gone or counts no such fractions: charges the others.
   */
  async #commitEach(
    held: readonly Held<Policy>[],
    inputs: readonly Wanted[],
    issues: Issues,
    cause: unknown,
  ): Promise<void> {
    const isResumed = held.some(({ result }) => result === null);
    if (!DuctapeError.is(cause) || isOutage(cause)) throw cause;
    if (isResumed && !(cause instanceof ValidationError)) throw cause;
    for (const [i, each] of held.entries()) {
      const whole = this.#settlement("commit", each, {});
      const wanted = inputs[i] ?? whole;
      try {
        await this.#settleAlone(each, wanted, COMMITS_MAX);
      } catch (error) {
        if (!DuctapeError.is(error) || isOutage(error)) throw error;
        issues.add(`${each.use.path}.settle`, `${error.message}; charged what was reserved`);
        if (wanted.input.amount === undefined) continue;
        await this.#settleAlone(each, whole, COMMITS_MAX);
      }
    }
  }

  /** Null for a quota of `allow_fail` that is not held, because it denied. */
  async #settleAlone(
    held: Held<Policy>,
    wanted: Wanted,
    attemptsMax: number,
  ): Promise<QuotaResult | null> {
    const { settling } = this.#parts;
    try {
      const [result = null] = await together(settling, [wanted], NO_OPTIONS, attemptsMax);
      if (wanted.input.action === "commit") held.result = result;
      return result;
    } catch (error) {
      const isNotHeld = DuctapeError.is(error) && error.code === "RESERVATION_NOT_FOUND";
      if (isNotHeld && held.use.allow_fail) return null;
      throw error;
    }
  }

  #reservation(use: PlacedUse, scope: ExpressionScope, issues: Issues): QuotaInput {
    const amount = amountOf(use.amount, scope);
    if (typeof amount === "string") issues.add(`${use.path}.amount`, amount);
    return {
      ...this.#asked,
      quota_tag: use.quota,
      action: "reserve",
      amount: typeof amount === "string" ? 0 : amount,
      reservation: this.id,
      ttl_ms: this.#ttlMs,
    };
  }

  #settlement(action: "commit" | "extend" | "release", { use }: Held<Policy>, more: Settled) {
    const { product_tag, env } = this.#asked;
    const place = { product_tag, env, quota_tag: use.quota };
    return { use, input: { ...place, action, reservation: this.id, ...more } };
  }

  /** What is held: neither denied, nor admitted without the store. */
  #open(isRequired: boolean): Held<Policy>[] {
    return this.#held.filter(({ use, result }) => {
      const isHeld = result === null || (result.allowed && !result.degraded);
      return isHeld && use.allow_fail !== isRequired;
    });
  }

  #warn(action: string, error: unknown): void {
    this.#parts.logger.warn(`the holds ${this.id} could not be changed by ${action}`, error);
  }
}

function settledBy({ settle, path }: PlacedUse, scope: ExpressionScope, issues: Issues): Settled {
  if (settle === null) return {};
  const amount = amountOf(settle, scope);
  if (typeof amount === "number") return { amount };
  issues.add(`${path}.settle`, `${amount}; charged what was reserved`);
  return {};
}

/**
 * Decides inputs as one; one alone takes the shorter way. With more than one attempt, repeats what
 * the store did not answer: a commit counts once, however often it is sent.
 */
async function together<Result>(
  decisions: Decisions<Result>,
  wanted: readonly Wanted[],
  call: CallOptions,
  attemptsMax = 1,
): Promise<Result[]> {
  const [first] = wanted;
  if (first === undefined) return [];
  for (let attempt = 1; ; attempt++) {
    try {
      if (wanted.length === 1) return [await decisions.run(first.input, call)];
      const inputs = wanted.map(({ input }) => input);
      return await decisions.runAll(inputs, { ...call, atomic: true });
    } catch (error) {
      if (!isOutage(error)) throw atUse(error, wanted);
      if (attempt >= attemptsMax) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 4 ** attempt));
    }
  }
}

const isOutage = (error: unknown): boolean => error instanceof StoreError;

/** A fault under the paths of the definition: `quotas[1].amount`. */
function atUse(error: unknown, wanted: readonly { readonly use: PlacedUse }[]): unknown {
  const named = (text: string): string => {
    const [, index = "0", rest = text] = /^inputs\[(\d+)\]\.(.*)$/s.exec(text) ?? [];
    const path = wanted[Number(index)]?.use.path ?? "";
    if (rest.startsWith("quota_tag")) return `${path}.quota${rest.slice("quota_tag".length)}`;
    return rest.startsWith("amount") ? `${path}.${rest}` : rest;
  };
  return renamedFault(error, named, (why) => why);
}
