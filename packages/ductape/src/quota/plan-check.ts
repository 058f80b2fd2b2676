import { show, ValidationError } from "../base/errors.js";
import { pathText } from "../base/text.js";
import { FOREVER_MS, type Span } from "../decide/period.js";
import type { RuleCheck, Step } from "../decide/plan.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { valueAt } from "../define/selector.js";
import {
  pickSubject,
  type Identity,
  type SubjectInput,
  type SubjectOrigin,
} from "../define/subject.js";

/**
 * The check of each rule at `nowMs`. Windows are cached in the compiled rule until they end.
 * Throws `VALIDATION` and `SUBJECT_REQUIRED`.
 */
export function planChecks(
  subject: SubjectInput | null,
  quota: CompiledQuota,
  nowMs: number,
  identity: Identity | null,
): Step["checks"] {
  const { rules } = quota;
  const first = planCheck(rules[0], subject, quota, nowMs, identity);
  if (rules.length === 1) return [first];
  const others = rules.slice(1).map((rule) => planCheck(rule, subject, quota, nowMs, identity));
  return [first, ...others];
}

function planCheck(
  rule: CompiledRule,
  subject: SubjectInput | null,
  quota: CompiledQuota,
  nowMs: number,
  identity: Identity | null,
): RuleCheck {
  const whose = rule.scope === null ? "" : subjectOf(rule, rule.scope, subject, quota, identity);
  const limit = rule.limit === undefined ? limitFor(rule, subject) : rule.limit;
  return checkOf(rule, whose, limit, nowMs);
}

/** The check of one counter at `nowMs`, under `limit`. */
export function checkOf(
  rule: CompiledRule,
  subject: string,
  limit: number | null,
  nowMs: number,
): RuleCheck {
  const window = rule.terms.rollingMs === 0 ? windowOf(rule, nowMs) : ALL_TIME;
  return { rule: rule.terms, subject, window, limit };
}

/** The window of a rule that has none of its own. */
export const ALL_TIME: Span = { startMs: 0, endMs: FOREVER_MS };

function windowOf(rule: CompiledRule, nowMs: number): Span {
  const { cached } = rule;
  if (nowMs >= cached.startMs && nowMs < cached.endMs) return cached;
  return (rule.cached = rule.windowAt(nowMs));
}

/**
 * The subject that a selector picks: a string given for the only selector, or the value at its
 * path.
 */
function subjectOf(
  rule: CompiledRule,
  path: readonly string[],
  subject: SubjectInput | null,
  quota: CompiledQuota,
  identity: Identity | null,
): string {
  if (typeof subject === "string" && quota.scopes.length === 1) return subject;
  // Most rules count by the owner of the session, which was picked when its token was verified.
  if (identity !== null && identity.selector === rule.selector) return identity.identifier;
  const origin = identity === null ? "subject" : "session";
  return selected(path, subject, quota, origin);
}

function selected(
  path: readonly string[],
  subject: SubjectInput | null,
  { tag, scopes }: CompiledQuota,
  origin: SubjectOrigin,
): string {
  const what = `quota ${show(tag)}`;
  if (typeof subject !== "string") return pickSubject(path, subject, what, origin);
  const wanted = scopes.map(pathText).join(", ");
  const message = `expects an object with ${wanted}, as ${what} counts by several; got a string`;
  throw new ValidationError([{ path: "subject", message }]);
}

/** The limit that a value of the subject picks, else the default. Null: none. */
function limitFor(rule: CompiledRule, subject: SubjectInput | null): number | null {
  const { limits } = rule;
  if (limits === null) return null;
  const value =
    subject === null || typeof subject === "string" ? undefined : valueAt(subject, limits.path);
  const known = value === undefined ? undefined : limits.values.get(String(value));
  return known === undefined ? rule.terms.defaultLimit : known;
}
