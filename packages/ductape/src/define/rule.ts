import { show } from "../base/errors.js";
import { Fields, type Issues, type Empty } from "../base/field.js";
import { HISTORY_MAX } from "../decide/ledger.js";
import { parseLimit, type LimitInput } from "./limit.js";
import { isTimeZone, PERIOD_UNITS, WEEKDAYS, type Period, type Weekday } from "../decide/period.js";
import { isRecord } from "../base/json.js";
import { selectorPath } from "../base/text.js";

/** How a rule counts: in windows of the calendar, in the period until now, or what is open. */
export type WindowKind = "calendar" | "rolling" | "concurrent";

/** The fields of a rule; docs/guides/quotas.md describes each. */
export interface RuleInput {
  readonly name?: string | Empty | undefined;
  /** `"product"`, or a selector such as `"$Session{userId}"`. Default `"product"`. */
  readonly scope?: string | Empty | undefined;
  readonly limit: LimitInput;
  /** Required, but null or left out for a `"concurrent"` window. */
  readonly period?: Period | null | Empty | undefined;
  /**
   * `"concurrent"` counts open holds, each as one whatever its amount, and no period. Default
   * `"calendar"`.
   */
  readonly window?: WindowKind | Empty | undefined;
  /** An IANA zone. Default `"UTC"`. */
  readonly time_zone?: string | Empty | undefined;
  /** Default `"monday"`. */
  readonly week_start?: Weekday | Empty | undefined;
  /** An ISO 8601 instant with its offset, from which windows are counted. Default null: none. */
  readonly anchor?: string | null | Empty | undefined;
  /** `"allow"` admits past the limit and reports the overage. Default `"reject"`. */
  readonly on_exceed?: "reject" | "allow" | Empty | undefined;
  /** Fractions of the limit, above 0 and at most 10, each reported once in a window. */
  readonly alerts?: readonly number[] | Empty | undefined;
  /** How many ended windows of a calendar rule to keep for `usage.history`, 0..400. Default 0. */
  readonly history?: number | Empty | undefined;
}

/** A stored rule, with every default written out. */
export interface Rule {
  readonly name: string;
  readonly scope: string;
  readonly limit: LimitInput;
  /** Null for a `"concurrent"` window. */
  readonly period: Period | null;
  readonly window: WindowKind;
  readonly time_zone: string;
  readonly week_start: Weekday;
  readonly anchor: string | null;
  readonly on_exceed: "reject" | "allow";
  readonly alerts: readonly number[];
  readonly history: number;
}

/** The fields of a rule, in the order of the documentation. */
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
  "history",
] as const;
const ALERTS_MAX = 16;
const ALERT_MIN = 1e-6;
const ALERT_MAX = 10;
const EVERY_MAX = 10_000;
const UNITS = PERIOD_UNITS.join(" ");

/**
 * Parses one rule, called `path`, for amounts with so many `decimals`, null if these are wrong;
 * adds problems to `issues`.
 */
export function parseRule(
  input: unknown,
  path: string,
  decimals: number | null,
  issues: Issues,
): Rule {
  const fields = new Fields(input, path, RULE_FIELDS, issues, path === "" ? "" : `${path}.`);
  const name = fields.tag("name");
  if (name === "*") fields.refuse("name", 'must not be "*", which means all rules');
  const scope = parseScope(fields);
  const window = fields.oneOf("window", ["calendar", "rolling", "concurrent"]);
  const isConcurrent = window === "concurrent";
  // Each open hold counts as one, whatever the amounts are.
  const limit = parseLimit(fields, isConcurrent ? 0 : decimals);
  const period = isConcurrent ? refusePeriod(fields) : parsePeriod(fields);
  const anchor = parseAnchor(fields);
  if (window === "rolling" && period === "lifetime") {
    fields.refuse("window", "rolling needs a period with a length, got lifetime");
  }
  if (anchor !== null && (window !== "calendar" || period === "lifetime")) {
    fields.refuse("anchor", "does not apply to a rolling or concurrent window, or a lifetime");
  }
  const alerts = parseAlerts(fields);
  if (isConcurrent && alerts.length > 0) {
    fields.refuse("alerts", "expects none: a concurrent window never ends, so they fire but once");
  }
  return {
    name,
    scope,
    limit,
    period,
    window,
    time_zone: parseZone(fields),
    week_start: fields.oneOf("week_start", WEEKDAYS),
    anchor,
    on_exceed: fields.oneOf("on_exceed", ["reject", "allow"]),
    alerts,
    history: parseHistory(fields, window, period),
  };
}

