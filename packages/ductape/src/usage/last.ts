import { limitOf } from "../decide/apply.js";
import type { Cell } from "../decide/cell.js";
import type { CompiledRule } from "../define/quota.js";
import { show, ValidationError } from "../base/errors.js";
import type { Span } from "../decide/period.js";
import { limitKnown } from "./target.js";

/** The window of a list of subjects: the current one, or the last that has ended. */
export type UsageWindow = "now" | "last";

/** The last window of a rule that has ended at `nowMs`. Throws `VALIDATION` if none is kept. */
export function lastEnded(rule: CompiledRule, nowMs: number): Span {
  if (rule.leg.remembersLast) return rule.windowAt(rule.windowAt(nowMs).startMs - 1);
  const message = `last needs a rule with calendar windows of a day or longer; ${whyNone(rule)}`;
  throw new ValidationError([{ path: "window", message }]);
}

function whyNone({ leg }: CompiledRule): string {
  const name = `rule ${show(leg.name)}`;
  if (leg.rollingMs !== 0) return `${name} is rolling, so its window never ends`;
  if (leg.period === "lifetime") return `the window of ${name} never ends`;
  return `${name} has shorter ones, which are gone soon after they end (history keeps them)`;
}

/** What a counter used in a window that has ended, under which limit; null: nothing. Scaled. */
export function usedIn(
  { startMs, endMs }: Span,
  rule: CompiledRule,
  cell: Readonly<Cell>,
): { readonly used: number; readonly limit: number | null } | null {
  const isIt = (window: Span) => window.startMs === startMs && window.endMs === endMs;
  const { window, entries, used, granted, last } = cell;
  if (entries === null && isIt(window)) {
    return used === 0 ? null : { used, limit: limitOf({ limit: limitKnown(rule, cell), granted }) };
  }
  return last !== null && last.used !== 0 && isIt(last.window) ? last : null;
}
