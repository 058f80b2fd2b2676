import type { Action } from "../decide/action.js";
import { limitWith } from "../decide/counter.js";
import type { CheckOutcome, StepOutcome } from "../decide/outcome.js";
import { FOREVER_MS } from "../decide/period.js";
import type { Step } from "../decide/plan.js";

/** The limit of a window including its grants; null: none. */
export const limitOf = ({ check, granted }: CheckOutcome): number | null =>
  limitWith(check.limit, granted);

/** True if the rule counts open holds, each as one. */
export const countsHolds = ({ check }: CheckOutcome): boolean => check.rule.period === null;

/** What is left of the limit; null without a limit. */
export function leftOf(outcome: CheckOutcome, limit: number | null): number | null {
  return limit === null ? null : Math.max(0, limit - outcome.used - outcome.held);
}

/** By how much the limit is passed by what was used or, where they are counted, by open holds. */
export function overageOf(outcome: CheckOutcome, limit: number | null): number {
  const counted = countsHolds(outcome) ? outcome.held : outcome.used;
  return limit !== null && counted > limit ? counted - limit : 0;
}

/**
 * The check whose numbers are reported: of those that denied, the one with the longest wait, so
 * that waiting for it helps; else the one with the smallest fraction left. Of equals, the first.
 */
export function bindingCheck(step: Step, outcome: StepOutcome): CheckOutcome {
  let tightest: CheckOutcome | null = null;
  let leastLeft = Infinity;
  let refusing: CheckOutcome | null = null;
  let longestMs = -1;
  const passes = passesHolds(step.action) && !outcome.checks.every(countsHolds);
  for (const each of outcome.checks) {
    if (step.rule !== null && step.rule !== each.check.rule.name) continue;
    if (passes && countsHolds(each)) continue;
    const left = fractionLeft(each.used + each.held, limitOf(each));
    const wait = each.admits ? -1 : (waitMs(step, outcome, each) ?? Infinity);
    if (tightest === null || left < leastLeft) [tightest, leastLeft] = [each, left];
    if (wait > longestMs) [refusing, longestMs] = [each, wait];
  }
  return refusing ?? tightest ?? outcome.checks[0];
}

/** True for actions that pass by the rules that count open holds. */
function passesHolds(action: Action): boolean {
  switch (action) {
    case "increment":
    case "decrement":
    case "set":
    case "reset":
    case "grant":
      return true;
    default:
      return false;
  }
}

function fractionLeft(taken: number, limit: number | null): number {
  if (limit === null) return Number.MAX_VALUE;
  return limit === 0 ? -taken : (limit - taken) / limit;
}

/** True if any limit was in the way or is passed. */
export function isAnyPassed(checks: readonly CheckOutcome[]): boolean {
  for (const each of checks) {
    if (each.inTheWay || overageOf(each, limitOf(each)) > 0) return true;
  }
  return false;
}

/** How long until a check that denied admits the amount; null if waiting cannot help. */
export function waitMs(
  step: Step,
  { nowMs, amount: admitted }: StepOutcome,
  outcome: CheckOutcome,
): number | null {
  const { rolling, window, check, heldFitsMs } = outcome;
  if (rolling !== null) return rolling.fitsMs === null ? null : rolling.fitsMs - nowMs;
  // What is held beyond the window ends with it, and so do the grants.
  const endsFirst = !countsHolds(outcome) && heldFitsMs >= window.endMs;
  const heldMs = heldFitsMs === 0 || endsFirst ? Infinity : Math.max(0, heldFitsMs - nowMs);
  const amount = admitted ?? step.amount;
  const isEndless = window.endMs === FOREVER_MS || countsHolds(outcome);
  // What a hold asks for once its window has ended counts there, and is never refused.
  const isLate = step.action === "commit" || step.action === "extend";
  const isTooMuch = amount > (check.limit ?? 0) && !isLate;
  const endsMs = isEndless || isTooMuch ? Infinity : Math.max(0, window.endMs - nowMs);
  const ms = Math.min(heldMs, endsMs);
  return ms === Infinity ? null : ms;
}
