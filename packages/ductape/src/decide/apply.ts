import { packAnswer, readAnswer, toldLegs, type AnswerKey } from "./answer.js";
import {
  AMOUNT_MAX,
  emptyCell,
  NOTHING,
  UNLIMITED,
  usedAt,
  type Cell,
  type Cells,
  type LastWindow,
} from "./cell.js";
import { Draft } from "./draft.js";
import type { Action } from "./action.js";
import type { Leg } from "./leg.js";
import type { Step, StepStatus } from "./step.js";
import { addAmount, dropLeft, fitsMs, liveSum, oldestLeavesMs, takeNewest } from "./rolling.js";

/**
 * `decided`: every step of the plan is filled in. `stale`: the plan's windows or rules are not
 * those that hold now; nothing was changed, plan again.
 */
export type Verdict = "decided" | "stale";

/**
 * Decides one plan at one instant: every step is admitted by all of its legs, and all steps are, or
 * nothing is written. Changes `cells` and fills in the plan, and nothing else; needs no clock, no
 * I/O and no randomness. A plan whose window is older than the counter's is decided in the
 * counter's window, so time never runs backwards. Only `reset` and `set` take a counter back into
 * the window of now: they say what was used in it, so nothing is admitted twice, and a counter that
 * a wrong clock moved ahead is not stuck there.
 */
export function apply(cells: Cells, plan: Step, nowMs: number): Verdict {
  for (let step: Step | null = plan; step !== null; step = step.next) {
    for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
      leg.cell = cells.get(leg);
      if (isStale(step, leg, nowMs)) return "stale";
    }
  }
  if (plan.next !== null) decideAll(cells, plan, nowMs);
  else {
    decideStep(cells, plan, nowMs);
    if (plan.answer !== null) keepAnswer(cells, plan, plan.answer);
  }
  return "decided";
}

function isStale(step: Step, leg: Leg, nowMs: number): boolean {
  const { cell, rule, planned } = leg;
  if (cell !== undefined && cell.shape > rule.shape) return true;
  if (rule.rollingMs !== 0) return false;
  if (nowMs < planned.endMs && nowMs >= planned.startMs) return false;
  // Outside the plan's window: right only if the counter already stands in a later one.
  if (cell === undefined || cell.shape !== rule.shape) return true;
  if (entersNow(step.action) && speaksTo(step, leg)) return true;
  return nowMs >= cell.window.startMs || planned.startMs > cell.window.startMs;
}

/** These speak of the window of now, wherever the counter stands. */
function entersNow(action: Action): boolean {
  return action === "reset" || action === "set";
}

/** Several steps as one: each sees the ones before it; one refusal takes all of them back. */
function decideAll(cells: Cells, plan: Step, nowMs: number): void {
  const draft = new Draft(cells);
  let areAllDone = true;
  let isFaulty = false;
  for (let step: Step | null = plan; step !== null; step = step.next) {
    load(draft, step);
    decideStep(draft, step, nowMs);
    if (step.status !== "done") areAllDone = false;
    if (isFault(step.status)) isFaulty = true;
  }
  if (areAllDone) draft.commit();
  for (let step: Step | null = plan; step !== null; step = step.next) {
    if (step.isReplayed) continue;
    if (!areAllDone && step.status === "done") withhold(cells, step, nowMs);
    if (!isFaulty && step.answer !== null) keepAnswer(cells, step, step.answer);
  }
}

/** A step of several is decided on the counters as those before it left them. */
function load(cells: Cells, step: Step): void {
  for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) leg.cell = cells.get(leg);
}

const isFault = (status: StepStatus): boolean => status === "overflow" || status === "conflict";

function decideStep(cells: Cells, step: Step, nowMs: number): void {
  step.nowMs = nowMs;
  if (step.answer !== null && hasReplayed(cells, step, step.answer)) return;
  step.status = lookAll(step, step.action, nowMs);
  if (step.status !== "done") takeBack(step);
  else if (step.action !== "check") write(cells, step, nowMs);
}

/** Would be admitted, but another step was not: tells the counters as they stand. */
function withhold(cells: Cells, step: Step, nowMs: number): void {
  step.status = "withheld";
  load(cells, step);
  lookAll(step, "check", nowMs);
}

/**
 * Fills in each leg; a refusal counts nothing, so it comes before a count that could not be kept.
 */
function lookAll(step: Step, action: Action, nowMs: number): StepStatus {
  let status: StepStatus = "done";
  for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
    const speaks = speaksTo(step, leg);
    if (speaks) look(leg, action, step.amount, nowMs);
    else look(leg, "check", 0, nowMs);
    if (!leg.admits) status = "denied";
    else if (status === "done" && isPastMost(leg, speaks && action === "grant")) {
      status = "overflow";
    }
  }
  return status;
}

