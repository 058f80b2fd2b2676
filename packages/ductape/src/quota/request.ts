import { ANSWER_TTL_MS, type Action, type Idempotency } from "../decide/action.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import type { SubjectInput } from "../define/subject.js";
import { refuseTwice, type QuotaTarget } from "./target.js";
import { AMOUNT_MAX } from "../decide/counter.js";
import { DuctapeError, kindOf, ValidationError } from "../base/errors.js";
import { isRecord } from "../base/json.js";
import { checkText } from "../base/text.js";
import { explain } from "./explain.js";
import { holdMembersOf, isOfHold, parseHoldFields, type HoldFields } from "./hold-fields.js";
import {
  FIELDS,
  given,
  isAction,
  isAmount,
  isSession,
  isSubject,
  isText,
  isTtl,
  PLACE_FIELDS,
  type SessionInput,
} from "./input-fields.js";

/** The input of `quota.run`, the same as over HTTP. */
export interface QuotaInput {
  /** Slug of an environment of the product. */
  readonly env: string;
  readonly product_tag: string;
  readonly quota_tag: string;
  readonly action: Action;
  /**
   * How much; default 1. Required for `set` and `grant`; ignored by `reset`. Default of `commit`
   * and `extend`: what is held; of a `decrement` with `of`: all that was charged.
   */
  readonly amount?: number | Empty | undefined;
  readonly session?: SessionInput | Empty | undefined;
  readonly subject?: SubjectInput | Empty | undefined;
  readonly cache?: string | Empty | undefined;
  /** A retry with the same key and input returns the first answer and counts once, for 24 h. */
  readonly idempotency_key?: string | Empty | undefined;
  /** How long the key's answer is kept, in milliseconds: 1000..86400000. Default 24 h. */
  readonly idempotency_ttl_ms?: number | Empty | undefined;
  /** The rule that `reset`, `set` and `grant` act on, if there are several; "*": all. */
  readonly rule?: string | Empty | undefined;
  /**
   * The id of a hold, 1 to 255 characters: required for `commit`, `extend` and `release`; a
   * `reserve` without one gets a new one.
   */
  readonly reservation?: string | Empty | undefined;
  /**
   * For `reserve` and `extend`: how long the amount is set aside, in milliseconds: 1000..86400000.
   * Default 10 min.
   */
  readonly ttl_ms?: number | Empty | undefined;
  /** For `reserve` and `increment`: take less than `amount` if that is at least this much. */
  readonly at_least?: number | Empty | undefined;
  /** For `commit`: `false` counts a part and keeps the rest held. Default `true`. */
  readonly final?: boolean | Empty | undefined;
  /**
   * `"allow"` counts past the limit what has already happened, and reports the overage. Default of
   * `commit`; an `increment` rejects by default.
   */
  readonly on_exceed?: "reject" | "allow" | Empty | undefined;
  /** For `release`: why, for the log, 1 to 500 characters. */
  readonly reason?: string | Empty | undefined;
  /**
   * For `decrement`: takes back, once, what one charge counted: the idempotency key of an
   * `increment`, or the id of a settled hold.
   */
  readonly of?: string | Empty | undefined;
}

/** Which quota, in which environment of which product. */
export interface Place {
  readonly env: string;
  readonly productTag: string;
  readonly quotaTag: string;
}

/** Checks what `ductape.quota` is given. Throws `VALIDATION`. */
export function parsePlace(target: QuotaTarget): Place {
  const issues = new Issues();
  const fields = new Fields(target, "target", ["product_tag", "env", "quota_tag"], issues, "");
  const productTag = fields.tag("product_tag");
  const [env, quotaTag] = [fields.tag("env"), fields.tag("quota_tag")];
  issues.throwAny();
  return { env, productTag, quotaTag };
}

/** A parsed input: every optional field is a value or null. */
export interface Request extends Place {
  readonly action: Action;
  /** Finite and >= 0, 0 for `reset`; not yet checked against the quota's decimals. */
  readonly amount: number;
  readonly subject: SubjectInput | null;
  readonly session: SessionInput | null;
  readonly cache: string | null;
  readonly idempotency: Idempotency | null;
  readonly rule: string | null;
  /** Null: the request has none of these fields and needs none. */
  readonly holding: HoldFields | null;
}

/**
 * The one parser of calls. Throws `VALIDATION` with one issue for each wrong field; copies what it
 * keeps, so a caller may change its object afterwards. `newId` names a new hold.
 */
export function parseRequest(input: unknown, newId: () => string): Request {
  if (!isRecord(input)) throw invalid("input", `expects an object, got ${kindOf(input)}`);
  const { env, product_tag, quota_tag, action } = input;
  if (
    typeof env !== "string" ||
    typeof product_tag !== "string" ||
    typeof quota_tag !== "string" ||
    !isAction(action)
  ) {
    throw explain(input);
  }
  const place = { env, productTag: product_tag, quotaTag: quota_tag };
  return requestOf(place, action, input, REQUIRED, newId);
}

/**
 * As {@link parseRequest}, for a bound quota: `input` is the rest of the fields, or undefined.
 */
