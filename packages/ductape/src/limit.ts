import { show } from "./errors.js";
import type { Issues } from "./field.js";
import { isEmptyRecord, isRecord } from "./request.js";
import { selectorPath } from "./text.js";

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

/** Parses a limit for amounts of `1 / scale`; adds what is wrong to `issues`. */
export function parseLimit(
  value: unknown,
  path: string,
  scale: number,
  issues: Issues,
): LimitInput {
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
export function scaled(value: number, scale: number): number | null {
  const integer = Math.round(value * scale);
  return Number.isSafeInteger(integer) && integer / scale === value ? integer : null;
}
