import { AMOUNT_MAX, limitWith, type Counter } from "./counter.js";
import type { Counters } from "./counters.js";
import { counts, takesBack, type Effect } from "./effect.js";
import { heldAt } from "./holds.js";
import { look, type Look } from "./look.js";
import { nonEmpty } from "./non-empty.js";
import type { CheckOutcome, HoldOutcome, StepOutcome, StepStatus } from "./outcome.js";
import { speaksTo, type RuleCheck, type Step } from "./plan.js";
import { writeOne } from "./write.js";

/** The counters of a step's checks, in order. */
export type Found = readonly (Counter | undefined)[];

/** The counters of the checks. */
export function findAll(counters: Counters, checks: readonly RuleCheck[]): Found {
  const found: (Counter | undefined)[] = [];
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    // Not pushed: this is also translated to Lua, where a list ends before an undefined item.
    if (check !== undefined) found[i] = counters.find(check);
  }
  return found;
}

/** Decides a step without a hold. */
export function decidePlainStep(
  counters: Counters,
  step: Step,
  checks: readonly RuleCheck[],
  found: Found,
  nowMs: number,
): StepOutcome {
  const looks: Look[] = [];
  const amount = step.atLeast === null ? null : roomFor(step, step.atLeast, checks, found, nowMs);
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    if (check !== undefined) {
      const effect = effectOf(step, check, i, amount, found[i], nowMs);
      looks.push(lookFor(step, check, found[i], effect, nowMs));
    }
  }
  const status = statusOf(step, looks);
  finish(counters, step, status, looks, nowMs);
  return outcomeOf(step, status, looks, amount, null, nowMs);
}

/** What a step does that its action and amount do not say; null: nothing. */
function effectOf(
  step: Step,
  check: RuleCheck,
  i: number,
  amount: number | null,
  counter: Counter | undefined,
  nowMs: number,
): Effect | null {
  const { charge } = step;
  if (check.rule.isConcurrent) return null;
  if (amount !== null) return counts(amount, nowMs);
  if (charge === null) return null;
  if (i >= step.checks.length) return counts(-step.amount, nowMs);
  const seen = lookOnly(check, counter, nowMs);
  return takesBack(check, charge, i, seen, step.amount, nowMs);
}

/** The most that every rule has room for, if that is at least `atLeast`; else `atLeast`. */
export function roomFor(
  step: Step,
  atLeast: number,
  checks: readonly RuleCheck[],
  found: Found,
  nowMs: number,
): number {
  let most = step.amount;
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    if (check !== undefined && !check.rule.isSoft && !check.rule.isConcurrent) {
      const { used, held, granted } = lookOnly(check, found[i], nowMs);
      const limit = limitWith(check.limit, granted);
      if (limit !== null && limit - used - held < most) most = limit - used - held;
    }
  }
  return Math.max(most, atLeast);
}

/** A counter as it is, for a step that does nothing to it. */
export function lookOnly(check: RuleCheck, counter: Counter | undefined, nowMs: number): Look {
  return look(check, counter, "check", 0, null, nowMs);
}

/** A check that the action does not act on is only read. */
export function lookFor(
  step: Step,
  check: RuleCheck,
  counter: Counter | undefined,
  effect: Effect | null,
  nowMs: number,
): Look {
  const { action, amount } = step;
  if (effect === null && check.rule.isConcurrent)
    return lookConcurrent(step, check, counter, nowMs);
  if (!speaksTo(step, check)) return lookOnly(check, counter, nowMs);
  const seen = look(check, counter, action, amount, effect, nowMs);
  if (step.allowsExcess) seen.admits = true;
  return seen;
}

/** A rule that counts open holds passes by all that is not a hold; a check asks for one more. */
function lookConcurrent(
  { action, amount }: Step,
  check: RuleCheck,
  counter: Counter | undefined,
  nowMs: number,
): Look {
  const asks = action === "check" && amount !== 0 ? 1 : 0;
  return look(check, counter, "check", asks, null, nowMs);
}

/** The status of a step after all its checks. */
export function statusOf(step: Step, looks: readonly Look[]): StepStatus {
  let status: StepStatus = "done";
  for (const seen of looks) status = statusAfter(status, step, seen);
  return status;
}

/** A denial counts nothing, so it takes precedence over a count that is too large. */
export function statusAfter(status: StepStatus, step: Step, seen: Look): StepStatus {
  if (!seen.admits) return "denied";
  const isGrant = step.action === "grant" && speaksTo(step, seen.check);
  return status === "done" && isPastMost(seen, isGrant) ? "overflow" : status;
}

/** A grant beyond the largest limit is refused: truncating it would go unnoticed. */
function isPastMost({ used, held, granted, check }: Look, isGrant: boolean): boolean {
  const lifted = isGrant ? granted + (check.limit ?? 0) : granted;
  return used + held > AMOUNT_MAX || lifted > AMOUNT_MAX;
}

/** Writes a step that is done, and takes back what the others would have come to. */
export function finish(
  counters: Counters,
  step: Step,
  status: StepStatus,
  looks: readonly Look[],
  nowMs: number,
): void {
  for (const seen of looks) {
    if (status !== "done") takeBack(seen, nowMs);
    else if (step.action !== "check") writeOne(counters, step, seen, nowMs);
  }
}

/** A step that is not done reports the counters unchanged. */
export function takeBack(seen: Look, nowMs: number): void {
  seen.used = seen.previousUsed;
  seen.held = heldAt(seen.holds, nowMs);
  seen.alerted = seen.alertedFrom;
}

/** The outcome of a step whose checks and ledgers came to `outcomes`. */
export function outcomeOf(
  { checks, ledgers }: Step,
  status: StepStatus,
  outcomes: readonly CheckOutcome[],
  amount: number | null,
  hold: HoldOutcome | null,
  nowMs: number,
): StepOutcome {
  let decided = outcomes;
  let kept = NO_OUTCOMES;
  if (ledgers.length > 0) [decided, kept] = splitAt(checks.length, outcomes);
  return {
    status,
    nowMs,
    isReplayed: false,
    ageMs: null,
    amount,
    hold,
    checks: nonEmpty(decided),
    ledgers: kept,
  };
}

/** The first `count` outcomes, and the others. */
function splitAt(
  count: number,
  outcomes: readonly CheckOutcome[],
): readonly [CheckOutcome[], CheckOutcome[]] {
  const [first, others]: [CheckOutcome[], CheckOutcome[]] = [[], []];
  for (const outcome of outcomes) {
    if (first.length < count) first.push(outcome);
    else others.push(outcome);
  }
  return [first, others];
}

/** Of a step without ledgers. */
export const NO_OUTCOMES: readonly CheckOutcome[] = [];

/** The counters of a step as they are, with a status. */
export function reportOnly(
  counters: Counters,
  step: Step,
  checks: readonly RuleCheck[],
  status: StepStatus,
  nowMs: number,
): StepOutcome {
  const outcomes: Look[] = [];
  for (const check of checks) outcomes.push(lookOnly(check, counters.find(check), nowMs));
  return outcomeOf(step, status, outcomes, null, null, nowMs);
}
