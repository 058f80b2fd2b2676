import { show } from "../base/errors.js";
import { Fields, type Empty } from "../base/field.js";
import { evaluate, expressionIn, type ExpressionScope } from "./expression.js";

/** An amount: a number, or an expression such as `"$Input{pages} * 800"`. */
export type AmountInput = number | string;

/** How much of a quota a feature uses. */
export interface UseInput {
  /** What to reserve before the work. Default 1. */
  readonly amount?: AmountInput | Empty | undefined;
  /** What was used, once the work is done: `"$Result{usage}"`. Default: what was reserved. */
  readonly settle?: AmountInput | Empty | undefined;
  /** Lets the call pass if this quota denies. Default false. */
  readonly allow_fail?: boolean | Empty | undefined;
}

/** A quota that a feature uses, as it is defined. */
export interface QuotaUseInput extends UseInput {
  /** Tag of the quota. */
  readonly quota: string;
}

/** A parsed {@link QuotaUseInput}; `settle` is null to charge what was reserved. */
export interface QuotaUse {
  readonly quota: string;
  readonly amount: AmountInput;
  readonly settle: AmountInput | null;
  readonly allow_fail: boolean;
}

const FIELDS = ["quota", "amount", "settle", "allow_fail"] as const;
const USES_MAX = 16;

/** Parses the `quotas` of a feature; problems go to its issues. */
export function parseUses(feature: Fields): QuotaUse[] {
  const given = feature.get("quotas") ?? undefined;
  if (given === undefined) return [];
  if (!Array.isArray(given) || given.length > USES_MAX) {
    feature.refuse("quotas", `expects an array of at most ${USES_MAX}, got ${show(given)}`);
    return [];
  }
  return Array.from(given, (use: unknown, i) => {
    const fields = new Fields(use, feature.at(`quotas[${i}]`), FIELDS, feature.issues);
    return { quota: fields.tag("quota"), ...parseUse(fields) };
  });
}

/** How much of a quota is used; problems go to the issues of `fields`. */
export function parseUse(fields: Fields): Omit<QuotaUse, "quota"> {
  return {
    amount: parseAmount(fields, "amount") ?? 1,
    settle: parseAmount(fields, "settle"),
    allow_fail: fields.get("allow_fail") === null ? false : fields.flag("allow_fail", false),
  };
}

/** Null if it is left out. An expression without paths is already the amount. */
function parseAmount(fields: Fields, name: string): AmountInput | null {
  const given = fields.get(name) ?? null;
  if (given === null) return null;
  if (typeof given !== "number" && typeof given !== "string") {
    const wanted = 'expects a number, or an expression such as "$Input{pages} * 800"';
    fields.refuse(name, `${wanted}, got ${show(given)}`);
    return 1;
  }
  const expression = typeof given === "string" ? expressionIn(given) : null;
  if (typeof expression === "string") fields.refuse(name, expression);
  else if (expression === null || expression.paths.length === 0) {
    const amount = amountOf(given, {});
    if (typeof amount === "string") fields.refuse(name, amount);
  }
  return given;
}

/**
 * The value of an amount, a finite number of at least 0; or what is wrong, a text with the
 * expression and its value.
 */
export function amountOf(amount: AmountInput, scope: ExpressionScope): number | string {
  const expression = typeof amount === "string" ? expressionIn(amount) : null;
  if (typeof expression === "string") return expression;
  const value = typeof amount === "number" ? amount : expression && evaluate(expression, scope);
  if (typeof value === "string" || value === null) return `${show(amount)}: ${value}`;
  // -0 is 0.
  if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value + 0;
  const got = typeof amount === "number" ? String(value) : `${value} from ${show(amount)}`;
  return `expects a number from 0 to ${Number.MAX_SAFE_INTEGER}, got ${got}`;
}
