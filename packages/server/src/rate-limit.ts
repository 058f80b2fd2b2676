import type { Decision, RuleResult } from "ductape";

/** The largest integer of a structured field (RFC 9651). */
const FIELD_INTEGER_MAX = 999_999_999_999_999;
/** The longest time that is added to a wait, in seconds, and which part of the wait it is. */
const JITTER_S_MAX = 60;
const JITTER_PART = 0.1;

/** The fields of an answer; those that have nothing to tell are left out. */
export interface RateLimitFields {
  readonly policy: string | null;
  readonly limit: string | null;
  readonly retryAfter: string | null;
}

type Rule = Pick<RuleResult, "rule" | "limit" | "remaining" | "window" | "resets_at" | "period">;

/**
 * `RateLimit-Policy`, `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10, one item for each rule
 * that has a limit) and, for a denial that waiting helps, `Retry-After` in seconds: never before
 * the amount may fit, and later by up to a tenth, so that those who wait do not come at once.
 */
export function rateLimitFields(
  decision: Decision,
  nowMs: number,
  random: () => number,
): RateLimitFields {
  const { rules, retry_after_ms: waitMs } = decision;
  const waits = !decision.allowed && waitMs !== null;
  const retryAfter = waits ? retryAfterText(waitMs, random) : null;
  if (rules === undefined) {
    const { limit } = decision;
    if (limit === null) return { policy: null, limit: null, retryAfter };
    return {
      policy: policyItem(decision, limit),
      limit: limitItem(decision, nowMs),
      retryAfter,
    };
  }
  const policies: string[] = [];
  const limits: string[] = [];
  for (const rule of rules) {
    if (rule.limit === null) continue;
    policies.push(policyItem(rule, rule.limit));
    limits.push(limitItem(rule, nowMs));
  }
  if (policies.length === 0) return { policy: null, limit: null, retryAfter };
  return { policy: policies.join(", "), limit: limits.join(", "), retryAfter };
}

function policyItem({ rule, window }: Rule, limit: number): string {
  const item = `${nameText(rule)};q=${integer(Math.floor(limit))}`;
  if (window.end === null) return item;
  const lengthMs = Date.parse(window.end) - Date.parse(window.start);
  return `${item};w=${integer(Math.ceil(lengthMs / 1_000))}`;
}

function limitItem({ rule, remaining, resets_at }: Rule, nowMs: number): string {
  const item = `${nameText(rule)};r=${integer(Math.floor(remaining ?? 0))}`;
  if (resets_at === null) return item;
  const leftMs = Math.max(0, Date.parse(resets_at) - nowMs);
  return `${item};t=${integer(Math.ceil(leftMs / 1_000))}`;
}

const integer = (value: number): number => Math.min(value, FIELD_INTEGER_MAX);

function retryAfterText(waitMs: number, random: () => number): string {
  const seconds = Math.ceil(waitMs / 1_000);
  const jitter = Math.min(JITTER_S_MAX, Math.max(1, seconds * JITTER_PART));
  return String(seconds + Math.floor(random() * (jitter + 1)));
}

/** A name as a string of a structured field, which is ASCII: all else is percent-encoded. */
function nameText(name: string): string {
  if (/^[\w.:-]+$/.test(name)) return `"${name}"`;
  const ascii = name.replaceAll(/[^\x20-\x7e]|%/gu, encodeURIComponent);
  return `"${ascii.replaceAll(/["\\]/g, (each) => `\\${each}`)}"`;
}
