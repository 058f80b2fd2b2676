import type { Decision, RuleResult } from "ductape";
import type { Partitions } from "./partition.js";

/** The largest integer of a structured field (RFC 9651). */
const FIELD_INTEGER_MAX = 999_999_999_999_999;
/**
 * The most bytes of each of the two fields: a client rejects an answer with too large headers
 * although the call was counted. Node's clients accept 16 kB of headers, others 8 kB.
 */
const FIELD_BYTES_MAX = 2_048;
/** The most that is added to a wait: in seconds, and as a fraction of the wait. */
const JITTER_S_MAX = 60;
const JITTER_PART = 0.1;

/** The fields of an answer; null for those to leave out. */
interface RateLimitFields {
  readonly policy: string | null;
  readonly limit: string | null;
  readonly retryAfter: string | null;
}

/** What the fields are computed from. */
interface RateLimitContext {
  readonly partitions: Partitions;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

type Rule = Pick<RuleResult, "rule" | "subject" | "limit" | "remaining" | "window" | "resets_at">;

/** One rule in both fields. */
interface Item {
  readonly rule: string;
  readonly policy: string;
  readonly limit: string;
}

/**
 * `RateLimit-Policy`, `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11, one item for each rule
 * that has a limit) and, for a denial that waiting can resolve, `Retry-After` in seconds: never
 * before the amount may fit, and up to a tenth later, so that waiting clients do not all return at
 * once. If the items would take more than 2,048 bytes in a field, both fields have only the item
 * of the binding rule, and are left out if even that does not fit.
 */
export function rateLimitFields(decision: Decision, context: RateLimitContext): RateLimitFields {
  const { rules = [decision], retry_after_ms: waitMs } = decision;
  const waits = !decision.allowed && waitMs !== null;
  const retryAfter = waits ? retryAfterText(waitMs, context.random) : null;
  const items = rules.flatMap((rule) => itemOf(decision, rule, context) ?? []);
  const all = joined(items) ?? joined(items.filter(({ rule }) => rule === decision.rule));
  return { policy: all?.policy ?? null, limit: all?.limit ?? null, retryAfter };
}

/**
 * Null if there are no items, or too many for a field. They are ASCII, one byte for each character.
 */
function joined(items: readonly Item[]): Pick<Item, "policy" | "limit"> | null {
  const policy = items.map((item) => item.policy).join(", ");
  const limit = items.map((item) => item.limit).join(", ");
  const isSmall = policy.length <= FIELD_BYTES_MAX && limit.length <= FIELD_BYTES_MAX;
  return items.length > 0 && isSmall ? { policy, limit } : null;
}

/** What a concurrency limit counts, as the draft names it. */
const CONCURRENT = "concurrent-requests";

/** The parameters of a policy are constant for its window; those of the other field change. */
function itemOf(
  { product_tag, env, quota_tag, unit }: Decision,
  { rule, subject, limit, remaining, window, resets_at }: Rule,
  { partitions, nowMs }: RateLimitContext,
): Item | null {
  if (limit === null) return null;
  const name = nameText(rule);
  const key = partitions.keyOf({ product_tag, env, quota_tag, rule, subject });
  const pk = key === null ? "" : `;pk=:${key}:`;
  const counts = window === null ? CONCURRENT : unit;
  const qu = counts === undefined ? "" : `;qu=${nameText(counts)}`;
  const w =
    window === null || window.end === null
      ? ""
      : `;w=${secondsBetween(Date.parse(window.start), window.end)}`;
  const t = resets_at === null ? "" : `;t=${secondsBetween(nowMs, resets_at)}`;
  return {
    rule,
    policy: `${name};q=${integer(limit)}${qu}${w}${pk}`,
    limit: `${name};r=${integer(remaining ?? 0)}${t}${pk}`,
  };
}

function secondsBetween(fromMs: number, end: string): number {
  return Math.min(Math.ceil(Math.max(0, Date.parse(end) - fromMs) / 1_000), FIELD_INTEGER_MAX);
}

const integer = (value: number): number => Math.min(Math.floor(value), FIELD_INTEGER_MAX);

function retryAfterText(waitMs: number, random: () => number): string {
  const seconds = Math.ceil(waitMs / 1_000);
  const jitter = Math.min(JITTER_S_MAX, Math.max(1, seconds * JITTER_PART));
  return String(seconds + Math.floor(random() * (jitter + 1)));
}

/**
 * A name as a string of a structured field, which is ASCII: other characters are percent-encoded.
 */
function nameText(name: string): string {
  if (/^[\w.:-]+$/.test(name)) return `"${name}"`;
  const ascii = name.replaceAll(/[^\x20-\x7e]|%/gu, encodeURIComponent);
  return `"${ascii.replaceAll(/["\\]/g, (each) => `\\${each}`)}"`;
}
