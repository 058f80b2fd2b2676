// Random plans on a coarse grid of time, so that boundaries are met: for comparing two writings of
// the decision.
import type { Action } from "ductape";
import { factsText } from "../src/decide/answer.js";
import { newLeg, type Leg, type LegRule } from "../src/decide/leg.js";
import type { Step } from "../src/decide/step.js";
import { FOREVER_MS, type Span } from "../src/decide/period.js";
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
const ACTIONS: readonly Action[] = ["check", "decrement", "set", "reset", "grant"];
const HOME = "1/shop/prd/";

/** A rule whose form changes now and then. */
interface Form {
  rule: LegRule;
  lengthMs: number;
}

/** A world of a few quotas, rules and subjects, and its time. */
export class RandomPlans {
  nowMs = 1_700_000_000_000;
  /** When the last key that was used is forgotten, and whether the next step uses it again. */
  #keyed = { quota: 0, number: 0, atMs: this.nowMs };
  #isAgain = false;
  readonly #random: Random;
  readonly #quotas: (readonly Form[])[] = [];

  constructor(random: Random) {
    this.#random = random;
    for (let quota = 0; quota < 6; quota++) {
      const rules = quota < 3 ? 1 : 1 + random.below(3);
      this.#quotas.push(Array.from({ length: rules }, (_, rule) => this.#newForm(quota, rule)));
    }
  }

  /** The plan that starts with the step this returns; each call makes another copy of it. */
  next(): () => Step {
    const random = this.#random;
    this.#passTime();
    const form = random.pick(random.pick(this.#quotas) ?? []);
    if (form !== undefined && random.below(20) === 0) this.#reshape(form);
    const count = random.below(5) === 0 ? 2 + random.below(2) : 1;
    const keys = new Set<string>();
    const steps = Array.from({ length: count }, () => this.#step(keys));
    return () => {
      const made = steps.map((make) => make());
      made.forEach((step, i) => (step.next = made[i + 1] ?? null));
      return made[0] ?? fail();
    };
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
      space: `${HOME}q${quota}/r${rule}/uid/`,
      home: `${HOME}q${quota}/`,
      name: `r${rule}`,
      shape: 1,
      shapedMs: 0,
    };
    return this.#formOf(counters);
  }

  #formOf(counters: Pick<LegRule, "space" | "home" | "name" | "shape" | "shapedMs">): Form {
    const random = this.#random;
    const isRolling = random.below(3) === 0;
    return {
      rule: {
        ...counters,
        rollingMs: isRolling ? random.pick(ROLLING_MS) : 0,
        soft: random.below(5) === 0,
        isByPlan: random.below(3) === 0,
        isLedger: false,
        remembersLast: !isRolling && (counters.shape + counters.name.charCodeAt(1)) % 2 === 0,
        defaultLimit: random.pick([null, 3, 10]),
        alerts: random.pick(ALERTS),
        period: "day",
      },
      lengthMs: random.pick(LENGTHS_MS),
    };
  }

  /** Another form from now on; rarely noted by a clock that is ahead or behind. */
  #reshape(form: Form): void {
    const { space, home, name, shape } = form.rule;
    const noted = this.nowMs + this.#random.pick([0, 0, 0, -1, 1, 5, -70]) * GRID_MS;
    // Often at the very end of a window of the form before.
    const isAtEnd = form.lengthMs !== FOREVER_MS && this.#random.below(3) === 0;
    const shapedMs = isAtEnd ? Math.floor(noted / form.lengthMs) * form.lengthMs : noted;
    const counters = { space, home, name, shape: shape + 1, shapedMs };
    Object.assign(form, this.#formOf(counters));
  }

  #step(keys: Set<string>): () => Step {
    const random = this.#random;
    const isAgain = this.#isAgain;
    this.#isAgain = false;
    const number = isAgain ? this.#keyed.quota : random.below(this.#quotas.length);
    const quota = this.#quotas[number] ?? [];
    const action = random.below(5) < 3 ? "increment" : random.pick(ACTIONS);
    const plannedMs = this.nowMs + random.pick([0, 0, 0, 0, 0, -1, -1, 1, -10]) * GRID_MS;
    const subject = random.pick(["a", "a", "a", "b", ""]);
    const legs = quota.map((form) => this.#leg(form, subject, plannedMs));
    const isForOne = action !== "increment" && random.below(2) === 0;
    const rule = isForOne ? (random.pick(quota)?.rule.name ?? null) : null;
    const amount = action === "reset" ? 0 : random.pick(AMOUNTS);
    const keyNumber = isAgain ? this.#keyed.number : random.below(2);
    const space = `${legs[0]?.rule.home}/uid/`;
    const name = `k${keyNumber}`;
    const key = space + name;
    const hasKey = (isAgain || random.below(5) === 0) && !keys.has(key);
    if (hasKey) keys.add(key);
    const fingerprint = JSON.stringify([action, random.below(4) === 0, "é"]);
    const caller = random.pick(["a", "b", "é"]);
    const ttlMs = random.pick(TTLS_MS);
    if (hasKey) this.#keyed = { quota: number, number: keyNumber, atMs: this.nowMs + ttlMs };
    const facts = factsText(legs, caller);
    const answer = hasKey ? { space, name, ttlMs, fingerprint, caller, facts } : null;
    return () => stepOf({ action, amount, rule, answer, nowMs: plannedMs }, legs);
  }

  #leg({ rule, lengthMs }: Form, subject: string, plannedMs: number): Leg {
    const isEndless = rule.rollingMs !== 0 || lengthMs === FOREVER_MS;
    const planned = isEndless ? { startMs: 0, endMs: FOREVER_MS } : this.#span(lengthMs, plannedMs);
    const limit = rule.isByPlan
      ? this.#random.pick(LIMITS)
      : (LIMITS[(rule.shape * 7 + rule.space.length + rule.name.charCodeAt(1)) % LIMITS.length] ??
        null);
    return newLeg(rule, subject, planned, limit);
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

/** A plan of one step with these legs, each a copy. */
export function stepOf(
  facts: Pick<Step, "action" | "amount" | "rule" | "answer" | "nowMs">,
  from: readonly Leg[],
): Step {
  const legs = from.map((leg) => ({ ...leg }));
  legs.forEach((leg, i) => (leg.next = legs[i + 1] ?? null));
  const first = legs[0] ?? fail();
  return {
    ...facts,
    legs: first,
    cache: null,
    next: null,
    status: "done",
    told: first,
    isReplayed: false,
    ageMs: null,
  };
}

function fail(): never {
  throw new Error("a plan needs a step, and a step a leg");
}
