import type { Hold, HoldPart } from "./hold.js";
import { onGrid, partAt, type Holds } from "./holds.js";
import type { Span } from "./period.js";
import type { Charge, RuleCheck } from "./plan.js";

/** A counter as it is before the step. */
interface Seen {
  readonly window: Span;
  readonly holds: Holds | null;
}

/** What a step on a hold, or one that takes back a charge, does to one counter. */
export interface Effect {
  /** What the limit must have room for. */
  readonly asks: number;
  /** What is counted, in the counter's window unless it is late; negative: taken back. */
  readonly use: number;
  /** When that was used, epoch milliseconds: it leaves a rolling window a period later. */
  readonly atMs: number;
  /** What is no longer held, of the part that ends at `takesAtMs`. */
  readonly takes: number;
  readonly takesAtMs: number;
  /** What is held from now on, until `addsUntilMs`. */
  readonly adds: number;
  readonly addsUntilMs: number;
  /** The use belongs to this window, which has ended; null: to the counter's. */
  readonly lateIn: Span | null;
  /** The hold had expired in a window that goes on. */
  readonly isExpired: boolean;
}

/** Sets `amount` aside until `expiresMs`, or until it leaves a rolling window. */
export function reserves(
  { rule }: RuleCheck,
  amount: number,
  expiresMs: number,
  nowMs: number,
): Effect {
  const adds = rule.isConcurrent ? 1 : amount;
  const addsUntilMs = endOf(expiresMs, nowMs, rule.rollingMs);
  return effect(adds, 0, 0, 0, 0, adds, addsUntilMs, null, false);
}

/** When a part of a hold ends: when it expires, or leaves a rolling window. */
function endOf(expiresMs: number, fromMs: number, rollingMs: number): number {
  return rollingMs === 0 ? expiresMs : Math.min(expiresMs, onGrid(fromMs + rollingMs, rollingMs));
}

/** Makes `amount` the hold, until `expiresMs`. What has left its window stays as it is. */
export function extendsHold(
  check: RuleCheck,
  hold: Hold,
  part: HoldPart,
  seen: Seen,
  amount: number,
  expiresMs: number,
  nowMs: number,
): Effect {
  const { rule } = check;
  const held = aliveOf(check, hold, part, seen, nowMs);
  if (held < 0 && isClosed(check, part.window, part.windowVersion, seen.window, nowMs)) {
    return NO_EFFECT;
  }
  const adds = rule.isConcurrent ? 1 : amount;
  const takes = Math.max(0, held);
  const addsUntilMs = endOf(expiresMs, hold.openedMs, rule.rollingMs);
  const asks = Math.max(0, adds - takes);
  return effect(asks, 0, 0, takes, part.endMs, adds, addsUntilMs, null, held < 0);
}

/** Counts `amount`, and holds what is left unless the hold is over. */
export function settles(
  check: RuleCheck,
  hold: Hold,
  part: HoldPart,
  seen: Seen,
  amount: number,
  isOver: boolean,
  nowMs: number,
): Effect {
  const { rule } = check;
  const held = aliveOf(check, hold, part, seen, nowMs);
  const use = rule.isConcurrent ? 0 : amount;
  const atMs = atOf(check, hold.openedMs, part.windowVersion, nowMs);
  const own = Math.max(0, held);
  const takes = isOver ? own : Math.min(own, use);
  const { window, windowVersion } = part;
  const isClosedNow = isClosed(check, window, windowVersion, seen.window, nowMs);
  // On a rolling counter a hold may be counted a little longer than the use that it stands for.
  if (isClosedNow && (held < 0 || rule.rollingMs !== 0)) {
    return effect(0, use, 0, takes, part.endMs, 0, 0, window, false);
  }
  return effect(Math.max(0, use - own), use, atMs, takes, part.endMs, 0, 0, null, held < 0);
}

/** Takes back up to `amount` of a charge. */
export function takesBack(
  check: RuleCheck,
  charge: Charge,
  i: number,
  seen: Seen,
  amount: number,
  nowMs: number,
): Effect {
  const window = charge.windows[i];
  const version = charge.windowVersions[i] ?? 0;
  if (window === undefined || check.rule.isConcurrent) return NO_EFFECT;
  if (isClosed(check, window, version, seen.window, nowMs)) {
    return effect(0, -amount, 0, 0, 0, 0, 0, window, false);
  }
  return counts(-amount, atOf(check, charge.atMs, version, nowMs));
}

/** Counts `amount` in the window of the counter; negative: takes it back. */
export function counts(amount: number, nowMs: number): Effect {
  return effect(Math.max(0, amount), amount, nowMs, 0, 0, 0, 0, null, false);
}

/** Changes nothing. */
const NO_EFFECT = effect(0, 0, 0, 0, 0, 0, 0, null, false);

function effect(
  asks: number,
  use: number,
  atMs: number,
  takes: number,
  takesAtMs: number,
  adds: number,
  addsUntilMs: number,
  lateIn: Span | null,
  isExpired: boolean,
): Effect {
  return { asks, use, atMs, takes, takesAtMs, adds, addsUntilMs, lateIn, isExpired };
}

/** What a hold sets aside on a counter; -1: it is over there. */
function aliveOf(
  check: RuleCheck,
  { held }: Hold,
  part: HoldPart,
  { holds, window }: Seen,
  nowMs: number,
): number {
  const { endMs, edition, windowVersion } = part;
  if (nowMs >= endMs) return -1;
  const own = check.rule.isConcurrent ? 1 : held;
  if (own === 0) return isClosed(check, part.window, windowVersion, window, nowMs) ? -1 : 0;
  return partAt(holds, endMs, edition, nowMs) >= own ? own : -1;
}

/** True if a window in which something was counted is no longer the counter's. */
function isClosed(
  { rule }: RuleCheck,
  counted: Span,
  windowVersion: number,
  window: Span,
  nowMs: number,
): boolean {
  if (rule.isConcurrent) return false;
  if (windowVersion === rule.windowVersion) {
    return rule.rollingMs === 0 ? counted.startMs < window.startMs : nowMs >= counted.endMs;
  }
  // Changed since: a window that was current then went on in the one that was current.
  const changedMs = Math.min(rule.versionSinceMs, nowMs);
  if (counted.endMs <= changedMs) return true;
  return rule.rollingMs === 0 ? changedMs < window.startMs : changedMs <= nowMs - rule.rollingMs;
}

/** When something counts from on a rolling counter: a changed window dates all at the change. */
function atOf({ rule }: RuleCheck, atMs: number, windowVersion: number, nowMs: number): number {
  if (windowVersion === rule.windowVersion) return atMs;
  return Math.max(atMs, Math.min(rule.versionSinceMs, nowMs));
}
