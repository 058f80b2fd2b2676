import { DuctapeError, show, ValidationError } from "./errors.js";
import { Issues, parseName } from "./field.js";
import { ruleSpace } from "./key.js";
import { scaled } from "./limit.js";
import { rollingMs, windowAt, type Span } from "./period.js";
import type { LegRule } from "./plan.js";
import { isEmptyRecord, isRecord } from "./request.js";
import { parseRule, RULE_FIELDS, type Rule } from "./rule.js";
import { checkText, selectorPath } from "./text.js";

/** A rule with its identity: `uid` names its counters, `shape` counts the forms of its window. */
export interface StoredRule extends Rule {
  readonly uid: string;
  readonly shape: number;
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

/** A quota as it is kept. `uid` is new whenever the quota is, as are those of its rules. */
export interface StoredQuota extends QuotaBody {
  readonly uid: string;
  readonly rules: readonly StoredRule[];
}

/** An environment as keys name it; `uid` is new whenever the environment is. */
export interface EnvironmentId {
  readonly slug: string;
  readonly uid: string;
}

/** A quota ready for planning, in one environment. */
export interface CompiledQuota {
  readonly tag: string;
  readonly decimals: number;
  /** 10 to the power of `decimals`: amounts are integers of this many parts. */
  readonly scale: number;
  /** The prefix of its idempotency keys. */
  readonly answerSpace: string;
  readonly rules: readonly CompiledRule[];
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
export const QUOTA_FIELDS = [
  "tag",
  "name",
  "description",
  "decimals",
  "rules",
  ...RULE_FIELDS.slice(1),
] as const;
const RULES_MAX = 16;
const DECIMALS_MAX = 6;

/** Parses a quota's definition. Throws `VALIDATION` that names each wrong field. */
export function parseQuota(input: unknown): QuotaBody {
  const issues = new Issues();
  if (!isRecord(input)) {
    throw new ValidationError([{ path: "quota", message: `wants an object, got ${show(input)}` }]);
  }
  issues.unknown(input, QUOTA_FIELDS);
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

/**
 * Gives each rule its identity: one of the same name and scope keeps its counters, and a change of
 * its window's form is counted. Returns the rules to store.
 */
export function identify(
  rules: readonly Rule[],
  before: readonly StoredRule[],
  newUid: () => string,
): StoredRule[] {
  return rules.map((rule) => {
    const old = before.find(({ name, scope }) => name === rule.name && scope === rule.scope);
    if (old === undefined) return { ...rule, uid: newUid(), shape: 1 };
    return {
      ...rule,
      uid: old.uid,
      shape: formOf(rule) === formOf(old) ? old.shape : old.shape + 1,
    };
  });
}

function formOf({ period, window, time_zone, week_start, anchor }: Rule): string {
  return JSON.stringify([period, window, time_zone, week_start, anchor]);
}

/** The spaces of a quota in one environment: those of its rules, then that of its answers. */
export function spacesOf(quota: StoredQuota, product: string, env: EnvironmentId): string[] {
  const space = (rule: string, uid: string) =>
    ruleSpace(product, env.slug, quota.tag, rule, `${env.uid}.${uid}`);
  return [...quota.rules.map(({ name, uid }) => space(name, uid)), space("", quota.uid)];
}

/** Makes a quota ready for one environment. */
export function compileQuota(
  quota: StoredQuota,
  product: string,
  env: EnvironmentId,
): CompiledQuota {
  const scale = 10 ** quota.decimals;
  const spaces = spacesOf(quota, product, env);
  const rules = quota.rules.map((rule, i) => compileRule(rule, spaces[i] ?? "", scale));
  const scopes = new Map<string, readonly string[]>();
  for (const { scope } of rules) if (scope !== null) scopes.set(JSON.stringify(scope), scope);
  return {
    tag: quota.tag,
    decimals: quota.decimals,
    scale,
    answerSpace: spaces.at(-1) ?? "",
    rules,
    scopes: [...scopes.values()],
  };
}

function compileRule(rule: StoredRule, space: string, scale: number): CompiledRule {
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
      space,
      name: rule.name,
      shape: rule.shape,
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

/** Reads a stored quota again. Throws where it is not one this version can read. */
export function parseStoredQuota(value: unknown): StoredQuota {
  if (!isRecord(value) || !Array.isArray(value["rules"]) || typeof value["uid"] !== "string") {
    throw new DuctapeError("VALIDATION", "the stored quota has no rules");
  }
  const parts = value["rules"].map((rule: unknown) => {
    const { uid, shape, ...plain }: Record<string, unknown> = isRecord(rule) ? rule : {};
    if (typeof uid !== "string" || typeof shape !== "number") {
      throw new DuctapeError("VALIDATION", "a stored rule has no identity");
    }
    // A stored anchor of null is an absent one.
    return { identity: { uid, shape }, plain: { ...plain, anchor: plain["anchor"] ?? undefined } };
  });
  const { uid, tag, name, description, decimals } = value;
  const body = parseQuota({ tag, name, description, decimals, rules: parts.map((p) => p.plain) });
  const rules = body.rules.map((rule, i) => ({
    ...rule,
    uid: "",
    shape: 1,
    ...parts[i]?.identity,
  }));
  return { ...body, uid, rules };
}
