import { show } from "./errors.js";
import { Issues, oneOf } from "./field.js";
import { parseLimit, type LimitInput } from "./limit.js";
import { isTimeZone, PERIOD_UNITS, WEEKDAYS, type Period, type Weekday } from "./period.js";
import { isEmptyRecord, isRecord, type Empty } from "./request.js";
import { checkText, selectorPath } from "./text.js";

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
const ALERTS_MAX = 16;
const ALERT_MAX = 10;

/** Parses one rule, whose members are named after `prefix`; adds what is wrong to `issues`. */
export function parseRule(input: unknown, prefix: string, scale: number, issues: Issues): Rule {
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

function isFraction(value: unknown): value is number {
  return typeof value === "number" && value >= 1e-6 && value <= ALERT_MAX;
}

function parseAlerts(value: unknown, path: string, issues: Issues): readonly number[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.length <= ALERTS_MAX && value.every(isFraction)) {
    return [...new Set(value)].toSorted((a, b) => a - b);
  }
  issues.add(path, `wants up to ${ALERTS_MAX} fractions such as [0.8, 1], got ${show(value)}`);
  return [];
}
