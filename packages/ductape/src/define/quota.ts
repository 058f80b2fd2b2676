import { DECIMALS_MAX, exactUnits, ROUNDINGS, type Rounding } from "../decide/amount.js";
import type { CachePolicy } from "../decide/plan.js";
import { show, ValidationError } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import {
  identifyQuota,
  readQuotaIdentity,
  spacesOf,
  type EnvironmentId,
  type QuotaIdentity,
} from "./identity.js";
import { isLeftOut, isRecord } from "../base/json.js";
import type { Definition, Kind, Stamps } from "./kind.js";
import { spacePrefix } from "../base/key.js";
import type { LimitInput } from "./limit.js";
import { rollingMs, windowAt, type Span } from "../decide/period.js";
import { ledgerOf, type Ledger } from "../decide/ledger.js";
import type { RuleTerms } from "../decide/plan.js";
import type { Changes } from "./patch.js";
import { parseRule, RULE_FIELDS, type Rule, type RuleInput } from "./rule.js";
import { selectorPath } from "../base/text.js";

/** The input of `quotas.create`: `rules`, or the fields of a single rule. */
export interface QuotaDefinition extends Partial<Omit<RuleInput, "name" | "limit">> {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** Fraction digits of amounts, 0..12, which cannot be changed later. Default 0: integers. */
  readonly decimals?: number | Empty | undefined;
  /** How to round an amount with more digits. Default `"exact"`: refuse it. */
  readonly rounding?: Rounding | Empty | undefined;
  /**
   * What its amounts count: up to 64 letters, digits, dots, dashes and underscores. HTTP answers
   * name it; it does not affect counting. Default `"requests"`.
   */
  readonly unit?: string | Empty | undefined;
  readonly rules?: readonly RuleInput[] | Empty | undefined;
  readonly limit?: LimitInput | Empty | undefined;
}

/** The parsed part of a quota's definition. */
export interface QuotaBody {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
  /** Fraction digits of amounts, 0..12. */
  readonly decimals: number;
  readonly rounding: Rounding;
  /** What its amounts are of. */
  readonly unit: string;
  readonly rules: readonly Rule[];
}

/** A quota and its revision. */
export interface QuotaView extends QuotaBody, Stamps {}

/** A quota ready for planning, in one environment. */
export interface CompiledQuota {
  readonly tag: string;
  readonly decimals: number;
  /** 10 to the power of `decimals`: amounts are integers of this many parts. */
  readonly scale: number;
  readonly rounding: Rounding;
  /** What its amounts count; undefined: requests. */
  readonly unit: string | undefined;
  /** The prefix of its idempotency keys. */
  readonly answerSpace: string;
  readonly rules: readonly [CompiledRule, ...CompiledRule[]];
  /** The distinct selectors that its rules count by. */
  readonly scopes: readonly (readonly string[])[];
  /** True if any of its rules has a ledger. */
  readonly keepsHistory: boolean;
  /** True if each of its rules counts open holds. */
  readonly countsHoldsOnly: boolean;
  /** The current caches of its product. */
  readonly caches: KnownCaches;
}

/** The caches of a product by tag; `body` is null for one that cannot be read. */
interface KnownCaches {
  get(tag: string): { readonly body: CachePolicy | null } | undefined;
}

/** A rule ready for planning. `cached` is the window it gave last. */
export interface CompiledRule {
  readonly terms: RuleTerms;
  readonly scope: readonly string[] | null;
  /** The text of `scope`. */
  readonly selector: string;
  /** A fixed limit, scaled; undefined if `limits` decides. */
  readonly limit: number | null | undefined;
  readonly limits: {
    readonly path: readonly string[];
    readonly values: ReadonlyMap<string, number | null>;
  } | null;
  /** Null: ended windows are not kept. */
  readonly ledger: Ledger | null;
  windowAt(nowMs: number): Span;
  cached: Span;
}

/** The fields of a rule, except its name, stand for a single one. */
const RULE_MEMBERS = RULE_FIELDS.slice(1);
const FIELDS = [
  "tag",
  "name",
  "description",
  "decimals",
  "rounding",
  "unit",
  "rules",
  ...RULE_MEMBERS,
] as const;
const RULES_MAX = 16;
const DAY_MS = 86_400_000;
/** The default unit, as in the `RateLimit` fields of HTTP. */
const UNIT_DEFAULT = "requests";

