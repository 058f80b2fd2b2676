import { Draft } from "./draft.js";
import type { Span } from "./period.js";
import type { Leg, Plan, Step } from "./plan.js";
import { addAmount, dropLeft, fitsMs, liveSum, oldestLeavesMs, takeNewest } from "./rolling.js";

/**
 * One counter: what was used in one window by one subject of one rule. Integers only, 0..2^53-1.
 * `entries` is null on a calendar counter; on a rolling one it holds pairs (last instant, amount),
 * oldest first, one pair for each 1/60 of the period.
 */
export interface Cell {
  /** Which form of the rule's window the numbers belong to; grows with each change of that form. */
  shape: number;
  /** Replaced when it rolls over, never changed in place: many counters share one. */
  window: Span;
  used: number;
  granted: number;
  /** The highest alert reported in this window, a fraction of the limit; 0: none. */
  alerted: number;
  entries: number[] | null;
}

/** The first answer to an idempotency key. `facts` is opaque here: what the caller needs to tell it again. */
export interface Answer {
  readonly fingerprint: string;
  readonly facts: string;
  readonly outcome: StepOutcome;
  readonly expiresMs: number;
}

/** The counters and answers of one plan. The engine loads them, locks them, and keeps what is put. */
export interface Cells {
  /** The counter of a leg, or undefined where nothing was ever counted. */
  get(leg: Leg): Cell | undefined;
  /** A changed or new counter. A cell that `get` returned may have been changed in place. */
  put(leg: Leg, cell: Cell): void;
  getAnswer(key: string): Answer | undefined;
  putAnswer(key: string, answer: Answer): void;
}

/** What one leg says: the window it was decided in and its numbers after the step. */
export interface LegOutcome {
  readonly window: Span;
  readonly used: number;
  readonly granted: number;
  readonly previousUsed: number;
  readonly admits: boolean;
  /** The amount would pass the limit, whether or not the rule refuses it. */
  readonly inTheWay: boolean;
  /** Rolling only: when its oldest amount leaves, epoch milliseconds; null on a calendar counter. */
  leavesMs: number | null;
  /** Rolling only: when the amount would fit; null where waiting cannot help. */
  readonly fitsMs: number | null;
  /** Alerts reported by this step: those above `alertedFrom` up to `alerted`. */
  readonly alertedFrom: number;
  readonly alerted: number;
}

/**
 * - `done`: admitted and written. `denied`: a limit refused it, nothing is changed.
 * - `withheld`: would be admitted, but another step of the same plan was not.
 * - `overflow`: the count would pass 2^53-1. `conflict`: the key was used with another input.
 */
export type StepStatus = "done" | "denied" | "withheld" | "overflow" | "conflict";

/** What became of one step. `replay` holds the facts stored with the first answer. */
export interface StepOutcome {
  readonly status: StepStatus;
  readonly nowMs: number;
  readonly legs: readonly LegOutcome[];
  readonly replay?: string;
}

/**
 * `steps`: decided at `nowMs`. `stale`: the plan's windows or rules are not those that hold at
 * `nowMs`; nothing was changed, plan again.
 */
export type Outcome =
  | { readonly kind: "steps"; readonly steps: readonly StepOutcome[] }
  | { readonly kind: "stale"; readonly nowMs: number };

/** The largest amount or count: 2^53-1. */
export const AMOUNT_MAX = 9_007_199_254_740_991;
/** How long an idempotency key is kept: 24 h, in milliseconds. */
export const ANSWER_TTL_MS = 86_400_000;

/**
 * Decides one plan at one instant: every step is admitted by all of its legs, and all steps are, or
 * nothing is written. Pure but for `cells`; needs no clock, no I/O and no randomness. A plan whose
 * window is older than the counter's is decided in the counter's window: time never runs backwards.
 */
export function apply(cells: Cells, plan: Plan, nowMs: number): Outcome {
  for (const step of plan.steps) {
    for (const leg of step.legs) if (isStale(cells, leg, nowMs)) return { kind: "stale", nowMs };
  }
  const only = plan.steps[0];
  if (plan.steps.length === 1 && only !== undefined) {
    return { kind: "steps", steps: [decideStep(cells, only, nowMs, true)] };
  }
  return { kind: "steps", steps: decideAll(cells, plan.steps, nowMs) };
}

/** A counter that nobody has used yet, in the window of `leg`. */
export function emptyCell(leg: Leg): Cell {
  return {
    shape: leg.rule.shape,
    window: leg.window,
    used: 0,
    granted: 0,
    alerted: 0,
    entries: leg.rule.rollingMs === 0 ? null : [],
  };
}

function isStale(cells: Cells, leg: Leg, nowMs: number): boolean {
  const cell = cells.get(leg);
  if (cell !== undefined && cell.shape > leg.rule.shape) return true;
  if (leg.rule.rollingMs !== 0) return false;
  const { startMs, endMs } = leg.window;
  if (nowMs < endMs && nowMs >= startMs) return false;
  // Outside the plan's window: right only if the counter already stands in a later one.
  if (cell === undefined || cell.shape !== leg.rule.shape) return true;
  return nowMs >= cell.window.startMs || startMs > cell.window.startMs;
}

