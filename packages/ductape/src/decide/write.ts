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
import { rollingEntries, type Look } from "./look.js";
import type { Span } from "./period.js";
import { speaksTo, type RuleCheck, type Step } from "./plan.js";
import { addAmount, dropLeft, oldestLeavesMs, takeNewest } from "./rolling.js";

/** Writes the outcome of a check into its counter, if the action acts on it. */
export function writeOne(counters: Counters, step: Step, seen: Look, nowMs: number): void {
  if (!speaksTo(step, seen.check) || (step.amount === 0 && step.action === "increment")) return;
  const { check, counter: found } = seen;
  const { rule } = check;
  const counter = found ?? emptyCounter(rule.windowVersion, seen.window);
  if (rule.rollingMs !== 0) writeRolling(counter, seen, step, nowMs);
  else if (counter.window !== seen.window || counter.windowVersion !== rule.windowVersion) {
    enterWindow(counter, check, seen.window);
  } else if (rule.remembersLast && counter.last === null) counter.last = NOTHING;
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

/** An increment knows the subject's limit; other changes of a counter may not. */
function knowsLimit({ limit, rule }: RuleCheck, action: Action): boolean {
  return action === "increment" || limit !== rule.defaultLimit;
}

function writeRolling(counter: Counter, seen: Look, step: Step, nowMs: number): void {
  const periodMs = seen.check.rule.rollingMs;
  const entries = entriesAfter(counter, seen.check, step, nowMs);
  counter.last = null;
  counter.entries = entries;
  // If the clock stepped back, its newest amount is later than now.
  const newestMs = Math.max(nowMs, entries[entries.length - 2] ?? nowMs);
  counter.window = { startMs: nowMs, endMs: newestMs + periodMs };
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
