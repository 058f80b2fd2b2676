import type { Action } from "./action.js";
import {
  emptyCounter,
  limitWith,
  NOTHING,
  UNLIMITED,
  type Counter,
  type LastWindow,
} from "./counter.js";
import type { Counters } from "./counters.js";
import type { Effect } from "./effect.js";
import { dropEnded, noneOf, withPart, type Holds } from "./holds.js";
import { rollingEntries, type Look } from "./look.js";
import type { Span } from "./period.js";
import { speaksTo, type RuleCheck, type Step } from "./plan.js";
import {
  addAmount,
  addAmountAt,
  dropLeft,
  oldestLeavesMs,
  takeFrom,
  takeNewest,
} from "./rolling.js";

/** Writes the outcome of a check into its counter, if the action acts on it. */
export function writeOne(counters: Counters, step: Step, seen: Look, nowMs: number): void {
  if (!changes(step, seen)) return;
  const { check, counter: found, effect } = seen;
  const { rule } = check;
  const counter = found ?? emptyCounter(rule.windowVersion, seen.window);
  if (counter.holds !== null || (effect !== null && effect.adds !== 0)) {
    counter.holds = holdsAfter(counter.holds, seen.holds, effect, nowMs);
  }
  if (rule.isConcurrent) counter.window = { startMs: nowMs, endMs: lastEndMs(counter, nowMs) };
  else if (rule.rollingMs !== 0) writeRolling(counter, seen, step, nowMs);
  else if (counter.window !== seen.window || counter.windowVersion !== rule.windowVersion) {
    enterWindow(counter, check, seen.window);
  } else if (rule.remembersLast && counter.last === null) counter.last = NOTHING;
  if (effect !== null && effect.lateIn !== null) addLate(counter, check, effect.use, effect.lateIn);
  counter.windowVersion = rule.windowVersion;
  counter.used = seen.used;
  counter.granted = seen.granted;
  counter.alerted = seen.alerted;
  counter.seenMs = nowMs;
  if (rule.picksLimit && knowsLimit(check, step.action)) {
    counter.knownLimit = check.limit ?? UNLIMITED;
  }
  seen.counter = counter;
  if (found === null) counters.put(check, counter);
  else counters.changed(check, counter);
}

/** True if the step changes the counter. */
function changes(step: Step, { check, effect }: Look): boolean {
  if (effect === null) {
    if (check.rule.isConcurrent || !speaksTo(step, check)) return false;
    return step.amount !== 0 || step.action !== "increment";
  }
  if (effect.lateIn !== null && effect.takes === 0) return check.rule.remembersLast;
  return effect.use !== 0 || effect.takes !== 0 || effect.adds !== 0;
}

/** What is set aside after the step: in a new window, nothing of what was before. */
function holdsAfter(
  before: Holds | null,
  carried: Holds | null,
  effect: Effect | null,
  nowMs: number,
): Holds | null {
  let holds = carried === null ? noneOf(before) : dropEnded(carried, nowMs);
  if (effect === null) return holds;
  if (effect.takes !== 0) holds = withPart(holds, effect.takesAtMs, -effect.takes);
  return effect.adds === 0 ? holds : withPart(holds, effect.addsUntilMs, effect.adds);
}

/** When the last part of a counter's holds ends. */
function lastEndMs({ holds }: Counter, nowMs: number): number {
  if (holds === null) return nowMs;
  return Math.max(nowMs, holds.parts[holds.parts.length - 3] ?? nowMs);
}

/** Counts in the window before the counter's own, which it remembers. */
function addLate(counter: Counter, check: RuleCheck, use: number, window: Span): void {
  const { last } = counter;
  if (last === null || window.endMs !== counter.window.startMs) return;
  const isKnown = last.used !== 0 && last.window.startMs === window.startMs;
  const used = Math.max(0, (isKnown ? last.used : 0) + use);
  const limit = isKnown ? last.limit : check.limit;
  counter.last = used === 0 ? NOTHING : { window, used, limit };
}

function enterWindow(counter: Counter, check: RuleCheck, window: Span): void {
  counter.last = check.rule.remembersLast ? lastAfter(counter, check, window) : null;
  counter.entries = null;
  counter.window = window;
}

/** What a counter remembers when it enters a window: only a window that ended before. */
function lastAfter(counter: Counter, check: RuleCheck, { startMs }: Span): LastWindow {
  const { entries, window, used, granted, last } = counter;
  if (entries !== null || window.endMs > startMs) {
    return last !== null && last.window.endMs <= startMs ? last : NOTHING;
  }
  if (used === 0) return NOTHING;
  const known = counter.knownLimit ?? check.limit;
  return { window, used, limit: limitWith(known === UNLIMITED ? null : known, granted) };
}

/** What asks for room knows the subject's limit; other changes of a counter may not. */
function knowsLimit({ limit, rule }: RuleCheck, action: Action): boolean {
  return action === "increment" || action === "reserve" || limit !== rule.defaultLimit;
}

function writeRolling(counter: Counter, seen: Look, step: Step, nowMs: number): void {
  const periodMs = seen.check.rule.rollingMs;
  const entries =
    seen.effect === null
      ? entriesAfter(counter, seen.check, step, nowMs)
      : entriesUnder(seen.effect, counter, seen.check, nowMs);
  counter.last = null;
  counter.entries = entries;
  // If the clock stepped back, its newest amount is later than now.
  const newestMs = Math.max(nowMs, entries[entries.length - 2] ?? nowMs);
  const endMs = Math.max(newestMs + periodMs, lastEndMs(counter, nowMs));
  counter.window = { startMs: nowMs, endMs };
  seen.rolling = { leavesMs: oldestLeavesMs(entries, periodMs, nowMs), fitsMs: nowMs };
}

function entriesAfter(counter: Counter, check: RuleCheck, step: Step, nowMs: number): number[] {
  const periodMs = check.rule.rollingMs;
  const { action, amount } = step;
  if (action === "reset" || (action === "set" && amount === 0)) return [];
  if (action === "set") return [nowMs, amount];
  const entries = rollingEntries(counter, check, nowMs);
  dropLeft(entries, nowMs - periodMs);
  if (action === "increment") addAmount(entries, amount, periodMs, nowMs);
  if (action === "decrement") takeNewest(entries, amount);
  return entries;
}

function entriesUnder(effect: Effect, counter: Counter, check: RuleCheck, nowMs: number): number[] {
  const periodMs = check.rule.rollingMs;
  const entries = rollingEntries(counter, check, nowMs);
  dropLeft(entries, nowMs - periodMs);
  const { use, atMs, lateIn } = effect;
  if (use === 0 || lateIn !== null) return entries;
  if (use < 0) takeFrom(entries, -use, atMs);
  else if (atMs >= nowMs) addAmount(entries, use, periodMs, nowMs);
  else addAmountAt(entries, use, atMs, periodMs);
  return entries;
}
