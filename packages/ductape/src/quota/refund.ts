import { ANSWER_TTL_MS } from "../decide/action.js";
import { detailsText, readAnswer, type Answer } from "../decide/answer.js";
import type { Hold } from "../decide/hold.js";
import { isNonEmpty } from "../decide/non-empty.js";
import type { Span } from "../decide/period.js";
import type { AnswerKey, RuleCheck, Step } from "../decide/plan.js";
import type { CompiledQuota } from "../define/quota.js";
import type { Identity } from "../define/subject.js";
import { NotFoundError, show, ValidationError } from "../base/errors.js";
import { TEXT_CHARS_MAX } from "../base/text.js";
import { keptRequest } from "./answer-key.js";
import type { HoldFields } from "./hold-fields.js";
import { scaledAmount } from "./plan-amount.js";
import { checkOf, planChecks } from "./plan-check.js";
import { ruleOf } from "./plan-rule.js";
import type { Request } from "./request.js";
import { areOf, countedOf, givenChecks, ledgersOf, limitOf, type Counted } from "./settlement.js";

/** What was counted once. */
interface Charged {
  /** Scaled. */
  readonly amount: number;
  /** Epoch milliseconds. */
  readonly atMs: number;
  /** On each counter. */
  readonly counted: readonly Part[];
}

/** What was counted on one counter, and in which window. */
interface Part extends Counted {
  readonly window: Span;
  readonly windowVersion: number;
}

/**
 * Plans a `decrement` that takes back what was charged under `of`: by a hold, or by an increment
 * with that idempotency key, whose stored answer is `answerText`. At most all of it, from the
 * windows that it was counted in, and once. Throws `VALIDATION`, `SUBJECT_REQUIRED`, and
 * `RESERVATION_NOT_FOUND` if there is no such charge of this subject.
 */
export function planRefund(
  request: Request,
  { isWhole }: HoldFields,
  of: string,
  identity: Identity | null,
  quota: CompiledQuota,
  kept: { readonly hold: Hold | null; readonly answerText: string | null },
  nowMs: number,
): Step {
  const rule = ruleOf(request, quota);
  const given = givenChecks(request, identity, quota, nowMs);
  const charged =
    kept.hold === null
      ? chargedByKey(kept.answerText, quota, given, nowMs)
      : chargedByHold(kept.hold, of);
  if (charged === null) throw noCharge(request, of);
  if (given !== null && !areOf(given, charged.counted)) throw noCharge(request, of);
  const parts = charged.counted.filter(({ space }) => ruleIn(quota, space) !== undefined);
  const checks = parts.flatMap((part) => checkFor(part, quota, given, nowMs));
  if (!isNonEmpty(checks)) throw noCharge(request, of);
  const asked = scaledAmount(request.amount, quota);
  const amount = isWhole ? charged.amount : Math.min(asked, charged.amount);
  return {
    action: "decrement",
    amount,
    atLeast: null,
    allowsExcess: false,
    hold: null,
    charge: {
      atMs: charged.atMs,
      windows: parts.map(({ window }) => window),
      windowVersions: parts.map(({ windowVersion }) => windowVersion),
    },
    rule,
    checks,
    ledgers: ledgersOf(checks, parts, quota, nowMs),
    answerKey: onceKey(of, charged, quota, amount, checks),
    cache: null,
    plannedMs: nowMs,
  };
}

function ruleIn({ rules }: CompiledQuota, space: string) {
  return rules.find(({ terms }) => terms.space === space);
}

function checkFor(
  part: Part,
  quota: CompiledQuota,
  given: Step["checks"] | null,
  nowMs: number,
): RuleCheck[] {
  const rule = ruleIn(quota, part.space);
  if (rule === undefined) return [];
  const known = given?.find((check) => check.rule.space === part.space);
  return [checkOf(rule, part.subject, limitOf(rule, part, known), nowMs)];
}

/** Null: it charged nothing yet. */
function chargedByHold(hold: Hold, of: string): Charged {
  const { status, charged, openedMs, owners, reserved, parts } = hold;
  if (status === "open") {
    const message = `${show(of)} is a hold that is still open: commit or release it first`;
    throw new ValidationError([{ path: "of", message }]);
  }
  const counted = countedOf(owners, reserved.details).flatMap((each, i): Part[] => {
    const part = parts[i];
    return part === undefined
      ? []
      : [{ ...each, window: part.window, windowVersion: part.windowVersion }];
  });
  return { amount: charged, atMs: openedMs, counted };
}

/** Null: there is no such increment. */
function chargedByKey(
  text: string | null,
  quota: CompiledQuota,
  given: Step["checks"] | null,
  nowMs: number,
): Charged | null {
  if (text === null) return null;
  const answer = readAnswer(text);
  const { action, amount, caller } = keptRequest(answer.fingerprint);
  if (action !== "increment" || answer.status !== "done" || answer.expiresMs <= nowMs) return null;
  // Only the caller itself knows a subject with so many members that its hash was kept.
  const whose = caller === null ? (given ?? planChecks(null, quota, nowMs, null)) : null;
  const counted = answer.checks.flatMap((_, i) => {
    const part = partOf(answer, i, caller, whose, quota);
    return part === null ? [] : [part];
  });
  return { amount: answer.amount ?? amount, atMs: answer.nowMs, counted };
}

type Detail = readonly [name: string, ...unknown[]];

/** Null: its rule is gone, with its counters. */
function partOf(
  answer: Answer,
  i: number,
  caller: string | null,
  whose: Step["checks"] | null,
  { rules }: CompiledQuota,
): Part | null {
  const details: readonly Detail[] = JSON.parse(answer.details);
  const [name, , , subject] = details[i] ?? [];
  const numbers = answer.checks[i];
  const rule = rules.find(({ terms }) => terms.name === name);
  if (rule === undefined || numbers === undefined) return null;
  const { terms } = rule;
  const known = whose?.find((check) => check.rule === terms)?.subject ?? caller ?? "";
  const { startMs, endMs } = numbers.window;
  const { nowMs } = answer;
  return {
    space: terms.space,
    subject: typeof subject === "string" ? subject : known,
    name: terms.name,
    period: terms.period,
    limit: terms.defaultLimit,
    // A rolling window ends now, and what is counted in it leaves a period later.
    window:
      numbers.rolling === null
        ? { startMs, endMs }
        : { startMs: nowMs, endMs: 2 * nowMs - startMs },
    windowVersion: nowMs >= terms.versionSinceMs ? terms.windowVersion : terms.windowVersion - 1,
  };
}

/** The key that takes a charge back once. It is longer than any key that a caller can give. */
function onceKey(
  of: string,
  { atMs }: Charged,
  { answerSpace }: CompiledQuota,
  amount: number,
  checks: readonly RuleCheck[],
): AnswerKey {
  return {
    space: answerSpace,
    name: `${atMs} ${of}`.padEnd(TEXT_CHARS_MAX + 1),
    ttlMs: ANSWER_TTL_MS,
    fingerprint: JSON.stringify(["decrement", amount, of]),
    caller: "",
    details: detailsText(checks, null),
  };
}

function noCharge({ quotaTag }: Request, of: string): NotFoundError {
  const wanted = "expects the idempotency key of an increment, or the id of a settled hold";
  const message = `of: quota ${show(quotaTag)} has no charge ${show(of)} of this subject`;
  return new NotFoundError("RESERVATION_NOT_FOUND", `${message}: ${wanted}, of the last 24 h`);
}
