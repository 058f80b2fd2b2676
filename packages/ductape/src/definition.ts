import { show, ValidationError } from "./errors.js";
import { Issues, parseName } from "./field.js";
import {
  identifyQuota,
  readQuotaIdentity,
  spacesOf,
  type EnvironmentId,
  type QuotaIdentity,
} from "./identity.js";
import type { Definition, Kind, Stamps } from "./kind.js";
import { scaled, type LimitInput } from "./limit.js";
import { rollingMs, windowAt, type Span } from "./period.js";
import type { LegRule } from "./plan.js";
import { isEmptyRecord, isRecord, type Empty } from "./request.js";
import { parseRule, RULE_FIELDS, type Rule, type RuleInput } from "./rule.js";
import { checkText, selectorPath } from "./text.js";

/** What `quotas.create` takes: `rules`, or the members of its only rule. */
export interface QuotaDefinition extends Partial<Omit<RuleInput, "name">> {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** Fraction digits of amounts, 0..6, for good. Default 0: integers. */
  readonly decimals?: number | Empty | undefined;
  readonly rules?: readonly RuleInput[] | Empty | undefined;
  readonly limit?: LimitInput;
}

/** The parsed part of a quota's definition. */
export interface QuotaBody {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
  /** Fraction digits of amounts, 0..6. */
  readonly decimals: number;
  readonly rules: readonly Rule[];
}

/** A quota as it is defined. */
export interface QuotaView extends QuotaBody, Stamps {}

/** A quota ready for planning, in one environment. */
export interface CompiledQuota {
  readonly tag: string;
  readonly decimals: number;
  /** 10 to the power of `decimals`: amounts are integers of this many parts. */
  readonly scale: number;
  /** The prefix of its idempotency keys. */
  readonly answerSpace: string;
  readonly rules: readonly [CompiledRule, ...CompiledRule[]];
  /** The distinct selectors that its rules count by. */
  readonly scopes: readonly (readonly string[])[];
}

/** A rule ready for planning. `cached` is the window it gave last. */
export interface CompiledRule {
  readonly leg: LegRule;
  readonly scope: readonly string[] | null;
  /** A fixed limit, scaled; undefined where `limits` decides. */
  readonly limit: number | null | undefined;
  readonly limits: {
    readonly path: readonly string[];
    readonly values: ReadonlyMap<string, number | null>;
    readonly otherwise: number | null;
  } | null;
  windowAt(nowMs: number): Span;
  cached: Span;
}

/** The members of a quota; those of a rule stand for its only one. */
const FIELDS = [
  "tag",
  "name",
  "description",
  "decimals",
  "rules",
  ...RULE_FIELDS.slice(1),
] as const;
const RULES_MAX = 16;
const DECIMALS_MAX = 6;

/** What quotas are made of. */
export const QUOTA: Kind<QuotaBody, QuotaIdentity> = {
  name: "quota",
  id: "tag",
  path: "quota_tag",
  missing: "QUOTA_NOT_FOUND",
  fields: FIELDS,
  parse: parseQuota,
  idOf: ({ tag }) => tag,
  merge: mergeQuota,
  identify: identifyQuota,
  readIdentity: readQuotaIdentity,
};

/** Parses a quota's definition. Throws `VALIDATION` that names each wrong field. */
function parseQuota(input: unknown): QuotaBody {
  const issues = new Issues();
  if (!isRecord(input)) {
    throw new ValidationError([{ path: "quota", message: `wants an object, got ${show(input)}` }]);
  }
  issues.unknown(input, FIELDS);
  issues.add("tag", checkText(input["tag"]));
  const decimals = parseDecimals(input["decimals"], issues);
  const rules = parseRules(input, 10 ** decimals, issues);
  const name = parseName(input, "name", String(input["tag"]), issues);
  const description = parseName(input, "description", "", issues);
  issues.throwAny();
  return { tag: String(input["tag"]), name, description, decimals, rules };
}

function parseDecimals(value: unknown, issues: Issues): number {
  if (value === undefined || isEmptyRecord(value)) return 0;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= DECIMALS_MAX) {
    return value;
  }
  issues.add("decimals", `wants an integer from 0 to ${DECIMALS_MAX}, got ${show(value)}`);
  return 0;
}

