import type { Action } from "../decide/action.js";
import { AMOUNT_MAX } from "../decide/counter.js";
import { show, type Issue } from "../base/errors.js";
import { isEmptyRecord } from "../base/json.js";
import { checkText } from "../base/text.js";

/** The parsed fields of a request about a hold, or with `at_least`, `on_exceed` or `of`. */
export interface HoldFields {
  /** The id of a hold: for `reserve` the caller's or a new one. "" for an action without a hold. */
  readonly reservation: string;
  /** The caller gave the id. */
  readonly isNamed: boolean;
  readonly ttlMs: number;
  /** Not yet checked against the quota's decimals. Null: all or nothing. */
  readonly atLeast: number | null;
  readonly isFinal: boolean;
  /** Counts past the limit. */
  readonly allowsExcess: boolean;
  readonly reason: string | null;
  /** The charge that a `decrement` takes back: an idempotency key, or the id of a hold. */
  readonly of: string | null;
  /** No amount was given: all that is held, or was charged. */
  readonly isWhole: boolean;
}

/** The fields of holds; the rest of a request has one meaning for all actions. */
export const HOLD_FIELDS = [
  "reservation",
  "ttl_ms",
  "at_least",
  "final",
  "on_exceed",
  "reason",
  "of",
] as const;

type HoldField = (typeof HOLD_FIELDS)[number];

/** The actions for which a field means something, and what is wrong with a value. */
interface Form {
  readonly actions: readonly [Action, ...Action[]];
  wrong(value: unknown, input: Readonly<Record<string, unknown>>): string | null;
}

/** How long an amount is set aside by default, in milliseconds: 10 min. */
export const HOLD_TTL_MS = 600_000;
const [HOLD_TTL_MS_MIN, HOLD_TTL_MS_MAX] = [1_000, 86_400_000];
const REASON_CHARS_MAX = 500;

const FORMS: Readonly<Record<HoldField, Form>> = {
  reservation: { actions: ["reserve", "commit", "extend", "release"], wrong: checkText },
  ttl_ms: { actions: ["reserve", "extend"], wrong: wrongTtl },
  at_least: { actions: ["reserve", "increment"], wrong: wrongLeast },
  final: {
    actions: ["commit"],
    wrong: (value) =>
      typeof value === "boolean" ? null : `expects true or false, got ${show(value)}`,
  },
  on_exceed: {
    actions: ["increment", "commit"],
    wrong: (value) =>
      value === "reject" || value === "allow"
        ? null
        : `expects reject or allow, got ${show(value)}`,
  },
  reason: { actions: ["release"], wrong: wrongReason },
  of: { actions: ["decrement"], wrong: checkText },
};

/** True for the actions that reserve, extend or settle a hold. */
export function isOfHold(action: Action): boolean {
  switch (action) {
    case "reserve":
    case "commit":
    case "extend":
    case "release":
      return true;
    default:
      return false;
  }
}

/** How many fields of holds are given. */
export function holdMembersOf(input: Readonly<Record<string, unknown>>): number {
  // Written out: a look at a name in a variable takes several times as long.
  let members = 0;
  if (input["reservation"] !== undefined) members++;
  if (input["ttl_ms"] !== undefined) members++;
  if (input["at_least"] !== undefined) members++;
  if (input["final"] !== undefined) members++;
  if (input["on_exceed"] !== undefined) members++;
  if (input["reason"] !== undefined) members++;
  if (input["of"] !== undefined) members++;
  return members;
}

