import type { Action } from "./action.js";
import { limitWith, usedAt, type Counter } from "./counter.js";
import type { Effect } from "./effect.js";
import { heldAt, heldFitsMs, type Holds } from "./holds.js";
import type { CheckNumbers } from "./outcome.js";
import type { Span } from "./period.js";
import type { RuleCheck } from "./plan.js";
import { amountFrom, fitsMs, liveSum, oldestLeavesMs } from "./rolling.js";

/** The outcome a check would have, until it is written or undone. */
export interface Look extends Mutable<CheckNumbers> {
  readonly check: RuleCheck;
  counter: Counter | null;
  /** What is set aside in the window before the step. */
  readonly holds: Holds | null;
  /** What the step does to the counter, where its action and amount do not say it all. */
  readonly effect: Effect | null;
}
type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** These actions act on the current window, wherever the counter is. */
export function entersNow(action: Action): boolean {
  return action === "reset" || action === "set";
}

/** The outcome a check would have under the action; changes no counter. */
export function look(
  check: RuleCheck,
  counter: Counter | undefined,
  action: Action,
  amount: number,
  effect: Effect | null,
  nowMs: number,
): Look {
  if (check.rule.rollingMs !== 0) return lookRolling(check, counter, action, amount, effect, nowMs);
  let window = check.window;
  let previousUsed = 0;
  let granted = 0;
  let alertedFrom = 0;
  let holds: Holds | null = null;
  if (counter !== undefined) {
    if (counter.windowVersion === check.rule.windowVersion) {
      // Time zone rules change. A window under the old rules runs to its end, and one that ended
      // within a current window transfers its count: neither gives a fresh allowance.
      const goesOn = nowMs < counter.window.endMs;
      if (nowMs < counter.window.startMs && entersNow(action)) {
        previousUsed = counter.used;
        holds = counter.holds;
      } else if (goesOn || counter.window.startMs >= window.startMs) {
        holds = counter.holds;
        if (goesOn) window = counter.window;
        previousUsed = counter.used;
        granted = counter.granted;
        alertedFrom = counter.alerted;
      }
    } else {
      previousUsed = transferred(counter, check, nowMs);
      alertedFrom = previousUsed === 0 ? 0 : counter.alerted;
      holds = transferredHolds(counter, check, nowMs);
    }
  }
  if (action === "grant") granted += amount;
  if (action === "reset") alertedFrom = 0;
  return lookAt(
    check,
    counter,
    window,
    action,
    amount,
    effect,
    previousUsed,
    holds,
    granted,
    alertedFrom,
    nowMs,
  );
}

/** The part that calendar and rolling windows share. */
function lookAt(
  check: RuleCheck,
  counter: Counter | undefined,
  window: Span,
  action: Action,
  amount: number,
  effect: Effect | null,
  previousUsed: number,
  holds: Holds | null,
  granted: number,
  alertedFrom: number,
  nowMs: number,
): Look {
  const { rule } = check;
  const limit = limitWith(check.limit, granted);
  const previousHeld = holds === null ? 0 : heldAt(holds, nowMs);
  const asks = effect === null ? asksOf(action, amount) : effect.asks;
  const inTheWay = asks !== 0 && limit !== null && previousUsed + previousHeld + asks > limit;
  const use = effect === null || effect.lateIn !== null ? 0 : effect.use;
  const used =
    effect === null ? usedAfter(action, previousUsed, amount) : Math.max(0, previousUsed + use);
  const held = effect === null ? previousHeld : previousHeld - effect.takes + effect.adds;
  const counted = effect === null ? amount : use;
  const alerted =
    limit === null || rule.alerts.length === 0
      ? alertedFrom
      : alertedAfter(rule.alerts, action, counted, used, limit, alertedFrom);
  return {
    check,
    counter: counter ?? null,
    window,
    used,
    held,
    granted,
    previousUsed,
    admits: !inTheWay || rule.isSoft,
    inTheWay,
    rolling: null,
    heldFitsMs:
      inTheWay && previousHeld > 0
        ? (heldFitsMs(holds, limit - previousUsed - asks, nowMs) ?? 0)
        : 0,
    countedIn: effect === null ? null : effect.lateIn,
    alertedFrom,
    alerted,
    holds,
    effect,
  };
}

/** What the limit must have room for. */
function asksOf(action: Action, amount: number): number {
  return action === "increment" || action === "check" ? amount : 0;
}

function usedAfter(action: Action, used: number, amount: number): number {
  if (action === "increment") return used + amount;
  if (action === "decrement") return used > amount ? used - amount : 0;
  if (action === "set") return amount;
  return action === "reset" ? 0 : used;
}