/** Several steps as one: each sees the ones before it; one refusal takes all of them back. */
function decideAll(cells: Cells, steps: readonly Step[], nowMs: number): StepOutcome[] {
  const draft = new Draft(cells);
  const outcomes = steps.map((step) => decideStep(draft, step, nowMs, false));
  const allDone = outcomes.every((outcome) => outcome.status === "done");
  if (allDone) draft.commit();
  return outcomes.map((outcome, i) => {
    const step = steps[i];
    if (step === undefined || outcome.replay !== undefined) return outcome;
    const told = allDone || outcome.status !== "done" ? outcome : withheld(cells, step, nowMs);
    if (!outcomes.some(isFault)) keepAnswer(cells, step, told);
    return told;
  });
}

function isFault(outcome: StepOutcome): boolean {
  return outcome.status === "overflow" || outcome.status === "conflict";
}

function withheld(cells: Cells, step: Step, nowMs: number): StepOutcome {
  return { status: "withheld", nowMs, legs: lookOnly(cells, step, nowMs) };
}

function lookOnly(cells: Cells, step: Step, nowMs: number): LegOutcome[] {
  return step.legs.map((leg) => look(cells.get(leg), leg, "check", step.amount, nowMs));
}

function decideStep(cells: Cells, step: Step, nowMs: number, keep: boolean): StepOutcome {
  if (step.answerKey !== null) {
    const answer = cells.getAnswer(step.answerKey);
    if (answer !== undefined && answer.expiresMs > nowMs) return replay(answer, step, nowMs);
  }
  const legs = step.legs.map((leg) => lookAt(cells, step, leg, nowMs));
  const status = statusOf(legs);
  if (status === "done" && step.action !== "check") write(cells, step, legs, nowMs);
  // A refused step tells the counters as they stand.
  const told = status === "done" ? legs : lookOnly(cells, step, nowMs);
  const outcome = { status, nowMs, legs: told };
  if (keep) keepAnswer(cells, step, outcome);
  return outcome;
}

function lookAt(cells: Cells, step: Step, leg: Leg, nowMs: number): LegOutcome {
  const cell = cells.get(leg);
  if (speaksTo(step, leg)) return look(cell, leg, step.action, step.amount, nowMs);
  return look(cell, leg, "check", 0, nowMs);
}

function statusOf(legs: readonly LegOutcome[]): StepStatus {
  let status: StepStatus = "done";
  for (const { used, granted, admits } of legs) {
    // A refusal counts nothing, so it comes before a count that could not be kept.
    if (!admits) return "denied";
    if (used > AMOUNT_MAX || granted > AMOUNT_MAX) status = "overflow";
  }
  return status;
}

/** `rule` speaks to one leg; the others are only looked at. */
function speaksTo(step: Step, leg: Leg): boolean {
  return step.rule === null || step.rule === leg.rule.name;
}

function replay(answer: Answer, step: Step, nowMs: number): StepOutcome {
  if (answer.fingerprint !== step.fingerprint) return { status: "conflict", nowMs, legs: [] };
  return { ...answer.outcome, replay: answer.facts };
}

function keepAnswer(cells: Cells, step: Step, outcome: StepOutcome): void {
  if (step.answerKey === null || isFault(outcome)) return;
  cells.putAnswer(step.answerKey, {
    fingerprint: step.fingerprint,
    facts: step.facts,
    outcome,
    expiresMs: outcome.nowMs + ANSWER_TTL_MS,
  });
}

/** What a leg would be after the step; changes nothing. */
function look(
  cell: Cell | undefined,
  leg: Leg,
  action: Step["action"],
  amount: number,
  nowMs: number,
): LegOutcome {
  if (leg.rule.rollingMs !== 0) return lookRolling(cell, leg, action, amount, nowMs);
  let { window } = leg;
  let previousUsed = 0;
  let granted = 0;
  let alertedFrom = 0;
  if (cell !== undefined) {
    if (cell.shape === leg.rule.shape) {
      if (cell.window.startMs >= window.startMs) {
        window = cell.window;
        previousUsed = cell.used;
        granted = cell.granted;
        alertedFrom = cell.alerted;
      }
    } else {
      previousUsed = carried(cell, nowMs);
      alertedFrom = previousUsed === 0 ? 0 : cell.alerted;
    }
  }
  if (action === "grant") granted += amount;
  const limit = limitOf(leg, granted);
  const after = previousUsed + amount;
  const inTheWay =
    (action === "increment" || action === "check") && limit !== null && after > limit;
  const used = usedAfter(action, previousUsed, amount);
  return {
    window,
    used,
    granted,
    previousUsed,
    admits: !inTheWay || leg.rule.soft || amount === 0,
    inTheWay: inTheWay && amount !== 0,
    leavesMs: null,
    fitsMs: null,
    alertedFrom: action === "reset" ? 0 : alertedFrom,
    alerted: alertedAfter(leg, action, amount, used, limit, alertedFrom),
  };
}