export function parseBound(
  place: Place,
  action: Action,
  input: unknown,
  newId: () => string,
): Request {
  const rest = input === undefined ? NO_FIELDS : input;
  if (!isRecord(rest)) throw invalid("input", `expects an object, got ${kindOf(rest)}`);
  try {
    return requestOf(place, action, rest, 0, newId);
  } catch {
    throw explainBound(place, action, rest);
  }
}

const NO_FIELDS: Readonly<Record<string, never>> = {};

function requestOf(
  { env, productTag, quotaTag }: Place,
  action: Action,
  input: Record<string, unknown>,
  requiredCount: number,
  newId: () => string,
): Request {
  const { amount, subject, session, cache, idempotency_key, idempotency_ttl_ms, rule } = input;
  // The number of members shows whether there are others than the usual ones, without a look at
  // any name.
  const holding =
    membersOf(input) === usualMembersOf(input, requiredCount) && !isOfHold(action)
      ? null
      : holdingOf(action, input, requiredCount, newId);
  const request = {
    env,
    productTag,
    quotaTag,
    action,
    // The usual amount and subject are checked inline, without a call. -0 is 0.
    amount:
      typeof amount === "number" && amount >= 0 && amount <= AMOUNT_MAX && action !== "reset"
        ? amount + 0
        : amountOf(amount, action, input, holding),
    subject:
      typeof subject === "string" && checkText(subject) === null
        ? subject
        : subjectOf(subject, input),
    session: session === undefined ? null : sessionOf(session, input),
    cache: textOf(cache, input),
    idempotency:
      idempotency_key === undefined && idempotency_ttl_ms === undefined
        ? null
        : idempotencyOf(idempotency_key, idempotency_ttl_ms, input),
    rule: textOf(rule, input),
    holding,
  };
  if (request.session !== null && request.subject !== null) throw explain(input);
  return request;
}

function membersOf(input: Record<string, unknown>): number {
  let members = 0;
  for (const _ in input) members++;
  return members;
}

/** How many of the usual fields are given. */
function usualMembersOf(input: Record<string, unknown>, requiredCount: number): number {
  let known = requiredCount;
  if (input["amount"] !== undefined) known++;
  if (input["subject"] !== undefined) known++;
  if (input["session"] !== undefined) known++;
  if (input["cache"] !== undefined) known++;
  if (input["idempotency_key"] !== undefined) known++;
  if (input["idempotency_ttl_ms"] !== undefined) known++;
  if (input["rule"] !== undefined) known++;
  return known;
}

/** `env`, `product_tag`, `quota_tag` and `action`. */
const REQUIRED = PLACE_FIELDS.length;

/** The fields of holds; null if none is given and the action needs none. */
function holdingOf(
  action: Action,
  input: Record<string, unknown>,
  requiredCount: number,
  newId: () => string,
): HoldFields | null {
  const count = holdMembersOf(input);
  if (membersOf(input) !== usualMembersOf(input, requiredCount) + count) {
    refuseUnknown(input, requiredCount);
  }
  if (count === 0 && !isOfHold(action)) return null;
  const fields = parseHoldFields(action, input, newId);
  if (fields === null) throw explain(input);
  return fields;
}

function refuseUnknown(input: Record<string, unknown>, requiredCount: number): void {
  const known = FIELDS.slice(REQUIRED - requiredCount);
  for (const name in input) if (!known.includes(name)) throw explain(input);
}

function amountOf(
  value: unknown,
  action: Action,
  input: Record<string, unknown>,
  holding: HoldFields | null,
): number {
  const amount = typeof value === "number" ? value : given(value);
  if (!isAmount(amount, action)) throw explain(input);
  if (action === "reset" || holding?.isWhole === true) return 0;
  return amount ?? 1;
}

function textOf(value: unknown, input: Record<string, unknown>): string | null {
  if (value === undefined) return null;
  const text = given(value);
  if (!isText(text)) throw explain(input);
  return text;
}

function idempotencyOf(
  key: unknown,
  ttl: unknown,
  input: Record<string, unknown>,
): Idempotency | null {
  const name = textOf(key, input);
  const ttlMs = given(ttl);
  if (!isTtl(ttlMs) || (name === null && ttlMs !== null)) throw explain(input);
  return name === null ? null : { key: name, ttlMs: ttlMs ?? ANSWER_TTL_MS };
}

function subjectOf(value: unknown, input: Record<string, unknown>): SubjectInput | null {
  if (value === undefined) return null;
  const subject = typeof value === "string" ? value : given(value);
  if (!isSubject(subject)) throw explain(input);
  return typeof subject === "object" && subject !== null ? structuredClone(subject) : subject;
}

function sessionOf(value: unknown, input: Record<string, unknown>): SessionInput | null {
  const session = isRecord(value) && isSession(value) ? value : given(value);
  if (!isSession(session)) throw explain(input);
  return session === null ? null : { tag: session.tag, token: session.token };
}

/** A bound quota has its place and its action already. */
function explainBound(
  { env, productTag, quotaTag }: Place,
  action: Action,
  rest: Record<string, unknown>,
): ValidationError {
  const fixed: Record<string, string> = {
    env,
    product_tag: productTag,
    quota_tag: quotaTag,
    action,
  };
  refuseTwice(rest, fixed);
  return explain({ ...fixed, ...rest });
}

function invalid(path: string, message: string): DuctapeError {
  return new ValidationError([{ path, message }]);
}
