import { DuctapeError, show, ValidationError, type Issue } from "./errors.js";
import { ruleSpace } from "./key.js";
import {
  isTimeZone,
  PERIOD_UNITS,
  rollingMs,
  WEEKDAYS,
  windowAt,
  type Period,
  type Span,
  type Weekday,
} from "./period.js";
import type { LegRule } from "./plan.js";
import { isEmptyRecord, isRecord, unknownField, type Empty } from "./request.js";
import { checkText, selectorPath } from "./text.js";

/** A limit, or one picked by a value of the session, such as its plan; null: count only. */
export type LimitInput =
  | number
  | null
  | {
      /** A selector, such as `"$Session{plan}"`. */
      readonly by: string;
      readonly values: Readonly<Record<string, number | null>>;
      /** For a value that is absent or not listed. */
      readonly default: number | null;
    };

/** The members of a rule; docs/guides/quotas.md tells each. */
export interface RuleInput {
  readonly name?: string | Empty | undefined;
  /** `"product"`, or a selector such as `"$Session{userId}"`. Default `"product"`. */
  readonly scope?: string | Empty | undefined;
  readonly limit: LimitInput;
  readonly period: Period;
  /** Default `"calendar"`. */
  readonly window?: "calendar" | "rolling" | Empty | undefined;
  /** An IANA zone. Default `"UTC"`. */
  readonly time_zone?: string | Empty | undefined;
  /** Default `"monday"`. */
  readonly week_start?: Weekday | Empty | undefined;
  /** An ISO 8601 instant with its offset, from which windows are stepped. */
  readonly anchor?: string | Empty | undefined;
  /** `"allow"` admits past the limit and reports the overage. Default `"reject"`. */
  readonly on_exceed?: "reject" | "allow" | Empty | undefined;
  /** Fractions of the limit, above 0 and at most 10, each reported once a window. */
  readonly alerts?: readonly number[] | Empty | undefined;
}

/** A rule as it is kept: every default is written out. */
export interface Rule {
  readonly name: string;
  readonly scope: string;
  readonly limit: LimitInput;
  readonly period: Period;
  readonly window: "calendar" | "rolling";
  readonly time_zone: string;
  readonly week_start: Weekday;
  readonly anchor: string | null;
  readonly on_exceed: "reject" | "allow";
  readonly alerts: readonly number[];
}

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

/** The members of a rule, in the order they are documented. */
export const RULE_FIELDS = [
  "name",
  "scope",
  "limit",
  "period",
  "window",
  "time_zone",
  "week_start",
  "anchor",
  "on_exceed",
  "alerts",
] as const;
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
const ALERT_MAX = 10;

/** Collects what is wrong, so that one error names every field. */
export class Issues {
  readonly list: Issue[] = [];

  add(path: string, message: string | null): void {
    if (message !== null) this.list.push({ path, message });
  }

  unknown(value: Record<string, unknown>, known: readonly string[], prefix = ""): void {
    for (const name of Object.keys(value)) {
      if (!known.includes(name)) this.add(`${prefix}${name}`, unknownField(name, known));
    }
  }

  throwAny(): void {
    if (this.list.length > 0) throw new ValidationError(this.list);
  }
}

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

