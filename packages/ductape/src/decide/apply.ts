import type { Action } from "./action.js";
import { outcomeText, replayOf } from "./answer.js";
import { AMOUNT_MAX, type Counter } from "./counter.js";
import type { Counters } from "./counters.js";
import { draftOf, type Draft } from "./draft.js";
import { entersNow, look, type Look } from "./look.js";
import { nonEmpty } from "./non-empty.js";
import type { CheckOutcome, Outcome, StepOutcome, StepStatus } from "./outcome.js";
import {
  allChecks,
  speaksTo,
  type AnswerKey,
  type Plan,
  type RuleCheck,
  type Step,
} from "./plan.js";
import { writeOne } from "./write.js";

type Found = readonly (Counter | undefined)[];
/**
 * Decides one plan at one instant: every check of a step admits it, and every step is done, or
 * nothing is written. Changes `counters` and nothing else; needs no clock, no I/O and no
 * randomness. A plan whose window is older than the counter's is decided in the counter's window,
 * so time never runs backwards. Only `reset` and `set` bring a counter back into the current
 * window: they say what was used in it, so nothing is admitted twice, and a counter that a wrong
 * clock moved ahead is not stuck there.
 */
export function apply(counters: Counters, plan: Plan, nowMs: number): Outcome {
  if (plan.length > 1) return applyAll(counters, plan, nowMs);
  const step = plan[0];
  if (isPlain(step)) return applyPlain(counters, step, nowMs);
  const checks = allChecks(step);
  const found = findAll(counters, checks);
  if (isStale(step, checks, found, nowMs)) return "stale";
  const outcome = decideStep(counters, step, checks, found, nowMs);
  if (step.answerKey !== null) keepAnswer(counters, outcome, step.answerKey);
  return [outcome];
}

/** Most steps check one counter and have no key: the same decision without building a list. */
function isPlain({ checks, ledgers, answerKey }: Step): boolean {
  return checks.length === 1 && ledgers.length === 0 && answerKey === null;
}

function applyPlain(counters: Counters, step: Step, nowMs: number): Outcome {
  const check = step.checks[0];
  const counter = counters.find(check);
  if (isCheckStale(step, check, counter, nowMs)) return "stale";
  const seen = lookFor(step, check, counter, step.action, nowMs);
  const status = statusAfter("done", step, seen);
  if (status !== "done") takeBack(seen);
  else if (step.action !== "check") writeOne(counters, step, seen, nowMs);
  return [{ status, nowMs, isReplayed: false, ageMs: null, checks: [seen], ledgers: NO_OUTCOMES }];
}

/** Several steps together: each sees those before it; one denial undoes them all. */
function applyAll(counters: Counters, plan: Plan, nowMs: number): Outcome {
  for (const step of plan) {
    const checks = allChecks(step);
    if (isStale(step, checks, findAll(counters, checks), nowMs)) return "stale";
  }
  const draft = draftOf(counters);
  const decided: StepOutcome[] = [];
  for (const step of plan) {
    const checks = allChecks(step);
    decided.push(decideStep(draft, step, checks, findAll(draft, checks), nowMs));
  }
  return concluded(counters, draft, plan, decided, nowMs);
}

/** The outcomes of steps decided together: if one was denied, the others are withheld. */
function concluded(
  counters: Counters,
  draft: Draft,
  plan: Plan,
  decided: readonly StepOutcome[],
  nowMs: number,
): Outcome {
  let areAllDone = true;
  let isFaulty = false;
  for (const { status } of decided) {
    if (status !== "done") areAllDone = false;
    if (isFault(status)) isFaulty = true;
  }
  if (areAllDone) draft.commit();
  const outcomes: StepOutcome[] = [];
  for (let i = 0; i < decided.length; i++) {
    let outcome = decided[i];
    const step = plan[i];
    if (outcome === undefined || step === undefined) continue;
    if (!areAllDone && outcome.status === "done" && !outcome.isReplayed) {
      outcome = withheld(counters, step, nowMs);
    }
    if (!isFaulty && step.answerKey !== null) keepAnswer(counters, outcome, step.answerKey);
    outcomes.push(outcome);
  }
  return nonEmpty(outcomes);
}

function findAll(counters: Counters, checks: readonly RuleCheck[]): Found {
  const found: (Counter | undefined)[] = [];
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    // Not pushed: this is also translated to Lua, where a list ends before an undefined item.
    if (check !== undefined) found[i] = counters.find(check);
  }
  return found;
}

function isStale(step: Step, checks: readonly RuleCheck[], found: Found, nowMs: number): boolean {
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    if (check !== undefined && isCheckStale(step, check, found[i], nowMs)) return true;
  }
  return false;
}

