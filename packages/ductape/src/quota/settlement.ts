import { ledgerCheck } from "../decide/ledger.js";
import type { Hold } from "../decide/hold.js";
import { nonEmpty } from "../decide/non-empty.js";
import type { Period, Span } from "../decide/period.js";
import type { RuleCheck, RuleTerms, Step } from "../decide/plan.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import type { Identity } from "../define/subject.js";
import { NotFoundError, show } from "../base/errors.js";
import { answerKey, holdTerms } from "./answer-key.js";
import type { HoldFields } from "./hold-fields.js";
import { scaledAmount } from "./plan-amount.js";
import { ALL_TIME, checkOf, planChecks } from "./plan-check.js";
import { ruleOf } from "./plan-rule.js";
import type { Request } from "./request.js";

/**
 * Plans a step on a hold from its record, for the counters that it was reserved on: also those of
 * rules that are gone, whose counters then refuse nothing. A subject that is given must be the
 * hold's. Throws `VALIDATION`, `SUBJECT_REQUIRED`, and `RESERVATION_NOT_FOUND` for the hold of
 * somebody else.
 */
export function planSettlement(
  request: Request,
  holding: HoldFields,
  identity: Identity | null,
  quota: CompiledQuota,
  hold: Hold,
  nowMs: number,
): Step {
  const { action, idempotency } = request;
  const rule = ruleOf(request, quota);
  const amount = scaledAmount(request.amount, quota);
  const given = givenChecks(request, identity, quota, nowMs);
  const counted = countedOf(hold.owners, hold.reserved.details);
  const checks = nonEmpty(counted.map((each) => checkFor(each, quota, given, nowMs)));
  if (given !== null && !areOf(given, counted)) throw noHold(request, holding.reservation);
  const { answerSpace } = quota;
  return {
    action,
    amount,
    atLeast: null,
    allowsExcess: holding.allowsExcess,
    hold: {
      ...holdTerms(request, holding, identity, answerSpace, amount, checks),
      owners: hold.owners,
      openedMs: hold.openedMs,
    },
    charge: null,
    rule,
    checks,
    ledgers: action === "commit" ? ledgersOf(checks, hold.parts, quota, nowMs) : [],
    answerKey:
      idempotency === null
        ? null
        : answerKey(request, idempotency, identity, answerSpace, amount, rule, checks),
    cache: null,
    plannedMs: nowMs,
  };
}

/** The fault of an id that no hold of this subject has. */
export function noHold({ quotaTag }: Request, id: string): NotFoundError {
  const message = `reservation: quota ${show(quotaTag)} has no hold ${show(id)} of this subject`;
  const why = "it never was, or was settled or expired more than 24 h ago";
  return new NotFoundError("RESERVATION_NOT_FOUND", `${message}: ${why}`);
}

/** The checks of the subject that a request gives; null: it gives none. */
export function givenChecks(
  { subject }: Request,
  identity: Identity | null,
  quota: CompiledQuota,
  nowMs: number,
): Step["checks"] | null {
  if (identity === null && subject === null) return null;
  return planChecks(identity === null ? subject : identity.data, quota, nowMs, identity);
}

/** One counter that a hold or a charge counts on, as its record knows it. */
export interface Counted {
  readonly space: string;
  readonly subject: string;
  readonly name: string;
  readonly period: Period | null;
  /** Scaled; null: none. */
  readonly limit: number | null;
}

type Detail = readonly [name: string, period: Period | null, limit: number | null, ...unknown[]];

/** The counters of a hold. */
export function countedOf(ownersText: string, detailsText: string): Counted[] {
  const owners: readonly (readonly [string, string])[] = JSON.parse(ownersText);
  const details: readonly Detail[] = JSON.parse(detailsText);
  return owners.map(([space, subject], i) => {
    const [name = "", period = null, limit = null] = details[i] ?? [];
    return { space, subject, name, period, limit };
  });
}

/** True unless a counter belongs to a rule that counts somebody else for this request. */
export function areOf(given: Step["checks"], counted: readonly Counted[]): boolean {
  return counted.every(({ space, subject }) => {
    const check = given.find(({ rule }) => rule.space === space);
    return check === undefined || check.subject === subject;
  });
}

function checkFor(
  counted: Counted,
  quota: CompiledQuota,
  given: Step["checks"] | null,
  nowMs: number,
): RuleCheck {
  const { space, subject } = counted;
  const rule = quota.rules.find(({ terms }) => terms.space === space);
  if (rule === undefined) {
    return { rule: goneTerms(counted, quota), subject, window: ALL_TIME, limit: null };
  }
  const known = given?.find((check) => check.rule.space === space);
  return checkOf(rule, subject, limitOf(rule, counted, known), nowMs);
}

/** Where a value of the subject picks the limit and none is given, the limit is that of before. */
export function limitOf(
  { limit }: CompiledRule,
  counted: Counted,
  known: RuleCheck | undefined,
): number | null {
  if (limit !== undefined) return limit;
  return known === undefined ? counted.limit : known.limit;
}

/**
 * Terms of a deleted rule, whose counters are deleted too: of a rolling window so short that all
 * that was counted has left it, so nothing is written and nothing refused.
 */
function goneTerms({ space, name, period }: Counted, { rules }: CompiledQuota): RuleTerms {
  return {
    space,
    shardKey: rules[0].terms.shardKey,
    name,
    windowVersion: GONE_VERSION,
    versionSinceMs: 0,
    rollingMs: 1_000,
    isConcurrent: false,
    isSoft: true,
    picksLimit: false,
    defaultLimit: null,
    alerts: [],
    period,
    remembersLast: false,
  };
}

/** Later than the version of any counter that is still there. */
const GONE_VERSION = 2 ** 31 - 1;

/** The history of the windows in which each check counted, as far as it is still kept. */
export function ledgersOf(
  checks: readonly RuleCheck[],
  parts: readonly { readonly window: Span }[],
  { rules }: CompiledQuota,
  nowMs: number,
): RuleCheck[] {
  return checks.flatMap(({ rule, subject, limit }, i) => {
    const ledger = rules.find(({ terms }) => terms.space === rule.space)?.ledger ?? null;
    const part = parts[i];
    if (ledger === null || part === undefined) return [];
    const check = ledgerCheck(ledger, subject, part.window, limit);
    return nowMs < check.window.endMs ? [check] : [];
  });
}
