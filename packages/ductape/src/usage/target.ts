import { UNLIMITED, type Cell } from "../decide/cell.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { show, ValidationError } from "../base/errors.js";
import type { Fields, Empty } from "../base/field.js";

/** Which counters a read of usage speaks of. */
export interface UsageTarget {
  readonly product_tag: string;
  readonly env: string;
  readonly quota_tag: string;
  /** Which rule's counters; required where the quota has several. */
  readonly rule?: string | Empty | undefined;
}

/** The fields of a {@link UsageTarget}. */
export const USAGE_FIELDS = ["product_tag", "env", "quota_tag", "rule"] as const;

/** Parses a {@link UsageTarget}; a `rule` of null is the only one. */
export function parseTarget(fields: Fields) {
  const productTag = fields.tag("product_tag");
  const env = fields.tag("env");
  const quotaTag = fields.tag("quota_tag");
  const rule = fields.get("rule") === undefined ? null : fields.tag("rule");
  return { productTag, env, quotaTag, cache: null, rule };
}

/** The rule of a name; null: the only one. Throws `VALIDATION` that lists those there are. */
export function ruleNamed({ tag, rules }: CompiledQuota, name: string | null): CompiledRule {
  const [only] = rules;
  if (name === null && rules.length === 1) return only;
  const found = rules.find(({ leg }) => leg.name === name);
  if (found !== undefined) return found;
  const known = `one of ${rules.map(({ leg }) => show(leg.name)).join(", ")}`;
  const got = name === null ? "is required" : `got ${show(name)}`;
  throw new ValidationError([{ path: "rule", message: `${got}: quota ${show(tag)} has ${known}` }]);
}

/**
 * The limit that a counter was last counted under, where each subject's plan picks it; where none
 * is known, what a decision without a plan would use. Null: none.
 */
export function limitKnown(
  rule: CompiledRule,
  cell: Pick<Cell, "plannedLimit"> | undefined,
): number | null {
  return rule.limit === undefined ? keptLimit(cell, rule.leg.defaultLimit) : rule.limit;
}

/** The limit that a counter keeps, else `otherwise`. Null: none. */
export function keptLimit(
  cell: Pick<Cell, "plannedLimit"> | undefined,
  otherwise: number | null,
): number | null {
  const known = cell?.plannedLimit ?? null;
  if (known === null) return otherwise;
  return known === UNLIMITED ? null : known;
}

/** A count and its limit with grants, in the units of the quota. */
export function numbersOf(used: number, limit: number | null, scale: number) {
  return {
    used: used / scale,
    limit: limit === null ? null : limit / scale,
    remaining: limit === null ? null : Math.max(0, limit - used) / scale,
  };
}