/** The fields of holds in an input; null if one is wrong. `newId` names a hold without a name. */
export function parseHoldFields(
  action: Action,
  input: Readonly<Record<string, unknown>>,
  newId: () => string,
): HoldFields | null {
  if (holdIssues(action, input).length > 0) return null;
  const [reservation, of, reason] = [input["reservation"], input["of"], input["reason"]];
  const [ttlMs, atLeast, onExceed] = [input["ttl_ms"], input["at_least"], input["on_exceed"]];
  const isNamed = typeof reservation === "string";
  const isTakenBack = typeof of === "string";
  return {
    reservation: isNamed ? reservation : action === "reserve" ? newId() : "",
    isNamed,
    ttlMs: typeof ttlMs === "number" ? ttlMs : HOLD_TTL_MS,
    atLeast: typeof atLeast === "number" ? atLeast + 0 : null,
    isFinal: input["final"] !== false,
    allowsExcess: action === "commit" ? onExceed !== "reject" : onExceed === "allow",
    reason: typeof reason === "string" ? reason : null,
    of: isTakenBack ? of : null,
    isWhole:
      (isTakenBack || (isOfHold(action) && action !== "reserve")) && isAbsent(input["amount"]),
  };
}

/** What is wrong with the fields of holds in an input for `action`. */
export function holdIssues(
  action: Action,
  input: Readonly<Record<string, unknown>>,
): readonly Issue[] {
  const issues: Issue[] = [];
  for (const path of HOLD_FIELDS) {
    const message = wrongField(path, action, input);
    if (message !== null) issues.push({ path, message });
  }
  if (action === "release" && !isAbsent(input["amount"])) {
    issues.push({ path: "amount", message: "has no meaning for release, which counts nothing" });
  }
  if (!isAbsent(input["of"]) && !isAbsent(input["idempotency_key"])) {
    const message = "has no meaning with of: what a charge counted is taken back once";
    issues.push({ path: "idempotency_key", message });
  }
  return issues;
}

function wrongField(
  name: HoldField,
  action: Action,
  input: Readonly<Record<string, unknown>>,
): string | null {
  const value = input[name];
  const { actions, wrong } = FORMS[name];
  if (isAbsent(value)) {
    const isMissing = name === "reservation" && isOfHold(action) && action !== "reserve";
    return isMissing ? `is required for ${action}: the id of a hold` : null;
  }
  if (actions.includes(action)) return wrong(value, input);
  return `has no meaning for ${action}; it belongs to ${listed(actions)}`;
}

function wrongTtl(value: unknown): string | null {
  const isInteger = typeof value === "number" && Number.isInteger(value);
  if (isInteger && value >= HOLD_TTL_MS_MIN && value <= HOLD_TTL_MS_MAX) return null;
  const wanted = `expects an integer from ${HOLD_TTL_MS_MIN} to ${HOLD_TTL_MS_MAX}`;
  return `${wanted}, got ${show(value)}`;
}

function wrongLeast(value: unknown, input: Readonly<Record<string, unknown>>): string | null {
  const amount = isAbsent(input["amount"]) ? 1 : input["amount"];
  // A wrong amount has an issue of its own.
  const most =
    typeof amount === "number" && amount >= 0 ? Math.min(amount, AMOUNT_MAX) : AMOUNT_MAX;
  if (typeof value !== "number" || !(value >= 0 && value <= most)) {
    return `expects a number from 0 to amount, which is ${most}, got ${show(value)}`;
  }
  return input["on_exceed"] === "allow" ? "has no meaning with on_exceed allow" : null;
}

function wrongReason(value: unknown): string | null {
  const isText = typeof value === "string" && value.length > 0 && value.isWellFormed();
  if (isText && value.length <= REASON_CHARS_MAX && !value.includes("\0")) return null;
  const wanted = `expects a text of 1 to ${REASON_CHARS_MAX} characters`;
  return `${wanted}, got ${typeof value === "string" ? `${value.length}` : show(value)}`;
}

const isAbsent = (value: unknown): boolean =>
  value === undefined || (typeof value === "object" && isEmptyRecord(value));

function listed(words: readonly string[]): string {
  const others = words.slice(0, -1);
  const last = words.at(-1) ?? "";
  return others.length === 0 ? last : `${others.join(", ")} and ${last}`;
}