function parseRules(input: Record<string, unknown>, scale: number, issues: Issues): Rule[] {
  const { rules } = input;
  if (rules === undefined || isEmptyRecord(rules)) {
    const own = Object.fromEntries(RULE_FIELDS.slice(1).map((field) => [field, input[field]]));
    return [parseRule({ ...own, name: "default" }, "", scale, issues)];
  }
  for (const field of RULE_FIELDS.slice(1)) {
    if (input[field] !== undefined) issues.add(field, "stands in each of rules, not beside them");
  }
  if (!Array.isArray(rules) || rules.length === 0 || rules.length > RULES_MAX) {
    issues.add("rules", `wants an array of 1 to ${RULES_MAX} rules, got ${show(rules)}`);
    return [];
  }
  const parsed = rules.map((rule: unknown, i) => parseRule(rule, `rules[${i}].`, scale, issues));
  parsed.forEach(({ name }, i) => {
    if (parsed.findIndex((rule) => rule.name === name) < i) {
      issues.add(`rules[${i}].name`, `is the name of another rule too: ${show(name)}`);
    }
  });
  return parsed;
}

/** The members of its only rule may be changed beside `rules`; several are replaced as a whole. */
function mergeQuota(body: QuotaBody, changes: Record<string, unknown>): Record<string, unknown> {
  const names = RULE_FIELDS.slice(1).filter((name) => name in changes);
  if ("rules" in changes || names.length === 0) return { ...body, ...changes };
  const [only, ...others] = body.rules;
  if (only === undefined || others.length > 0) {
    const message = "this quota has several rules: give all of rules";
    throw new ValidationError(names.map((path) => ({ path, message })));
  }
  const rest = { ...changes };
  for (const name of names) delete rest[name];
  const rule = { ...only, ...Object.fromEntries(names.map((name) => [name, changes[name]])) };
  return { ...body, ...rest, rules: [rule] };
}

/** Makes a quota ready for one environment. */
export function compileQuota(
  { body: quota, identity }: Pick<Definition<QuotaBody, QuotaIdentity>, "body" | "identity">,
  product: string,
  env: EnvironmentId,
): CompiledQuota {
  const scale = 10 ** quota.decimals;
  const spaces = spacesOf(identity, product, env, quota.tag);
  const rules = quota.rules.map((rule, i) => {
    const shape = identity.rules[i]?.shape ?? 1;
    return compileRule(rule, { space: spaces[i] ?? "", shape }, scale);
  });
  const [first, ...others] = rules;
  if (first === undefined) throw new Error(`quota ${show(quota.tag)} has no rules`);
  const scopes = new Map<string, readonly string[]>();
  for (const { scope } of rules) if (scope !== null) scopes.set(JSON.stringify(scope), scope);
  return {
    tag: quota.tag,
    decimals: quota.decimals,
    scale,
    answerSpace: spaces.at(-1) ?? "",
    rules: [first, ...others],
    scopes: [...scopes.values()],
  };
}

function compileRule(
  rule: Rule,
  counters: Pick<LegRule, "space" | "shape">,
  scale: number,
): CompiledRule {
  const shape = {
    period: rule.period,
    timeZone: rule.time_zone,
    weekStart: rule.week_start,
    anchorMs: rule.anchor === null ? null : Date.parse(rule.anchor),
  };
  const scale1 = (limit: number | null) => (limit === null ? null : scaled(limit, scale));
  const { limit } = rule;
  const byPlan = typeof limit === "object" && limit !== null ? limit : null;
  return {
    leg: {
      ...counters,
      name: rule.name,
      rollingMs: rule.window === "rolling" ? rollingMs(rule.period) : 0,
      lifetime: rule.period === "lifetime",
      soft: rule.on_exceed === "allow",
      alerts: rule.alerts,
      period: rule.period,
    },
    scope: rule.scope === "product" ? null : selectorPath(rule.scope),
    limit: typeof limit === "object" && limit !== null ? undefined : scale1(limit),
    limits: byPlan && {
      path: selectorPath(byPlan.by) ?? [],
      values: new Map(Object.entries(byPlan.values).map(([name, each]) => [name, scale1(each)])),
      otherwise: scale1(byPlan.default),
    },
    windowAt: (nowMs) => windowAt(shape, nowMs),
    cached: { startMs: 0, endMs: 0 },
  };
}