function parseScope(fields: Fields): string {
  const value = fields.get("scope");
  if (value === undefined) return "product";
  if (value === "product") return value;
  if (typeof value === "string" && selectorPath(value) !== null) return value;
  const wanted = '"product" or a selector such as "$Session{userId}"';
  fields.refuse("scope", `expects ${wanted}, got ${show(value)}`);
  return "product";
}

function parsePeriod(fields: Fields): Period {
  const value = fields.get("period");
  if (isRecord(value))
    return parseMultiple(new Fields(value, fields.at("period"), ["every", "unit"], fields.issues));
  if (value === "lifetime") return value;
  const single = PERIOD_UNITS.find((unit) => unit === value);
  if (single !== undefined) return single;
  const got = value === undefined ? "is required:" : `got ${show(value)};`;
  fields.refuse("period", `${got} expects one of ${UNITS} lifetime, or { every, unit }`);
  return "day";
}

function refusePeriod(fields: Fields): null {
  const value = fields.get("period");
  if (value === undefined || value === null) return null;
  const message = `has no meaning for a concurrent window, which counts open holds`;
  fields.refuse("period", `${message}; got ${show(value)}`);
  return null;
}

function parseMultiple(fields: Fields): Period {
  const [given, every] = [fields.get("unit"), fields.get("every")];
  const unit = PERIOD_UNITS.find((known) => known === given);
  if (unit === undefined) fields.refuse("unit", `expects one of ${UNITS}, got ${show(given)}`);
  if (typeof every === "number" && Number.isInteger(every) && every >= 1 && every <= EVERY_MAX) {
    return every === 1 ? (unit ?? "day") : { every, unit: unit ?? "day" };
  }
  fields.refuse("every", `expects an integer from 1 to ${EVERY_MAX}, got ${show(every)}`);
  return "day";
}

function parseZone(fields: Fields): string {
  const value = fields.get("time_zone");
  // Without asking the runtime, because that is slow and most rules use UTC.
  if (value === undefined || value === "UTC") return "UTC";
  if (typeof value === "string" && value.length <= 64 && isTimeZone(value)) return value;
  fields.refuse(
    "time_zone",
    `expects an IANA time zone such as "Europe/Paris", got ${show(value)}`,
  );
  return "UTC";
}

function parseAnchor(fields: Fields): string | null {
  const value = fields.get("anchor");
  if (value === undefined || value === null) return null;
  const pattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;
  if (typeof value === "string" && pattern.test(value)) {
    const ms = Date.parse(value);
    const day = Number(value.slice(8, 10));
    // The runtime reads February 30 as March 2.
    const shown = new Date(Date.parse(`${value.slice(0, 10)}T00:00:00Z`)).getUTCDate();
    if (Number.isFinite(ms) && shown === day) return value;
  }
  fields.refuse(
    "anchor",
    `expects an ISO 8601 instant such as "2026-01-31T00:00:00Z", got ${show(value)}`,
  );
  return null;
}

function parseAlerts(fields: Fields): readonly number[] {
  const value = fields.get("alerts");
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > ALERTS_MAX) {
    fields.refuse(
      "alerts",
      `expects up to ${ALERTS_MAX} fractions such as [0.8, 1], got ${show(value)}`,
    );
    return [];
  }
  // Array.from, because other methods skip holes in an array.
  const alerts = Array.from(value, (fraction: unknown, i) => {
    if (typeof fraction === "number" && fraction >= ALERT_MIN && fraction <= ALERT_MAX)
      return fraction;
    const wanted = `expects a fraction of the limit from 0.000001 to ${ALERT_MAX}`;
    fields.refuse(`alerts[${i}]`, `${wanted}, got ${show(fraction)}`);
    return 1;
  });
  return [...new Set(alerts)].toSorted((a, b) => a - b);
}

function parseHistory(fields: Fields, window: WindowKind, period: Period | null): number {
  const value = fields.get("history");
  if (value === undefined || value === 0) return 0;
  const isCount = typeof value === "number" && Number.isInteger(value) && value > 0;
  if (!isCount || value > HISTORY_MAX) {
    fields.refuse("history", `expects an integer from 0 to ${HISTORY_MAX}, got ${show(value)}`);
    return 0;
  }
  if (window === "calendar" && period !== "lifetime") return value;
  const kind = window === "concurrent" ? window : "rolling";
  fields.refuse("history", `expects 0 for a ${kind} window or a lifetime, got ${value}`);
  return 0;
}