/** A grant is for the limit that it lifts, so none is cut off at the largest one unsaid. */
function isPastMost({ used, granted, limit }: Leg, isGrant: boolean): boolean {
  const lifted = isGrant ? granted + (limit ?? 0) : granted;
  return used > AMOUNT_MAX || lifted > AMOUNT_MAX;
}

/** `rule` speaks to one leg; the others are only looked at. */
function speaksTo(step: Step, leg: Leg): boolean {
  return step.rule === null || step.rule === leg.rule.name;
}

/** A step that is not done tells the counters as they stand. */
function takeBack(step: Step): void {
  for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
    leg.used = leg.previousUsed;
    leg.alerted = leg.alertedFrom;
  }
}

/** Fills in the first answer to the key, where there is one. */
function hasReplayed(cells: Cells, step: Step, key: AnswerKey): boolean {
  const text = cells.getAnswer(key);
  if (text === undefined) return false;
  const answer = readAnswer(text);
  if (answer.expiresMs <= step.nowMs) return false;
  step.isReplayed = true;
  step.status = answer.fingerprint === key.fingerprint ? answer.status : "conflict";
  step.nowMs = answer.nowMs;
  step.told = toldLegs(answer, key.caller);
  return true;
}

function keepAnswer(cells: Cells, step: Step, key: AnswerKey): void {
  if (step.isReplayed || isFault(step.status)) return;
  cells.putAnswer(key, packAnswer(step, key), step.nowMs + key.ttlMs);
}

/** Fills in what a leg would be after the action; changes no counter. */
function look(leg: Leg, action: Action, amount: number, nowMs: number): void {
  if (leg.rule.rollingMs !== 0) return lookRolling(leg, action, amount, nowMs);
  const { cell } = leg;
  let window = leg.planned;
  let previousUsed = 0;
  let granted = 0;
  let alertedFrom = 0;
  if (cell !== undefined) {
    if (cell.shape === leg.rule.shape) {
      // Zone rules change. A window of others goes on to its end, and what ended in the midst of
      // one that holds now hands its count over: neither grants afresh.
      const goesOn = nowMs < cell.window.endMs;
      if (nowMs < cell.window.startMs && entersNow(action)) previousUsed = cell.used;
      else if (goesOn || cell.window.startMs >= window.startMs) {
        if (goesOn) window = cell.window;
        previousUsed = cell.used;
        granted = cell.granted;
        alertedFrom = cell.alerted;
      }
    } else {
      previousUsed = carried(cell, leg, nowMs);
      alertedFrom = previousUsed === 0 ? 0 : cell.alerted;
    }
  }
  if (action === "grant") granted += amount;
  leg.window = window;
  leg.granted = granted;
  fill(leg, action, amount, previousUsed, action === "reset" ? 0 : alertedFrom);
}

/** The part that calendar and rolling windows share. */
function fill(
  leg: Leg,
  action: Action,
  amount: number,
  previousUsed: number,
  alertedFrom: number,
): void {
  const limit = limitOf(leg);
  const asks = amount !== 0 && (action === "increment" || action === "check");
  const inTheWay = asks && limit !== null && previousUsed + amount > limit;
  const used = usedAfter(action, previousUsed, amount);
  leg.previousUsed = previousUsed;
  leg.used = used;
  leg.inTheWay = inTheWay;
  leg.admits = !inTheWay || leg.rule.soft;
  leg.alertedFrom = alertedFrom;
  leg.alerted =
    limit === null || leg.rule.alerts.length === 0
      ? alertedFrom
      : alertedAfter(leg.rule.alerts, action, amount, used, limit, alertedFrom);
}

/** The limit of a leg's window with what was granted in it; null: none. */
export function limitOf({ limit, granted }: Pick<Leg, "limit" | "granted">): number | null {
  if (limit === null || granted === 0) return limit;
  return Math.min(AMOUNT_MAX, limit + granted);
}

function usedAfter(action: Action, used: number, amount: number): number {
  if (action === "increment") return used + amount;
  if (action === "decrement") return used > amount ? used - amount : 0;
  if (action === "set") return amount;
  return action === "reset" ? 0 : used;
}

/**
 * A window of another form hands its count over if it held when the form changed, and only into the
 * window that held then: no change grants a fresh allowance, and none is felt for longer.
 */
function carried(cell: Cell, leg: Leg, nowMs: number): number {
  const atMs = changedMs(leg, nowMs);
  const { rollingMs } = leg.rule;
  const isPast = rollingMs === 0 ? atMs < leg.planned.startMs : atMs <= nowMs - rollingMs;
  if (isPast) return 0;
  return usedAt(cell, atMs);
}

/** When the form changed; a clock behind the one that noted it sees it happen now. */
function changedMs({ rule }: Leg, nowMs: number): number {
  return Math.min(rule.shapedMs, nowMs);
}

