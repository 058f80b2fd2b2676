import type { Span } from "./period.js";
import type { Leg, Plan, Step } from "./plan.js";

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
  /** The highest alert reported in this window, in millionths of the limit; 0: none. */
  alertedPpm: number;
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
  /** Alerts reported by this step: those above `alertedFromPpm` up to `alertedPpm`. */
  readonly alertedFromPpm: number;
  readonly alertedPpm: number;
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
/** A rolling window is counted in this many parts; an amount is refused at most one part too long. */
export const ROLLING_PARTS = 60;

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
    alertedPpm: 0,
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
    if (used > AMOUNT_MAX || granted > AMOUNT_MAX) return "overflow";
    if (!admits) status = "denied";
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
  let alertedFromPpm = 0;
  if (cell !== undefined) {
    if (cell.shape === leg.rule.shape) {
      if (cell.window.startMs >= window.startMs) {
        window = cell.window;
        previousUsed = cell.used;
        granted = cell.granted;
        alertedFromPpm = cell.alertedPpm;
      }
    } else {
      previousUsed = carried(cell, nowMs);
      alertedFromPpm = previousUsed === 0 ? 0 : cell.alertedPpm;
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
    alertedFromPpm: action === "reset" ? 0 : alertedFromPpm,
    alertedPpm: alertedAfter(leg, action, amount, used, limit, alertedFromPpm),
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
  fromPpm: number,
): number {
  if (action === "reset") return 0;
  // Adding nothing writes nothing, so it must not report what it cannot remember.
  if (action === "increment" && amount === 0) return fromPpm;
  const { alertsPpm } = leg.rule;
  if (alertsPpm.length === 0 || limit === null || used === 0) return fromPpm;
  if (action !== "increment" && action !== "set") return fromPpm;
  let reached = fromPpm;
  for (const ppm of alertsPpm) {
    if (ppm > reached && used >= shareOf(limit, ppm)) reached = ppm;
  }
  return reached;
}

/** The smallest integer that is at least `ppm` millionths of `limit`, without a rounding error. */
export function shareOf(limit: number, ppm: number): number {
  const rest = limit % 1_000_000;
  return ((limit - rest) / 1_000_000) * ppm + Math.ceil((rest * ppm) / 1_000_000);
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
    cell.alertedPpm = seen.alertedPpm;
    cells.put(leg, cell);
  }
}

// Rolling windows. Amounts are kept by parts of 1/60 of the period, each with the instant of its
// latest amount; a part counts until that instant plus the period, so no amount leaves early and
// none stays longer than one part too long.

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
  const alertedFromPpm =
    cell === undefined || previousUsed === 0 || action === "reset" ? 0 : cell.alertedPpm;
  return {
    window: { startMs: nowMs - periodMs, endMs: nowMs },
    used,
    granted: 0,
    previousUsed,
    admits: !inTheWay || leg.rule.soft,
    inTheWay,
    leavesMs: oldestLeavesMs(entries, periodMs, nowMs),
    fitsMs: inTheWay ? fitsMs(entries, limit - amount, periodMs, nowMs) : nowMs,
    alertedFromPpm,
    alertedPpm: alertedAfter(leg, action, amount, used, limit, alertedFromPpm),
  };
}

/** The counter's amounts under the form of this leg: another form hands over one amount, now. */
function rollingEntries(cell: Cell, leg: Leg, nowMs: number): number[] {
  if (cell.shape === leg.rule.shape && cell.entries !== null) return cell.entries;
  const used = carried(cell, nowMs);
  return used === 0 ? [] : [nowMs, used];
}

function liveSum(entries: readonly number[], leftMs: number): number {
  let sum = 0;
  for (let i = entries.length - 2; i >= 0; i -= 2) {
    if ((entries[i] ?? 0) > leftMs) sum += entries[i + 1] ?? 0;
  }
  return sum;
}

function oldestLeavesMs(entries: readonly number[], periodMs: number, nowMs: number): number {
  for (let i = 0; i < entries.length; i += 2) {
    const atMs = entries[i] ?? 0;
    if (atMs > nowMs - periodMs) return atMs + periodMs;
  }
  return nowMs;
}

function fitsMs(
  entries: readonly number[],
  room: number,
  periodMs: number,
  nowMs: number,
): number | null {
  if (room < 0) return null;
  let left = liveSum(entries, nowMs - periodMs);
  for (let i = 0; i < entries.length; i += 2) {
    const atMs = entries[i] ?? 0;
    if (atMs <= nowMs - periodMs) continue;
    left -= entries[i + 1] ?? 0;
    if (left <= room) return atMs + periodMs;
  }
  return nowMs + periodMs;
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

function dropLeft(entries: number[], leftMs: number): void {
  let gone = 0;
  while (gone < entries.length && (entries[gone] ?? 0) <= leftMs) gone += 2;
  if (gone > 0) entries.splice(0, gone);
}

function addAmount(entries: number[], amount: number, periodMs: number, nowMs: number): void {
  const partMs = Math.max(1, Math.floor(periodMs / ROLLING_PARTS));
  const last = entries.length - 2;
  const lastMs = entries[last];
  // A clock that stepped back joins the newest part: amounts never leave before their time.
  const joins = lastMs !== undefined && Math.floor(nowMs / partMs) <= Math.floor(lastMs / partMs);
  if (!joins) {
    entries.push(nowMs, amount);
    return;
  }
  entries[last] = Math.max(lastMs, nowMs);
  entries[last + 1] = (entries[last + 1] ?? 0) + amount;
}

function takeNewest(entries: number[], amount: number): void {
  let rest = amount;
  while (rest > 0 && entries.length > 0) {
    const newest = entries[entries.length - 1] ?? 0;
    if (newest > rest) {
      entries[entries.length - 1] = newest - rest;
      return;
    }
    rest -= newest;
    entries.length -= 2;
  }
}

/** A copy of the counters a plan touches, so that several steps can be taken back as one. */
class Draft implements Cells {
  readonly #base: Cells;
  readonly #cells = new Map<string, Map<string, { leg: Leg; cell: Cell }>>();
  readonly #answers = new Map<string, Answer>();

  constructor(base: Cells) {
    this.#base = base;
  }

  get(leg: Leg): Cell | undefined {
    const drafted = this.#cells.get(leg.rule.space)?.get(leg.subject);
    if (drafted !== undefined) return drafted.cell;
    const cell = this.#base.get(leg);
    if (cell === undefined) return undefined;
    return { ...cell, entries: cell.entries === null ? null : cell.entries.slice() };
  }

  put(leg: Leg, cell: Cell): void {
    const space = this.#cells.get(leg.rule.space);
    if (space === undefined)
      this.#cells.set(leg.rule.space, new Map([[leg.subject, { leg, cell }]]));
    else space.set(leg.subject, { leg, cell });
  }

  getAnswer(key: string): Answer | undefined {
    return this.#answers.get(key) ?? this.#base.getAnswer(key);
  }

  putAnswer(key: string, answer: Answer): void {
    this.#answers.set(key, answer);
  }

  commit(): void {
    for (const space of this.#cells.values()) {
      for (const { leg, cell } of space.values()) this.#base.put(leg, cell);
    }
  }
}
