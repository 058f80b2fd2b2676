// Random plans on a coarse grid of time, so that boundaries are met: for comparing two writings of
// the decision.
import type { Action } from "ductape";
import { detailsText } from "../src/decide/answer.js";
import { nonEmpty } from "../src/decide/non-empty.js";
import { ledgerCheck, ledgerOf } from "../src/decide/ledger.js";
import { FOREVER_MS, type Span } from "../src/decide/period.js";
import type { Charge, Plan, RuleCheck, RuleTerms, Step } from "../src/decide/plan.js";
import type { randomOf } from "./support.js";

type Random = ReturnType<typeof randomOf>;

const GRID_MS = 100;
/** How long answers are kept. */
const TTLS_MS = [1_000, 1_000, 15_000, 86_400_000] as const;
const AMOUNTS = [0, 1, 1, 1, 1, 2, 3, 5, 11, 2 ** 53 - 1, 2 ** 53 - 2] as const;
const LIMITS = [null, 0, 1, 5, 100, 7, 10, 23, 100, 2 ** 53 - 1, 2 ** 53 - 3] as const;
const LENGTHS_MS = [300, 300, 700, 6_000, FOREVER_MS] as const;
const ROLLING_MS = [200, 1_000, 6_000, 12_000] as const;
const ALERTS = [[], [], [], [0.5, 1], [0.07, 0.29, 0.8], [0.07, 1.5]] as const;
/** How long holds are reserved for. */
const HOLD_TTLS_MS = [1_000, 1_000, 1_900, 15_000, 86_400_000] as const;
const SETTLING = ["commit", "commit", "extend", "release"] as const;
const ACTIONS: readonly Action[] = ["check", "decrement", "set", "reset", "grant"];
const SHARD_KEY = "1/shop/prd/";

/** A rule whose window version changes now and then. */
interface Form {
  rule: RuleTerms;
  lengthMs: number;
}

/** A world of a few quotas, rules and subjects, and its time. */
export class RandomPlans {
  nowMs = 1_700_000_000_000;
  /** When the last key that was used is forgotten, and whether the next step uses it again. */
  #keyed = { quota: 0, number: 0, atMs: this.nowMs };
  #isAgain = false;
  /** When holds were reserved, if they were, by key. */
  readonly #opened = new Map<string, number>();
  readonly #specials: number;
  readonly #random: Random;
  readonly #quotas: (readonly Form[])[] = [];

  /** `specials`: of six steps, so many are on holds, or not said by an action and an amount. */
  constructor(random: Random, specials: number) {
    this.#random = random;
    this.#specials = specials;
    for (let quota = 0; quota < 6; quota++) {
      const rules = quota < 3 ? 1 : 1 + random.below(3);
      this.#quotas.push(Array.from({ length: rules }, (_, rule) => this.#newForm(quota, rule)));
    }
  }