function alertedAfter(
  alerts: readonly number[],
  action: Action,
  amount: number,
  used: number,
  limit: number,
  from: number,
): number {
  if (action !== "increment" && action !== "set") return from;
  // Adding nothing writes nothing, so it must not report what it cannot remember.
  if (used === 0 || (action === "increment" && amount === 0)) return from;
  let reached = from;
  for (const fraction of alerts) {
    if (fraction > reached && used >= shareOf(limit, fraction)) reached = fraction;
  }
  return reached;
}

/**
 * The least count that reaches `fraction` of `limit`: 7 for 0.07 of 100, though their product is
 * more.
 */
export function shareOf(limit: number, fraction: number): number {
  const share = limit * fraction;
  const near = Math.round(share);
  return Math.abs(share - near) <= near * 2 ** -51 ? near : Math.ceil(share);
}

function write(cells: Cells, step: Step, nowMs: number): void {
  const { action, amount } = step;
  if (amount === 0 && action === "increment") return;
  for (let leg: Leg | null = step.legs; leg !== null; leg = leg.next) {
    if (!speaksTo(step, leg)) continue;
    const { rule } = leg;
    const cell = leg.cell ?? emptyCell(rule.shape, leg.window);
    if (rule.rollingMs !== 0) writeRolling(cell, leg, action, amount, nowMs);
    else if (cell.window !== leg.window || cell.shape !== rule.shape) enterWindow(cell, leg);
    else if (rule.remembersLast && cell.last === null) cell.last = NOTHING;
    cell.shape = rule.shape;
    cell.used = leg.used;
    cell.granted = leg.granted;
    cell.alerted = leg.alerted;
    cell.seenMs = nowMs;
    if (rule.isByPlan && tellsPlan(leg, action)) cell.plannedLimit = leg.limit ?? UNLIMITED;
    cells.put(leg, cell);
    leg.cell = cell;
  }
}

function enterWindow(cell: Cell, leg: Leg): void {
  cell.last = leg.rule.remembersLast ? lastAfter(cell, leg) : null;
  cell.entries = null;
  cell.window = leg.window;
}

/** What a counter remembers in the window it comes into: only what ended before that begins. */
function lastAfter({ entries, window, used, last, ...cell }: Cell, leg: Leg): LastWindow {
  const { startMs } = leg.window;
  if (entries !== null || window.endMs > startMs) {
    return last !== null && last.window.endMs <= startMs ? last : NOTHING;
  }
  if (used === 0) return NOTHING;
  const known = cell.plannedLimit ?? leg.limit;
  const limit = known === UNLIMITED ? null : known;
  return { window, used, limit: limitOf({ limit, granted: cell.granted }) };
}

/** Who counts is known by plan; whoever else changes a counter may know none. */
function tellsPlan({ limit, rule }: Leg, action: Action): boolean {
  return action === "increment" || limit !== rule.defaultLimit;
}

function lookRolling(leg: Leg, action: Action, amount: number, nowMs: number): void {
  const { cell } = leg;
  const periodMs = leg.rule.rollingMs;
  const entries = cell === undefined ? [] : rollingEntries(cell, leg, nowMs);
  const previousUsed = liveSum(entries, nowMs - periodMs);
  const isArmed = cell === undefined || previousUsed === 0 || action === "reset";
  leg.window = { startMs: nowMs - periodMs, endMs: nowMs };
  leg.granted = action === "grant" ? amount : 0;
  fill(leg, action, amount, previousUsed, isArmed ? 0 : cell.alerted);
  const room = leg.inTheWay && leg.limit !== null ? leg.limit - amount : null;
  leg.rolling = {
    leavesMs: oldestLeavesMs(entries, periodMs, nowMs),
    fitsMs: room === null ? nowMs : fitsMs(entries, room, periodMs, nowMs),
  };
}

/**
 * The counter's amounts under the form of this leg: another form handed over one, at the change.
 */
function rollingEntries(cell: Cell, leg: Leg, nowMs: number): number[] {
  if (cell.shape === leg.rule.shape && cell.entries !== null) return cell.entries;
  const used = carried(cell, leg, nowMs);
  return used === 0 ? [] : [changedMs(leg, nowMs), used];
}

function writeRolling(cell: Cell, leg: Leg, action: Action, amount: number, nowMs: number): void {
  const periodMs = leg.rule.rollingMs;
  cell.last = null;
  cell.entries = entriesAfter(cell, leg, action, amount, nowMs);
  // Where the clock stepped back, its newest amount is later than now.
  const newestMs = Math.max(nowMs, cell.entries.at(-2) ?? nowMs);
  cell.window = { startMs: nowMs, endMs: newestMs + periodMs };
  leg.rolling = { leavesMs: oldestLeavesMs(cell.entries, periodMs, nowMs), fitsMs: nowMs };
}

function entriesAfter(
  cell: Cell,
  leg: Leg,
  action: Action,
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
