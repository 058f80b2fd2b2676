import { apply } from "../src/decide/apply.js";
import type { Outcome } from "../src/decide/outcome.js";
import type { Plan } from "../src/decide/plan.js";

/** The outcome of a plan if nothing was ever counted. */
export function doneOf(plan: Plan): Outcome {
  const none = (): undefined => undefined;
  const counters = {
    find: none,
    changed: none,
    put: none,
    findAnswer: none,
    putAnswer: none,
    findHold: none,
    putHold: none,
  };
  return apply(counters, plan, plan[0].plannedMs);
}