function isCheckStale(
  step: Step,
  check: RuleCheck,
  counter: Counter | undefined,
  nowMs: number,
): boolean {
  const { rule, window } = check;
  if (counter !== undefined && counter.windowVersion > rule.windowVersion) return true;
  if (rule.rollingMs !== 0) return false;
  if (nowMs < window.endMs && nowMs >= window.startMs) return false;
  // Outside the plan's window: right only if the counter is already in a later one.
  if (counter === undefined || counter.windowVersion !== rule.windowVersion) return true;
  if (entersNow(step.action) && speaksTo(step, check)) return true;
  return nowMs >= counter.window.startMs || window.startMs > counter.window.startMs;
}

function isFault(status: StepStatus): boolean {
  return status === "overflow" || status === "conflict";
}

function decideStep(
  counters: Counters,
  step: Step,
  checks: readonly RuleCheck[],
  found: Found,
  nowMs: number,
): StepOutcome {
  if (step.answerKey !== null) {
    const text = counters.findAnswer(step.answerKey);
    const replay = text === undefined ? null : replayOf(text, step.answerKey, nowMs);
    if (replay !== null) return replay;
  }
  const looks = lookAll(step, checks, found, step.action, nowMs);
  let status: StepStatus = "done";
  for (const seen of looks) status = statusAfter(status, step, seen);
  for (const seen of looks) {
    if (status !== "done") takeBack(seen);
    else if (step.action !== "check") writeOne(counters, step, seen, nowMs);
  }
  return outcomeOf(step, status, looks, nowMs);
}

function outcomeOf(
  { checks, ledgers }: Step,
  status: StepStatus,
  outcomes: readonly CheckOutcome[],
  nowMs: number,
): StepOutcome {
  const isReplayed = false;
  const ageMs = null;
  if (ledgers.length === 0) {
    return { status, nowMs, isReplayed, ageMs, checks: nonEmpty(outcomes), ledgers: NO_OUTCOMES };
  }
  const [decided, kept]: [CheckOutcome[], CheckOutcome[]] = [[], []];
  for (const outcome of outcomes) {
    if (decided.length < checks.length) decided.push(outcome);
    else kept.push(outcome);
  }
  return { status, nowMs, isReplayed, ageMs, checks: nonEmpty(decided), ledgers: kept };
}

const NO_OUTCOMES: readonly CheckOutcome[] = [];

/** Would be admitted, but another step was not: reports the counters unchanged. */
function withheld(counters: Counters, step: Step, nowMs: number): StepOutcome {
  const checks = allChecks(step);
  const outcomes = lookAll(step, checks, findAll(counters, checks), "check", nowMs);
  return outcomeOf(step, "withheld", outcomes, nowMs);
}

function lookAll(
  step: Step,
  checks: readonly RuleCheck[],
  found: Found,
  action: Action,
  nowMs: number,
): Look[] {
  const looks: Look[] = [];
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    if (check !== undefined) looks.push(lookFor(step, check, found[i], action, nowMs));
  }
  return looks;
}

/** A check that the action does not act on is only read. */
function lookFor(
  step: Step,
  check: RuleCheck,
  counter: Counter | undefined,
  action: Action,
  nowMs: number,
): Look {
  if (speaksTo(step, check)) return look(check, counter, action, step.amount, nowMs);
  return look(check, counter, "check", 0, nowMs);
}

/** A denial counts nothing, so it takes precedence over a count that is too large. */
function statusAfter(status: StepStatus, step: Step, seen: Look): StepStatus {
  if (!seen.admits) return "denied";
  const isGrant = step.action === "grant" && speaksTo(step, seen.check);
  return status === "done" && isPastMost(seen, isGrant) ? "overflow" : status;
}

/** A grant beyond the largest limit is refused: truncating it would go unnoticed. */
function isPastMost({ used, granted, check }: Look, isGrant: boolean): boolean {
  const lifted = isGrant ? granted + (check.limit ?? 0) : granted;
  return used > AMOUNT_MAX || lifted > AMOUNT_MAX;
}

/** A step that is not done reports the counters unchanged. */
function takeBack(seen: Look): void {
  seen.used = seen.previousUsed;
  seen.alerted = seen.alertedFrom;
}

function keepAnswer(counters: Counters, outcome: StepOutcome, key: AnswerKey): void {
  if (outcome.isReplayed || isFault(outcome.status)) return;
  counters.putAnswer(key, outcomeText(outcome, key), outcome.nowMs + key.ttlMs);
}