/**
 * A counter of an earlier window version transfers its count if its window was current when the
 * version changed, and only into the window current at that time: no change gives a fresh
 * allowance, and none has a longer effect.
 */
function transferred(counter: Counter, check: RuleCheck, nowMs: number): number {
  const atMs = changedMs(check, nowMs);
  return isPastChange(check, atMs, nowMs) ? 0 : usedAt(counter, atMs);
}

/** True if the window that was current when the version changed has ended. */
function isPastChange({ rule, window }: RuleCheck, atMs: number, nowMs: number): boolean {
  return rule.rollingMs === 0 ? atMs < window.startMs : atMs <= nowMs - rule.rollingMs;
}

/** What was set aside in a window that was current when the version changed stays so. */
function transferredHolds(counter: Counter, check: RuleCheck, nowMs: number): Holds | null {
  const atMs = changedMs(check, nowMs);
  if (isPastChange(check, atMs, nowMs)) return null;
  return counter.entries !== null || atMs < counter.window.endMs ? counter.holds : null;
}

/**
 * When the window version changed; a clock behind the one that recorded it takes the change as
 * happening now.
 */
function changedMs({ rule }: RuleCheck, nowMs: number): number {
  return Math.min(rule.versionSinceMs, nowMs);
}

function alertedAfter(
  alerts: readonly number[],
  action: Action,
  amount: number,
  used: number,
  limit: number,
  from: number,
): number {
  if (action !== "increment" && action !== "set" && action !== "commit") return from;
  // Adding nothing writes nothing, so it must not report an alert that it cannot record.
  if (used === 0 || (action !== "set" && amount === 0)) return from;
  let reached = from;
  for (const fraction of alerts) {
    if (fraction > reached && used >= shareOf(limit, fraction)) reached = fraction;
  }
  return reached;
}

/**
 * The smallest count that reaches `fraction` of `limit`: 7 for 0.07 of 100, although their product
 * is more.
 */
function shareOf(limit: number, fraction: number): number {
  const share = limit * fraction;
  // Not Math.round, which other runtimes may round otherwise from 2^52 on.
  let near = Math.floor(share);
  if (share - near >= 0.5) near += 1;
  return Math.abs(share - near) <= near * 2 ** -51 ? near : Math.ceil(share);
}

function lookRolling(
  check: RuleCheck,
  counter: Counter | undefined,
  action: Action,
  amount: number,
  effect: Effect | null,
  nowMs: number,
): Look {
  const periodMs = check.rule.rollingMs;
  const entries = counter === undefined ? [] : rollingEntries(counter, check, nowMs);
  const previousUsed = liveSum(entries, nowMs - periodMs);
  const isArmed = counter === undefined || previousUsed === 0 || action === "reset";
  const window = { startMs: nowMs - periodMs, endMs: nowMs };
  const granted = action === "grant" ? amount : 0;
  const alertedFrom = isArmed ? 0 : counter.alerted;
  const holds = counter === undefined ? null : rollingHolds(counter, check, nowMs);
  const seen = lookAt(
    check,
    counter,
    window,
    action,
    amount,
    effect,
    previousUsed,
    holds,
    granted,
    alertedFrom,
    nowMs,
  );
  if (effect !== null && effect.use < 0 && effect.lateIn === null) {
    const own = amountFrom(entries, effect.atMs, nowMs - periodMs);
    seen.used = previousUsed - Math.min(-effect.use, own);
  }
  const asks = effect === null ? amount : effect.asks;
  const room = seen.inTheWay && check.limit !== null ? check.limit - asks : null;
  seen.rolling = {
    leavesMs: oldestLeavesMs(entries, periodMs, nowMs),
    fitsMs: room === null ? nowMs : fitsMs(entries, holds, room, periodMs, nowMs),
  };
  return seen;
}

function rollingHolds(counter: Counter, check: RuleCheck, nowMs: number): Holds | null {
  if (counter.windowVersion === check.rule.windowVersion) return counter.holds;
  return transferredHolds(counter, check, nowMs);
}

/**
 * The counter's amounts under this window version: an earlier version transfers a single one,
 * dated at the change.
 */
export function rollingEntries(counter: Counter, check: RuleCheck, nowMs: number): number[] {
  if (counter.windowVersion === check.rule.windowVersion && counter.entries !== null) {
    return counter.entries;
  }
  const used = transferred(counter, check, nowMs);
  const entries: number[] = [];
  if (used > 0) {
    entries.push(changedMs(check, nowMs));
    entries.push(used);
  }
  return entries;
}