  next(): Plan {
    const random = this.#random;
    this.#passTime();
    const form = random.pick(random.pick(this.#quotas) ?? []);
    if (form !== undefined && random.below(20) === 0) this.#changeWindow(form);
    const count = random.below(5) === 0 ? 2 + random.below(2) : 1;
    const keys = new Set<string>();
    return nonEmpty(Array.from({ length: count }, () => this.#step(keys)));
  }

  #passTime(): void {
    const random = this.#random;
    const forward = random.pick([0, 0, 0, 0, 1, 1, 1, 2, 3, 7, 60]) * GRID_MS;
    this.nowMs += forward;
    if (random.below(12) === 0) this.nowMs -= random.pick([1, 2, 5, 11, 61]) * GRID_MS;
    // To the instant at which a key is forgotten.
    this.#isAgain = random.below(150) === 0;
    if (this.#isAgain) this.nowMs = this.#keyed.atMs;
  }

  #newForm(quota: number, rule: number): Form {
    const counters = {
      space: `${SHARD_KEY}q${quota}/r${rule}/uid/`,
      shardKey: `${SHARD_KEY}q${quota}/`,
      name: `r${rule}`,
      windowVersion: 1,
      versionSinceMs: 0,
    };
    return this.#formOf(counters);
  }

  #formOf(
    counters: Pick<RuleTerms, "space" | "shardKey" | "name" | "windowVersion" | "versionSinceMs">,
  ): Form {
    const random = this.#random;
    const isConcurrent = counters.name === "r1" && counters.space.includes("q4/");
    const isRolling = !isConcurrent && random.below(3) === 0;
    return {
      rule: {
        ...counters,
        rollingMs: isRolling ? random.pick(ROLLING_MS) : 0,
        isConcurrent,
        isSoft: random.below(5) === 0,
        picksLimit: random.below(3) === 0,
        remembersLast:
          !isRolling &&
          !isConcurrent &&
          (counters.windowVersion + counters.name.charCodeAt(1)) % 2 === 0,
        defaultLimit: random.pick([null, 3, 10]),
        alerts: random.pick(ALERTS),
        period: "day",
      },
      lengthMs: isConcurrent ? FOREVER_MS : random.pick(LENGTHS_MS),
    };
  }

  /** Another version from now on; rarely noted by a clock that is ahead or behind. */
  #changeWindow(form: Form): void {
    const { space, shardKey, name, windowVersion } = form.rule;
    const noted = this.nowMs + this.#random.pick([0, 0, 0, -1, 1, 5, -70]) * GRID_MS;
    // Often at the very end of a window of the version before.
    const isAtEnd = form.lengthMs !== FOREVER_MS && this.#random.below(3) === 0;
    const versionSinceMs = isAtEnd ? Math.floor(noted / form.lengthMs) * form.lengthMs : noted;
    const counters = {
      space,
      shardKey,
      name,
      windowVersion: windowVersion + 1,
      versionSinceMs,
    };
    Object.assign(form, this.#formOf(counters));
  }

  #step(keys: Set<string>): Step {
    const random = this.#random;
    const isAgain = this.#isAgain;
    this.#isAgain = false;
    const number = isAgain ? this.#keyed.quota : random.below(this.#quotas.length);
    const quota = this.#quotas[number] ?? [];
    const action = random.below(5) < 3 ? "increment" : random.pick(ACTIONS);
    const plannedMs = this.nowMs + random.pick([0, 0, 0, 0, 0, -1, -1, 1, -10]) * GRID_MS;
    const subject = random.pick(["a", "a", "a", "b", ""]);
    const checks = quota.map((form) => this.#check(form, subject, plannedMs));
    const isForOne = action !== "increment" && random.below(2) === 0;
    const rule = isForOne ? (random.pick(quota)?.rule.name ?? null) : null;
    const amount = action === "reset" ? 0 : random.pick(AMOUNTS);
    const keyNumber = isAgain ? this.#keyed.number : random.below(2);
    const space = `${checks[0]?.rule.shardKey}/uid/`;
    const name = `k${keyNumber}`;
    const key = space + name;
    const hasKey = (isAgain || random.below(5) === 0) && !keys.has(key);
    if (hasKey) keys.add(key);
    const fingerprint = JSON.stringify([action, random.below(4) === 0, "é"]);
    const caller = random.pick(["a", "b", "é"]);
    const ttlMs = random.pick(TTLS_MS);
    if (hasKey) this.#keyed = { quota: number, number: keyNumber, atMs: this.nowMs + ttlMs };
    const details = detailsText(checks, caller);
    const answerKey = hasKey ? { space, name, ttlMs, fingerprint, caller, details } : null;
    const plain = stepOf({ action, amount, rule, answerKey, plannedMs }, checks);
    if (random.below(6) < this.#specials) return this.#special(plain, quota, subject);
    const step = plain;
    return action === "check" ? step : { ...step, ledgers: checks.flatMap(ledgersOf) };
  }

  /** A step on a hold, or one that a plain action and amount do not say. */
  #special(plain: Step, quota: readonly Form[], subject: string): Step {
    const random = this.#random;
    const { checks, amount } = plain;
    const kept = { ...plain, rule: null, ledgers: checks.flatMap(ledgersOf) };
    const kind = random.below(8);
    if (kind === 0) {
      const atLeast = Math.min(amount, random.pick([0, 1, 2]));
      return { ...kept, action: "increment", atLeast };
    }
    if (kind === 1) return { ...kept, action: "increment", allowsExcess: true };
    if (kind === 2) return { ...kept, action: "decrement", charge: this.#charge(quota) };
    const space = `${checks[0].rule.shardKey}/uid/`;
    const name = `h${random.below(3)}`;
    const known = this.#opened.get(space + name);
    const action = known === undefined || random.below(4) === 0 ? "reserve" : random.pick(SETTLING);
    if (action === "reserve") this.#opened.set(space + name, this.nowMs);
    const hold = {
      space,
      name,
      ttlMs: random.pick(HOLD_TTLS_MS),
      fingerprint: random.pick(["same", "same", "é"]),
      caller: "a",
      details: detailsText(checks, "a", name),
      owners: JSON.stringify(random.below(9) === 0 ? "others" : subject),
      isFinal: random.below(3) > 0,
      isWhole: action !== "reserve" && random.below(3) === 0,
      openedMs: action === "reserve" || random.below(3) > 0 ? 0 : (known ?? 0),
    };
    const allowsExcess = action === "commit" && random.below(3) > 0;
    const atLeast = action === "reserve" && random.below(4) === 0 ? Math.min(amount, 1) : null;
    const ledgers = action === "commit" ? kept.ledgers : [];
    return { ...kept, action, ledgers, hold, allowsExcess, atLeast };
  }

  /** A charge of now or a while ago. */
  #charge(quota: readonly Form[]): Charge {
    const random = this.#random;
    const atMs = this.nowMs - random.pick([0, 0, 1, 3, 20]) * GRID_MS;
    return {
      atMs,
      windows: quota.map(({ rule, lengthMs }) =>
        rule.rollingMs !== 0
          ? { startMs: atMs, endMs: atMs + rule.rollingMs }
          : lengthMs === FOREVER_MS
            ? { startMs: 0, endMs: FOREVER_MS }
            : this.#span(lengthMs, atMs),
      ),
      windowVersions: quota.map(({ rule }) => rule.windowVersion - random.pick([0, 0, 0, 1])),
    };
  }

  #check({ rule, lengthMs }: Form, subject: string, plannedMs: number): RuleCheck {
    const isEndless = rule.rollingMs !== 0 || lengthMs === FOREVER_MS;
    const window = isEndless ? { startMs: 0, endMs: FOREVER_MS } : this.#span(lengthMs, plannedMs);
    const limit = rule.picksLimit
      ? this.#random.pick(LIMITS)
      : (LIMITS[
          (rule.windowVersion * 7 + rule.space.length + rule.name.charCodeAt(1)) % LIMITS.length
        ] ?? null);
    return { rule, subject, window, limit };
  }

  /** The window at an instant; now and then by other zone rules, across two of these or in one. */
  #span(lengthMs: number, atMs: number): Span {
    const random = this.#random;
    const hasOtherRules = random.below(8) === 0;
    const shiftMs = hasOtherRules ? random.pick([-1, 0, 1]) * GRID_MS : 0;
    const stepMs = hasOtherRules && random.below(2) === 0 ? GRID_MS : lengthMs;
    const startMs = Math.floor((atMs - shiftMs) / stepMs) * stepMs + shiftMs;
    return { startMs, endMs: startMs + stepMs };
  }
}

/** A step with these checks. */
export function stepOf(
  asked: Pick<Step, "action" | "amount" | "rule" | "answerKey" | "plannedMs">,
  checks: readonly RuleCheck[],
): Step {
  return {
    ...asked,
    atLeast: null,
    allowsExcess: false,
    hold: null,
    charge: null,
    checks: nonEmpty(checks),
    ledgers: [],
    cache: null,
  };
}

/** The windows of calendar rules are kept for one subject. */
function ledgersOf({ rule, subject, window, limit }: RuleCheck): RuleCheck[] {
  if (rule.rollingMs !== 0 || subject !== "b") return [];
  const ledger = ledgerOf(rule, 2, `${rule.space}ledger/`);
  return ledger === null ? [] : [ledgerCheck(ledger, subject, window, limit)];
}
