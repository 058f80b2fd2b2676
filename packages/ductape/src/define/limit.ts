import { decimalsFor, exactUnits, valueMax, valueMaxText } from "../decide/amount.js";
import { show } from "../base/errors.js";
import { Fields, type Issues, shownName } from "../base/field.js";
import { isEmptyRecord, isRecord } from "../base/json.js";
import { checkText, selectorPath } from "../base/text.js";

/** A limit, or a choice of limits by a value of the session, such as its plan; null: count only. */
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

const VALUES_MAX = 1_000;

/**
 * Parses the limit of a rule for amounts with so many `decimals`, null if these are wrong
 * themselves; adds problems to the issues of `rule`.
 */
export function parseLimit(rule: Fields, decimals: number | null): LimitInput {
  const value = rule.get("limit");
  const path = rule.at("limit");
  const { issues } = rule;
  if (!isRecord(value)) return oneLimit(value, path, decimals, issues);
  const fields = new Fields(value, path, ["by", "values", "default"], issues);
  const by = fields.get("by");
  if (typeof by !== "string" || selectorPath(by) === null) {
    fields.refuse("by", `expects a selector such as "$Session{plan}", got ${show(by)}`);
  }
  const values = parseValues(fields, decimals);
  const otherwise = oneLimit(fields.get("default"), fields.at("default"), decimals, issues);
  return { by: typeof by === "string" ? by : "", values, default: otherwise };
}

function parseValues(fields: Fields, decimals: number | null): Record<string, number | null> {
  const values = fields.get("values");
  const entries = isRecord(values) ? Object.entries(values) : [];
  if (entries.length === 0)
    fields.refuse("values", `expects an object of limits, got ${show(values)}`);
  if (entries.length > VALUES_MAX) {
    fields.refuse("values", `expects at most ${VALUES_MAX} limits, got ${entries.length}`);
    return {};
  }
  const parsed = entries.map(([name, value]) => {
    const path = fields.at(`values.${shownName(name)}`);
    const wrong = checkText(name);
    if (wrong !== null) fields.issues.add(path, `the name ${wrong}`);
    return [name, oneLimit(value, path, decimals, fields.issues)] as const;
  });
  return Object.fromEntries(parsed);
}

function oneLimit(
  value: unknown,
  path: string,
  decimals: number | null,
  issues: Issues,
): number | null {
  if (value === null) return null;
  if (typeof value === "number" && value >= 0 && Number.isFinite(value)) {
    if (decimals === null || exactUnits(value, 10 ** decimals) !== null) return value;
    if (decimals > 0 && value > valueMax(decimals)) {
      issues.add(path, tooLarge(value, decimals));
      return null;
    }
  }
  const digits = decimals ? `a number with at most ${decimals} decimals` : "an integer";
  const got = value === undefined || isEmptyRecord(value) ? "is required" : `got ${show(value)}`;
  const most = Math.floor(valueMax(decimals ?? 0));
  issues.add(path, `${got}: expects ${digits} from 0 to ${most}, or null to count only`);
  return null;
}

function tooLarge(value: number, decimals: number): string {
  const most = `got ${value}: expects at most ${valueMaxText(decimals)} with ${decimals} decimals`;
  const fitting = decimalsFor(value);
  return fitting < 0 ? most : `${most}; a limit of ${value} leaves room for ${fitting}`;
}