/** The kind of quotas. */
export const QUOTA: Kind<QuotaBody, QuotaIdentity> = {
  name: "quota",
  id: "tag",
  path: "quota_tag",
  missing: "QUOTA_NOT_FOUND",
  fields: FIELDS,
  nullable: ["limit"],
  parse: parseQuota,
  idOf: ({ tag }) => tag,
  merge: mergeQuota,
  over: quotaOver,
  identify: identifyQuota,
  readIdentity: readQuotaIdentity,
};

function parseQuota(input: unknown, before: QuotaBody | null = null): QuotaBody {
  const issues = new Issues();
  const fields = new Fields(input, "quota", FIELDS, issues, "");
  const tag = fields.tag("tag");
  const decimals = parseDecimals(fields);
  const [only, ...others] = before?.rules ?? [];
  const named = only === undefined || others.length > 0 ? "default" : only.name;
  const rounding = fields.oneOf("rounding", ROUNDINGS);
  const rules = parseRules(fields, named, decimals);
  const name = fields.name("name", tag);
  const description = fields.name("description", "");
  const unit = parseUnit(fields);
  issues.throwAny();
  // Wrong decimals have already been thrown as issues.
  return { tag, name, description, decimals: decimals ?? 0, rounding, unit, rules };
}

/** Plain text, because it appears in headers and beside numbers. */
function parseUnit(fields: Fields): string {
  const value = fields.get("unit");
  if (value === undefined) return UNIT_DEFAULT;
  if (typeof value === "string" && /^[A-Za-z0-9][\w.-]{0,63}$/.test(value)) return value;
  const wanted = "expects 1 to 64 letters, digits, dots, dashes and underscores";
  fields.refuse("unit", `${wanted}, such as "tokens", got ${show(value)}`);
  return UNIT_DEFAULT;
}

/** Null if they are wrong. */
function parseDecimals(fields: Fields): number | null {
  const value = fields.get("decimals");
  if (value === undefined) return 0;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= DECIMALS_MAX) {
    return value;
  }
  fields.refuse("decimals", `expects an integer from 0 to ${DECIMALS_MAX}, got ${show(value)}`);
  return null;
}

/** The rules; `named` is the name of a single one whose fields replace `rules`. */
function parseRules(fields: Fields, named: string, decimals: number | null): Rule[] {
  const { issues } = fields;
  const rules = fields.get("rules");
  const own = RULE_MEMBERS.map((member) => [member, fields.get(member)] as const);
  if (rules === undefined) {
    return [parseRule({ ...Object.fromEntries(own), name: named }, "", decimals, issues)];
  }
  for (const [member, value] of own) {
    if (value !== undefined) fields.refuse(member, "belongs in each of rules, not beside them");
  }
  if (!Array.isArray(rules) || rules.length === 0 || rules.length > RULES_MAX) {
    fields.refuse("rules", `expects an array of 1 to ${RULES_MAX} rules, got ${show(rules)}`);
    return [];
  }
  // Array.from, because other methods skip holes in an array.
  const parsed = Array.from(rules, (rule: unknown, i) =>
    parseRule(rule, `rules[${i}]`, decimals, issues),
  );
  const names = parsed.map(({ name }) => name);
  names.forEach((name, i) => {
    if (name === "" || names.indexOf(name) === i) return;
    fields.refuse(`rules[${i}].name`, `is the name of another rule too: ${show(name)}`);
  });
  return parsed;
}

/** A shorter window has ended before anybody could read the one before it. */
function remembersLast({ period, window }: Rule): boolean {
  if (window !== "calendar" || period === null || period === "lifetime") return false;
  return rollingMs(period) >= DAY_MS;
}

/**
 * The fields of a single rule may be changed without `rules`; several rules are replaced as a
 * whole.
 */
function mergeQuota(body: QuotaBody, fields: Changes["fields"]): object {
  const members = RULE_MEMBERS.filter((member) => member in fields);
  if ("rules" in fields || members.length === 0) return { ...body, ...fields };
  const [only, ...others] = body.rules;
  if (only === undefined || others.length > 0) {
    const message = "this quota has several rules: give all of rules";
    throw new ValidationError(members.map((path) => ({ path, message })));
  }
  const { rules: _rules, ...rest } = body;
  const { name: _name, ...rule } = only;
  return { ...rule, ...rest, ...fields };
}

/**
 * Like {@link mergeQuota}, but a rule of the same name keeps the fields that are left out, and a
 * limit with its period replaces all rules by a single one.
 */
