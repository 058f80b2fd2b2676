import { limitWith, type Counter } from "../decide/counter.js";
import type { CompiledRule } from "../define/quota.js";
import { show, ValidationError } from "../base/errors.js";
import type { Span } from "../decide/period.js";
import { limitKnown } from "./target.js";

/** The window of a list of subjects: the current one, or the last that has ended. */
export type UsageWindow = "now" | "last";

/** The last window of a rule that has ended at `nowMs`. Throws `VALIDATION` if none is kept. */
export function lastEnded(rule: CompiledRule, nowMs: number): Span {
  if (rule.terms.remembersLast) return rule.windowAt(rule.windowAt(nowMs).startMs - 1);
  const message = `last needs a rule with calendar windows of a day or longer; ${whyNone(rule)}`;
  throw new ValidationError([{ path: "window", message }]);
}

function whyNone({ terms }: CompiledRule): string {
  const name = `rule ${show(terms.name)}`;
  if (terms.isConcurrent) return `${name} counts open holds, which have no window`;
  if (terms.rollingMs !== 0) return `${name} is rolling, so its window never ends`;
  if (terms.period === "lifetime") return `the window of ${name} never ends`;
  return `${name} has shorter ones, which are gone soon after they end (history keeps them)`;
}

/** What a counter used in a window that has ended, under which limit; null: nothing. Scaled. */
export function usedIn(
  { startMs, endMs }: Span,
  rule: CompiledRule,
  counter: Readonly<Counter>,
): { readonly used: number; readonly limit: number | null } | null {
  const isIt = (window: Span) => window.startMs === startMs && window.endMs === endMs;
  const { window, entries, used, granted, last } = counter;
  if (entries === null && isIt(window)) {
    return used === 0 ? null : { used, limit: limitWith(limitKnown(rule, counter), granted) };
  }
  return last !== null && last.used !== 0 && isIt(last.window) ? last : null;
}