/** The limit of a window with what was granted in it; null: none. */
export function limitOf(leg: { readonly limit: number | null }, granted: number): number | null {
  return leg.limit === null ? null : Math.min(AMOUNT_MAX, leg.limit + granted);
}

function usedAfter(action: Step["action"], used: number, amount: number): number {
  if (action === "increment") return used + amount;
  if (action === "decrement") return used > amount ? used - amount : 0;
  if (action === "set") return amount;
  return action === "reset" ? 0 : used;
}

/** A window of another form that still holds at `nowMs` hands its count over; a past one is gone. */
function carried(cell: Cell, nowMs: number): number {
  if (cell.entries === null) return nowMs < cell.window.endMs ? cell.used : 0;
  return liveSum(cell.entries, nowMs - (cell.window.endMs - cell.window.startMs));
}

function alertedAfter(
  leg: Leg,
  action: Step["action"],
  amount: number,
  used: number,
  limit: number | null,
  from: number,
): number {
  if (action === "reset") return 0;
  // Adding nothing writes nothing, so it must not report what it cannot remember.
  if (action === "increment" && amount === 0) return from;
  const { alerts } = leg.rule;
  if (alerts.length === 0 || limit === null || used === 0) return from;
  if (action !== "increment" && action !== "set") return from;
  let reached = from;
  for (const fraction of alerts) {
    if (fraction > reached && used >= shareOf(limit, fraction)) reached = fraction;
  }
  return reached;
}

/** The least count that reaches `fraction` of `limit`: 7 for 0.07 of 100, though their product is more. */
export function shareOf(limit: number, fraction: number): number {
  const share = limit * fraction;
  const near = Math.round(share);
  return Math.abs(share - near) <= near * 2 ** -51 ? near : Math.ceil(share);
}

function write(cells: Cells, step: Step, legs: readonly LegOutcome[], nowMs: number): void {
  for (let i = 0; i < legs.length; i++) {
    const leg = step.legs[i];
    const seen = legs[i];
    if (leg === undefined || seen === undefined) continue;
    const { action } = step;
    if (!speaksTo(step, leg) || (step.amount === 0 && action === "increment")) continue;
    const cell = cells.get(leg) ?? emptyCell(leg);
    const { rollingMs } = leg.rule;
    if (rollingMs === 0) cell.entries = null;
    else {
      cell.entries = entriesAfter(cell, leg, action, step.amount, nowMs);
      seen.leavesMs = oldestLeavesMs(cell.entries, rollingMs, nowMs);
    }
    cell.shape = leg.rule.shape;
    cell.window = rollingMs === 0 ? seen.window : { startMs: nowMs, endMs: nowMs + rollingMs };
    cell.used = seen.used;
    cell.granted = seen.granted;
    cell.alerted = seen.alerted;
    cells.put(leg, cell);
  }
}

function lookRolling(
  cell: Cell | undefined,
  leg: Leg,
  action: Step["action"],
  amount: number,
  nowMs: number,
): LegOutcome {
  const periodMs = leg.rule.rollingMs;
  const entries = cell === undefined ? [] : rollingEntries(cell, leg, nowMs);
  const previousUsed = liveSum(entries, nowMs - periodMs);
  const { limit } = leg;
  const inTheWay =
    (action === "increment" || action === "check") &&
    amount !== 0 &&
    limit !== null &&
    previousUsed + amount > limit;
  const used = usedAfter(action, previousUsed, amount);
  const alertedFrom =
    cell === undefined || previousUsed === 0 || action === "reset" ? 0 : cell.alerted;
  return {
    window: { startMs: nowMs - periodMs, endMs: nowMs },
    used,
    granted: 0,
    previousUsed,
    admits: !inTheWay || leg.rule.soft,
    inTheWay,
    leavesMs: oldestLeavesMs(entries, periodMs, nowMs),
    fitsMs: inTheWay ? fitsMs(entries, limit - amount, periodMs, nowMs) : nowMs,
    alertedFrom,
    alerted: alertedAfter(leg, action, amount, used, limit, alertedFrom),
  };
}

/** The counter's amounts under the form of this leg: another form hands over one amount, now. */
function rollingEntries(cell: Cell, leg: Leg, nowMs: number): number[] {
  if (cell.shape === leg.rule.shape && cell.entries !== null) return cell.entries;
  const used = carried(cell, nowMs);
  return used === 0 ? [] : [nowMs, used];
}

function entriesAfter(
  cell: Cell,
  leg: Leg,
  action: Step["action"],
  amount: number,
  nowMs: number,
): number[] {
  const periodMs = leg.rule.rollingMs;
  if (action === "reset") return [];
  if (action === "set") return amount === 0 ? [] : [nowMs, amount];
  const entries = rollingEntries(cell, leg, nowMs);
  dropLeft(entries, nowMs - periodMs);
  if (action === "increment") addAmount(entries, amount, periodMs, nowMs);
  if (action === "decrement") takeNewest(entries, amount);
  return entries;
}