function quotaOver(body: QuotaBody, fields: Changes["fields"]): object {
  const { rules, limit, period } = fields;
  if (Array.isArray(rules)) {
    const merged = rules.map((rule: unknown) => (isRecord(rule) ? ruleOver(body, rule) : rule));
    return { ...body, ...fields, rules: merged };
  }
  const isWhole =
    limit !== undefined && (period !== undefined || fields["window"] === "concurrent");
  if (body.rules.length === 1 || rules !== undefined || !isWhole) return mergeQuota(body, fields);
  const { rules: _rules, ...rest } = body;
  return { ...rest, ...fields };
}

function ruleOver({ rules }: QuotaBody, rule: Readonly<Record<string, unknown>>): object {
  const stored = rules.find(({ name }) => name === rule["name"]);
  const named = Object.entries(rule).filter(([, value]) => !isLeftOut(value));
  return { ...stored, ...Object.fromEntries(named) };
}

/** Compiles a quota for one environment. */
export function compileQuota(
  { body: quota, identity }: Pick<Definition<QuotaBody, QuotaIdentity>, "body" | "identity">,
  product: string,
  env: EnvironmentId,
  caches: KnownCaches,
): CompiledQuota {
  const scale = 10 ** quota.decimals;
  const spaces = spacesOf(identity, product, env, quota.tag);
  const shardKey = spacePrefix(product, env.slug, ...(identity.coLocated ? [] : [quota.tag]));
  const rules = quota.rules.map((rule, i) => {
    const { shape: windowVersion = 1, shapedMs: versionSinceMs = 0 } = identity.rules[i] ?? {};
    const space = spaces.rules[i] ?? "";
    const counters = { space, shardKey, windowVersion, versionSinceMs };
    return compileRule(rule, counters, spaces.ledgers[i] ?? null, scale);
  });
  const [first, ...others] = rules;
  if (first === undefined) throw new Error(`quota ${show(quota.tag)} has no rules`);
  const scopes = new Map<string, readonly string[]>();
  for (const { scope } of rules) if (scope !== null) scopes.set(JSON.stringify(scope), scope);
  return {
    tag: quota.tag,
    decimals: quota.decimals,
    scale,
    rounding: quota.rounding,
    unit: quota.unit === UNIT_DEFAULT ? undefined : quota.unit,
    answerSpace: spaces.answers,
    rules: [first, ...others],
    scopes: [...scopes.values()],
    keepsHistory: rules.some(({ ledger }) => ledger !== null),
    countsHoldsOnly: rules.every(({ terms }) => terms.isConcurrent),
    caches,
  };
}

function compileRule(
  rule: Rule,
  counters: Pick<RuleTerms, "space" | "shardKey" | "windowVersion" | "versionSinceMs">,
  ledgerSpace: string | null,
  scale: number,
): CompiledRule {
  const isConcurrent = rule.window === "concurrent";
  const calendar = {
    // The window of a lifetime is all of time, and so is that of open holds.
    period: rule.period ?? "lifetime",
    timeZone: rule.time_zone,
    weekStart: rule.week_start,
    anchorMs: rule.anchor === null ? null : Date.parse(rule.anchor),
  };
  // A hold counts as one, not as an amount.
  const units = isConcurrent ? 1 : scale;
  const scale1 = (limit: number | null) => (limit === null ? null : exactUnits(limit, units));
  const { limit } = rule;
  const picked = typeof limit === "object" && limit !== null ? limit : null;
  const terms = {
    ...counters,
    name: rule.name,
    rollingMs: rule.window === "rolling" ? rollingMs(rule.period ?? "lifetime") : 0,
    isConcurrent,
    isSoft: rule.on_exceed === "allow",
    picksLimit: picked !== null,
    defaultLimit: picked === null ? null : scale1(picked.default),
    alerts: rule.alerts,
    period: rule.period,
    remembersLast: remembersLast(rule),
  };
  return {
    terms,
    ledger: ledgerOf(terms, rule.history, ledgerSpace),
    scope: rule.scope === "product" ? null : selectorPath(rule.scope),
    selector: rule.scope,
    limit: typeof limit === "object" && limit !== null ? undefined : scale1(limit),
    limits: picked && {
      path: selectorPath(picked.by) ?? [],
      values: new Map(Object.entries(picked.values).map(([name, each]) => [name, scale1(each)])),
    },
    windowAt: (nowMs) => windowAt(calendar, nowMs),
    cached: { startMs: 0, endMs: 0 },
  };
}
