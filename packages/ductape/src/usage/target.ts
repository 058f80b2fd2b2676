import { UNLIMITED, type Counter } from "../decide/counter.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { show, ValidationError } from "../base/errors.js";
import type { Fields, Empty } from "../base/field.js";

/** Selects the counters that a read of usage covers. */
export interface UsageTarget {
  readonly product_tag: string;
  readonly env: string;
  readonly quota_tag: string;
  /** The rule to read; required if the quota has several. */
  readonly rule?: string | Empty | undefined;
}

/** The fields of a {@link UsageTarget}. */
export const USAGE_FIELDS = ["product_tag", "env", "quota_tag", "rule"] as const;

/** Parses a {@link UsageTarget}; a `rule` of null means the only one. */
export function parseTarget(fields: Fields) {
  const productTag = fields.tag("product_tag");
  const env = fields.tag("env");
  const quotaTag = fields.tag("quota_tag");
  const rule = fields.get("rule") === undefined ? null : fields.tag("rule");
  return { productTag, env, quotaTag, cache: null, rule };
}

/** The rule with a name; null: the only one. Throws `VALIDATION`, which lists the existing ones. */
export function ruleNamed({ tag, rules }: CompiledQuota, name: string | null): CompiledRule {
  const [only] = rules;
  if (name === null && rules.length === 1) return only;
  const found = rules.find(({ terms }) => terms.name === name);
  if (found !== undefined) return found;
  const known = `one of ${rules.map(({ terms }) => show(terms.name)).join(", ")}`;
  const got = name === null ? "is required" : `got ${show(name)}`;
  throw new ValidationError([{ path: "rule", message: `${got}: quota ${show(tag)} has ${known}` }]);
}

/**
 * The limit that a counter was last counted under, where a value of the subject picks it; where
 * none is known, what a decision without that value would use. Null: none.
 */
export function limitKnown(
  rule: CompiledRule,
  counter: Pick<Counter, "knownLimit"> | null,
): number | null {
  return rule.limit === undefined ? keptLimit(counter, rule.terms.defaultLimit) : rule.limit;
}

/** The limit stored with a counter, else `otherwise`. Null: none. */
export function keptLimit(
  counter: Pick<Counter, "knownLimit"> | null,
  otherwise: number | null,
): number | null {
  const known = counter?.knownLimit ?? null;
  if (known === null) return otherwise;
  return known === UNLIMITED ? null : known;
}

/** What is used and held, and its limit with grants, in the units of the quota. */
export function numbersOf(used: number, held: number, limit: number | null, scale: number) {
  return {
    used: used / scale,
    held: held / scale,
    limit: limit === null ? null : limit / scale,
    remaining: limit === null ? null : Math.max(0, limit - used - held) / scale,
  };
}