/** An optional human text of up to 1,000 characters. */
export function parseName(
  input: Record<string, unknown>,
  field: string,
  otherwise: string,
  issues: Issues,
): string {
  const value = input[field];
  if (value === undefined || isEmptyRecord(value)) return otherwise;
  if (typeof value === "string" && value.length <= 1000 && value.isWellFormed()) return value;
  issues.add(field, `wants a text of at most 1000 characters, got ${show(value)}`);
  return otherwise;
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

function parseRule(input: unknown, prefix: string, scale: number, issues: Issues): Rule {
  const at = (field: string) => `${prefix}${field}`;
  if (!isRecord(input)) {
    issues.add(prefix.slice(0, -1), `wants an object, got ${show(input)}`);
    return parseRule({ name: "?", limit: 0, period: "day" }, prefix, scale, new Issues());
  }
  issues.unknown(input, RULE_FIELDS, prefix);
  const field = (name: string) => (isEmptyRecord(input[name]) ? undefined : input[name]);
  const name = field("name");
  issues.add(at("name"), name === "*" ? `must not be "*", which means all rules` : checkText(name));
  const period = parsePeriod(field("period"), at("period"), issues);
  const window = oneOf(field("window"), ["calendar", "rolling"], at("window"), issues);
  const anchor = parseAnchor(field("anchor"), at("anchor"), issues);
  if (window === "rolling" && period === "lifetime") {
    issues.add(at("window"), "rolling needs a period with a length, got lifetime");
  }
  if (anchor !== null && (window === "rolling" || period === "lifetime")) {
    issues.add(at("anchor"), "has no meaning for a rolling window or a lifetime");
  }
  return {
    name: String(name),
    scope: parseScope(field("scope"), at("scope"), issues),
    limit: parseLimit(input["limit"], at("limit"), scale, issues),
    period,
    window,
    time_zone: parseZone(field("time_zone"), at("time_zone"), issues),
    week_start: oneOf(field("week_start"), WEEKDAYS, at("week_start"), issues),
    anchor,
    on_exceed: oneOf(field("on_exceed"), ["reject", "allow"], at("on_exceed"), issues),
    alerts: parseAlerts(field("alerts"), at("alerts"), issues),
  };
}

/** The first choice is the default. */
function oneOf<T extends string>(
  value: unknown,
  choices: readonly [T, ...T[]],
  path: string,
  issues: Issues,
): T {
  if (value === undefined) return choices[0];
  const found = choices.find((choice) => choice === value);
  if (found === undefined) issues.add(path, `wants ${choices.join(" or ")}, got ${show(value)}`);
  return found ?? choices[0];
}

function parseScope(value: unknown, path: string, issues: Issues): string {
  if (value === undefined || value === "product") return "product";
  if (typeof value === "string" && selectorPath(value) !== null) return value;
  issues.add(path, `wants "product" or a selector such as "$Session{userId}", got ${show(value)}`);
  return "product";
}

function parsePeriod(value: unknown, path: string, issues: Issues): Period {
  const units = PERIOD_UNITS.join(" ");
  if (value === "lifetime") return value;
  const single = PERIOD_UNITS.find((unit) => unit === value);
  if (single !== undefined) return single;
  if (isRecord(value)) {
    const unit = PERIOD_UNITS.find((known) => known === value["unit"]);
    const { every } = value;
    issues.unknown(value, ["every", "unit"], `${path}.`);
    if (unit === undefined)
      issues.add(`${path}.unit`, `wants one of ${units}, got ${show(value["unit"])}`);
    if (typeof every === "number" && Number.isInteger(every) && every >= 1 && every <= 10_000) {
      return every === 1 ? (unit ?? "day") : { every, unit: unit ?? "day" };
    }
    issues.add(`${path}.every`, `wants an integer from 1 to 10000, got ${show(every)}`);
    return "day";
  }
  const got = value === undefined ? "is required:" : `got ${show(value)};`;
  issues.add(path, `${got} wants one of ${units} lifetime, or { every, unit }`);
  return "day";
}

function parseZone(value: unknown, path: string, issues: Issues): string {
  if (value === undefined) return "UTC";
  if (typeof value === "string" && value.length <= 64 && isTimeZone(value)) return value;
  issues.add(path, `wants an IANA time zone such as "Europe/Paris", got ${show(value)}`);
  return "UTC";
}

function parseAnchor(value: unknown, path: string, issues: Issues): string | null {
  if (value === undefined || value === null) return null;
  const pattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;
  if (typeof value === "string" && pattern.test(value)) {
    const ms = Date.parse(value);
    const day = Number(value.slice(8, 10));
    const shown = new Date(Date.parse(`${value.slice(0, 10)}T00:00:00Z`)).getUTCDate();
    if (Number.isFinite(ms) && shown === day) return value;
  }
  issues.add(path, `wants an ISO 8601 instant such as "2026-01-31T00:00:00Z", got ${show(value)}`);
  return null;
}

function parseLimit(value: unknown, path: string, scale: number, issues: Issues): LimitInput {
  if (!isRecord(value) || isEmptyRecord(value)) return oneLimit(value, path, scale, issues);
  issues.unknown(value, ["by", "values", "default"], `${path}.`);
  const { by, values } = value;
  if (typeof by !== "string" || selectorPath(by) === null) {
    issues.add(`${path}.by`, `wants a selector such as "$Session{plan}", got ${show(by)}`);
  }
  if (!isRecord(values) || Object.keys(values).length === 0) {
    issues.add(`${path}.values`, `wants an object of limits, got ${show(values)}`);
    return null;
  }
  const entries = Object.entries(values).map(
    ([name, each]) => [name, oneLimit(each, `${path}.values.${name}`, scale, issues)] as const,
  );
  const otherwise = oneLimit(value["default"], `${path}.default`, scale, issues);
  return { by: String(by), values: Object.fromEntries(entries), default: otherwise };
}

function oneLimit(value: unknown, path: string, scale: number, issues: Issues): number | null {
  if (value === null) return null;
  if (typeof value === "number" && value >= 0 && scaled(value, scale) !== null) return value;
  const most = Number.MAX_SAFE_INTEGER / scale;
  const digits = scale === 1 ? "an integer" : `a number with at most ${Math.log10(scale)} decimals`;
  const got = value === undefined || isEmptyRecord(value) ? "is required" : `got ${show(value)}`;
  issues.add(path, `${got}: wants ${digits} from 0 to ${most}, or null to count only`);
  return null;
}

/** A limit in the integers it is kept in, or null where it does not fit them. */
function scaled(value: number, scale: number): number | null {
  const integer = Math.round(value * scale);
  return Number.isSafeInteger(integer) && integer / scale === value ? integer : null;
}

function isFraction(value: unknown): value is number {
  return typeof value === "number" && value >= 1e-6 && value <= ALERT_MAX;
}

function parseAlerts(value: unknown, path: string, issues: Issues): readonly number[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.length <= RULES_MAX && value.every(isFraction)) {
    return [...new Set(value)].toSorted((a, b) => a - b);
  }
  issues.add(path, `wants up to ${RULES_MAX} fractions such as [0.8, 1], got ${show(value)}`);
  return [];
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
