// Steps on holds of a quota with three rules, made by hand: a day, a rolling minute, open holds.
import type { Action } from "ductape";
import { detailsText } from "../src/decide/answer.js";
import { nonEmpty } from "../src/decide/non-empty.js";
import { FOREVER_MS } from "../src/decide/period.js";
import type { HoldTerms, RuleCheck, RuleTerms, Step } from "../src/decide/plan.js";
import { stepOf } from "./random-plans.js";

const SHARD_KEY = "1/shop/prd/q/";
/** Where the holds are kept. */
export const PLACE = { shardKey: SHARD_KEY, space: `${SHARD_KEY}/uid/` };
const DAY_MS = 86_400_000;
const ALWAYS = { startMs: 0, endMs: FOREVER_MS };

const RULE: Omit<RuleTerms, "name" | "space"> = {
  shardKey: SHARD_KEY,
  windowVersion: 1,
  versionSinceMs: 0,
  rollingMs: 0,
  isConcurrent: false,
  isSoft: false,
  picksLimit: false,
  defaultLimit: null,
  alerts: [],
  period: "day",
  remembersLast: false,
};
const ruleOf = (name: string, terms: Partial<RuleTerms>): RuleTerms => ({
  ...RULE,
  name,
  space: `${SHARD_KEY}${name}/uid/`,
  ...terms,
});
const DAY = ruleOf("day", { remembersLast: true });
const BURST = ruleOf("burst", { rollingMs: 60_000, period: "minute" });
const SLOTS = ruleOf("slots", { isConcurrent: true, period: null });

/** What a step on a hold asks for. */
export interface Asked {
  readonly action: Action;
  readonly nowMs: number;
  /** Null: what it holds. */
  readonly amount?: number | null;
  readonly name?: string;
  readonly subject?: string;
  readonly ttlMs?: number;
  readonly isFinal?: boolean;
  readonly atLeast?: number | null;
  /** The limits of the three rules; null: only the first, without a limit. */
  readonly limits?: readonly [day: number, burst: number, slots: number] | null;
}

/** The checks of a subject at an instant. */
function checksOf({ nowMs, subject = "ada", limits = [100, 60, 5] }: Asked): RuleCheck[] {
  const startMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const window = { startMs, endMs: startMs + DAY_MS };
  if (limits === null) return [{ rule: DAY, subject, window, limit: null }];
  const [day, burst, slots] = limits;
  return [
    { rule: DAY, subject, window, limit: day },
    { rule: BURST, subject, window: ALWAYS, limit: burst },
    { rule: SLOTS, subject, window: ALWAYS, limit: slots },
  ];
}

/** A step; one that is neither on a hold nor has a name counts without a hold. */
export function holdStep(asked: Asked): Step {
  const { action, nowMs, amount = 1, name, atLeast = null } = asked;
  const checks = nonEmpty(checksOf(asked));
  const step = stepOf(
    { action, amount: amount ?? 0, rule: null, answerKey: null, plannedMs: nowMs },
    checks,
  );
  return { ...step, atLeast, hold: name === undefined ? null : termsOf(asked, name, checks) };
}

function termsOf(asked: Asked, name: string, checks: readonly RuleCheck[]): HoldTerms {
  const { action, amount = 1, ttlMs = 60_000, isFinal = true, subject = "ada" } = asked;
  return {
    space: PLACE.space,
    name,
    ttlMs,
    fingerprint: JSON.stringify([action, amount, ttlMs]),
    caller: subject,
    details: detailsText(checks, subject, name),
    owners: JSON.stringify(checks.map(({ rule }) => [rule.space, subject])),
    isFinal,
    isWhole: amount === null,
    openedMs: 0,
  };
}
