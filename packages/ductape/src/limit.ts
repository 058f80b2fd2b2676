import { show } from "./errors.js";
import { Fields, type Issues } from "./field.js";
import { isEmptyRecord, isRecord } from "./json.js";
import { shownName } from "./request.js";
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

const VALUES_MAX = 1_000;

/**
 * Parses the limit of a rule for amounts of `1 / scale`; adds what is wrong to the issues of
 * `rule`.
 */
export function parseLimit(rule: Fields, scale: number): LimitInput {
  const value = rule.get("limit");
  const path = rule.at("limit");
  const { issues } = rule;
  if (!isRecord(value)) return oneLimit(value, path, scale, issues);
  const fields = new Fields(value, path, ["by", "values", "default"], issues);
  const by = fields.get("by");
  if (typeof by !== "string" || selectorPath(by) === null) {
    fields.refuse("by", `wants a selector such as "$Session{plan}", got ${show(by)}`);
  }
  const values = parseValues(fields, scale);
  const otherwise = oneLimit(fields.get("default"), fields.at("default"), scale, issues);
  return { by: typeof by === "string" ? by : "", values, default: otherwise };
}

function parseValues(fields: Fields, scale: number): Record<string, number | null> {
  const values = fields.get("values");
  const entries = isRecord(values) ? Object.entries(values) : [];
  if (entries.length === 0)
    fields.refuse("values", `wants an object of limits, got ${show(values)}`);
  if (entries.length > VALUES_MAX) {
    fields.refuse("values", `wants at most ${VALUES_MAX} limits, got ${entries.length}`);
    return {};
  }
  const parsed = entries.map(([name, value]) => {
    const path = fields.at(`values.${shownName(name)}`);
    const wrong = checkText(name);
    if (wrong !== null) fields.issues.add(path, `the name ${wrong}`);
    return [name, oneLimit(value, path, scale, fields.issues)] as const;
  });
  return Object.fromEntries(parsed);
}

function oneLimit(value: unknown, path: string, scale: number, issues: Issues): number | null {
  if (value === null) return null;
  if (typeof value === "number" && value >= 0 && scaled(value, scale) !== null) return value;
  const most = Math.floor(Number.MAX_SAFE_INTEGER / scale);
  const digits = scale === 1 ? "an integer" : `a number with at most ${Math.log10(scale)} decimals`;
  const got = value === undefined || isEmptyRecord(value) ? "is required" : `got ${show(value)}`;
  issues.add(path, `${got}: wants ${digits} from 0 to ${most}, or null to count only`);
  return null;
}

/** A limit in the integers it is kept in, or null where it does not fit them. */
export function scaled(value: number, scale: number): number | null {
  const integer = Math.round(value * scale);
  return Number.isSafeInteger(integer) && integer / scale === value ? integer : null;
}
