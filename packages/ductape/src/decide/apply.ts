import { answerText, keptAnswer, replayOf } from "./answer.js";
import type { Counter } from "./counter.js";
import type { Counters } from "./counters.js";
import { draftOf, type Draft } from "./draft.js";
import { decideHold, isHoldStale } from "./hold-step.js";
import { entersNow } from "./look.js";
import { nonEmpty } from "./non-empty.js";
import type { Outcome, StepOutcome, StepStatus } from "./outcome.js";
import {
  allChecks,
  speaksTo,
  type AnswerKey,
  type Plan,
  type RuleCheck,
  type Step,
} from "./plan.js";
import {
  decidePlainStep,
  findAll,
  lookFor,
  NO_OUTCOMES,
  reportOnly,
  statusAfter,
  takeBack,
  type Found,
} from "./step.js";
import { writeOne } from "./write.js";

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
  if (isStale(counters, step, checks, found, nowMs)) return "stale";
  const outcome = decideStep(counters, step, checks, found, nowMs);
  if (step.answerKey !== null) keepAnswer(counters, outcome, step.answerKey);
  return [outcome];
}

/** Most steps check one counter and have no key: the same decision without building a list. */
function isPlain({ checks, ledgers, answerKey, atLeast, hold, charge }: Step): boolean {
  if (checks.length !== 1 || ledgers.length !== 0 || answerKey !== null) return false;
  return hold === null && atLeast === null && charge === null;
}

function applyPlain(counters: Counters, step: Step, nowMs: number): Outcome {
  const check = step.checks[0];
  const counter = counters.find(check);
  if (isCheckStale(step, check, counter, nowMs)) return "stale";
  const seen = lookFor(step, check, counter, null, nowMs);
  const status = statusAfter("done", step, seen);
  if (status !== "done") takeBack(seen, nowMs);
  else if (step.action !== "check") writeOne(counters, step, seen, nowMs);
  return [
    {
      status,
      nowMs,
      isReplayed: false,
      ageMs: null,
      amount: null,
      hold: null,
      checks: [seen],
      ledgers: NO_OUTCOMES,
    },
  ];
}

/** Several steps together: each sees those before it; one denial undoes them all. */
function applyAll(counters: Counters, plan: Plan, nowMs: number): Outcome {
  for (const step of plan) {
    const checks = allChecks(step);
    if (isStale(counters, step, checks, findAll(counters, checks), nowMs)) return "stale";
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
      outcome = reportOnly(counters, step, allChecks(step), "withheld", nowMs);
    }
    if (!isFaulty && step.answerKey !== null) keepAnswer(counters, outcome, step.answerKey);
    outcomes.push(outcome);
  }
  return nonEmpty(outcomes);
}

function isStale(
  counters: Counters,
  step: Step,
  checks: readonly RuleCheck[],
  found: Found,
  nowMs: number,
): boolean {
  if (step.hold !== null && isHoldStale(counters, step, step.hold, nowMs)) return true;
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
  return status === "overflow" || status === "conflict" || status === "unknown";
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
  if (step.hold !== null) return decideHold(counters, step, step.hold, checks, found, nowMs);
  return decidePlainStep(counters, step, checks, found, nowMs);
}

function keepAnswer(counters: Counters, outcome: StepOutcome, key: AnswerKey): void {
  if (outcome.isReplayed || isFault(outcome.status)) return;
  counters.putAnswer(key, answerText(keptAnswer(outcome, key)), outcome.nowMs + key.ttlMs);
}
