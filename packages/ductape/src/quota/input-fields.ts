import { ANSWER_TTL_MS, type Action } from "../decide/action.js";
import { AMOUNT_MAX } from "../decide/counter.js";
import type { SubjectInput } from "../define/subject.js";
import { show, type Issue } from "../base/errors.js";
import { isEmptyRecord, isRecord } from "../base/json.js";
import { checkText } from "../base/text.js";
import { HOLD_FIELDS } from "./hold-fields.js";

/** A session as given by the caller. */
export interface SessionInput {
  /** Tag of the session definition. */
  readonly tag: string;
  readonly token: string;
}

/** The fields of an input that say where and what; a bound quota has them already. */
export const PLACE_FIELDS = ["env", "product_tag", "quota_tag", "action"] as const;

/** Every field of an input. */
export const FIELDS: readonly string[] = [
  ...PLACE_FIELDS,
  "amount",
  "session",
  "subject",
  "cache",
  "idempotency_key",
  "idempotency_ttl_ms",
  "rule",
  ...HOLD_FIELDS,
];

/** The shortest time that an answer is kept, in milliseconds. */
export const ANSWER_TTL_MS_MIN = 1_000;

/** The value of an optional field: `{}`, undefined and absence are all null. */
export function given(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === "object" && isEmptyRecord(value)) return null;
  return value === null ? NULL : value;
}

/** Stands for an explicit null, which no field accepts. */
const NULL = Symbol("null");

/** The value that {@link given} got, for messages. */
export const unmark = (value: unknown): unknown => (value === NULL ? null : value);

/** True for the name of an action. */
export function isAction(value: unknown): value is Action {
  switch (value) {
    case "check":
    case "increment":
    case "decrement":
    case "set":
    case "reset":
    case "grant":
    case "reserve":
    case "commit":
    case "extend":
    case "release":
      return true;
    default:
      return false;
  }
}

/** True for an amount that the action takes; null: none is given. */
export function isAmount(value: unknown, action: Action): value is number | null {
  if (value === null) return action !== "set" && action !== "grant";
  return typeof value === "number" && value >= 0 && value <= AMOUNT_MAX;
}

/** True for a tag or key; null: none is given. */
export function isText(value: unknown): value is string | null {
  return value === null || checkText(value) === null;
}

/** True for how long an answer may be kept, in milliseconds; null: not given. */
export function isTtl(value: unknown): value is number | null {
  if (value === null) return true;
  if (typeof value !== "number" || !Number.isInteger(value)) return false;
  return value >= ANSWER_TTL_MS_MIN && value <= ANSWER_TTL_MS;
}

/** True for a subject; null: none is given. */
export function isSubject(value: unknown): value is SubjectInput | null {
  if (typeof value === "string") return checkText(value) === null;
  return value === null || (isRecord(value) && checkMembers(value, "subject", 0).length === 0);
}

/** True for a session; null: none is given. */
export function isSession(value: unknown): value is SessionInput | null {
  if (value === null) return true;
  if (!isRecord(value)) return false;
  for (const name in value) if (name !== "tag" && name !== "token") return false;
  return checkText(value["tag"]) === null && typeof value["token"] === "string";
}

/** What is wrong with a subject. */
export function subjectIssues(subject: unknown): Issue[] {
  if (isRecord(subject)) return checkMembers(subject, "subject", 0);
  const wrong =
    typeof subject === "string"
      ? checkText(subject)
      : `expects a string or an object, got ${show(subject)}`;
  return wrong === null ? [] : [{ path: "subject", message: wrong }];
}

const SUBJECT_DEPTH_MAX = 8;
const SUBJECT_MEMBERS_MAX = 64;

/** Subjects are data: text, numbers, booleans and nested objects of them. */
function checkMembers(value: Record<string, unknown>, path: string, depth: number): Issue[] {
  const names = Object.keys(value);
  if (depth >= SUBJECT_DEPTH_MAX) {
    return [{ path, message: `expects at most ${SUBJECT_DEPTH_MAX} levels` }];
  }
  if (names.length > SUBJECT_MEMBERS_MAX) {
    return [{ path, message: `expects at most ${SUBJECT_MEMBERS_MAX} members` }];
  }
  return names.flatMap((name) =>
    checkMember(value[name], `${path}.${show(name).slice(1, -1)}`, depth),
  );
}

function checkMember(value: unknown, path: string, depth: number): Issue[] {
  if (isRecord(value)) return checkMembers(value, path, depth + 1);
  if (typeof value === "boolean" || value === undefined) return [];
  if (typeof value === "number") {
    return Number.isFinite(value)
      ? []
      : [{ path, message: `expects a finite number, got ${value}` }];
  }
  const wrong = checkText(value);
  return wrong === null ? [] : [{ path, message: wrong }];
}
