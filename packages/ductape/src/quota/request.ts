import { ACTIONS, ANSWER_TTL_MS, type Action, type Idempotency } from "../decide/action.js";
import { Fields, Issues, shownName, unknownField, type Empty } from "../base/field.js";
import type { SubjectInput } from "../define/subject.js";
import { refuseTwice, type QuotaTarget } from "./target.js";
import { AMOUNT_MAX } from "../decide/counter.js";
import { DuctapeError, kindOf, show, ValidationError, type Issue } from "../base/errors.js";
import { isEmptyRecord, isRecord } from "../base/json.js";
import { checkText, nearest } from "../base/text.js";

/** A session as given by the caller. */
export interface SessionInput {
  /** Tag of the session definition. */
  readonly tag: string;
  readonly token: string;
}

/** The input of `quota.run`, the same as over HTTP. */
export interface QuotaInput {
  /** Slug of an environment of the product. */
  readonly env: string;
  readonly product_tag: string;
  readonly quota_tag: string;
  readonly action: Action;
  /** How much; default 1. Required for `set` and `grant`; ignored by `reset`. */
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
}

/** The shortest time that an answer is kept, in milliseconds. */
const ANSWER_TTL_MS_MIN = 1_000;

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
}

const FIELDS = [
  "env",
  "product_tag",
  "quota_tag",
  "action",
  "amount",
  "session",
  "subject",
  "cache",
  "idempotency_key",
  "idempotency_ttl_ms",
  "rule",
] as const;

function isField(name: string): boolean {
  return FIELDS.some((field) => field === name);
}

/**
 * The one parser of calls. Throws `VALIDATION` with one issue for each wrong field; copies what it
 * keeps, so a caller may change its object afterwards.
 */
export function parseRequest(input: unknown): Request {
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
  return requestOf(place, action, input, REQUIRED);
}

/**
 * As {@link parseRequest}, for a bound quota: `input` is the rest of the fields, or undefined.
 */
export function parseBound(place: Place, action: Action, input: unknown): Request {
  const rest = input === undefined ? NO_FIELDS : input;
  if (!isRecord(rest)) throw invalid("input", `expects an object, got ${kindOf(rest)}`);
  try {
    return requestOf(place, action, rest, 0);
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
): Request {
  const { amount, subject, session, cache, idempotency_key, idempotency_ttl_ms, rule } = input;
  const request = {
    env,
    productTag,
    quotaTag,
    action,
    // The usual amount and subject are checked inline, without a call. -0 is 0.
    amount:
      typeof amount === "number" && amount >= 0 && amount <= AMOUNT_MAX && action !== "reset"
        ? amount + 0
        : amountOf(amount, action, input),
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
  };
  if (request.session !== null && request.subject !== null) throw explain(input);
  if (membersOf(input) !== knownMembersOf(input, requiredCount)) {
    refuseUnknown(input, requiredCount);
  }
  return request;
}

function membersOf(input: Record<string, unknown>): number {
  let members = 0;
  for (const _ in input) members++;
  return members;
}

/**
 * The given fields: if their number equals that of the members, none is unknown, and no name is
 * compared.
 */
function knownMembersOf(input: Record<string, unknown>, requiredCount: number): number {
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
const REQUIRED = 4;

function refuseUnknown(input: Record<string, unknown>, requiredCount: number): void {
  const known = FIELDS.slice(REQUIRED - requiredCount);
  for (const name in input) if (!known.some((field) => field === name)) throw explain(input);
}

function amountOf(value: unknown, action: Action, input: Record<string, unknown>): number {
  const amount = typeof value === "number" ? value : given(value);
  if (!isAmount(amount, action)) throw explain(input);
  return action === "reset" ? 0 : (amount ?? 1);
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

function isTtl(value: unknown): value is number | null {
  if (value === null) return true;
  if (typeof value !== "number" || !Number.isInteger(value)) return false;
  return value >= ANSWER_TTL_MS_MIN && value <= ANSWER_TTL_MS;
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

/** `{}`, undefined and absence are the same. */
function given(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === "object" && isEmptyRecord(value)) return null;
  return value === null ? NULL : value;
}

/** Stands for an explicit null, which no field accepts. */
const NULL = Symbol("null");

function isAction(value: unknown): value is Action {
  switch (value) {
    case "check":
    case "increment":
    case "decrement":
    case "set":
    case "reset":
    case "grant":
      return true;
    default:
      return false;
  }
}

function isAmount(value: unknown, action: Action): value is number | null {
  if (value === null) return action !== "set" && action !== "grant";
  return typeof value === "number" && value >= 0 && value <= AMOUNT_MAX;
}

function isText(value: unknown): value is string | null {
  return value === null || checkText(value) === null;
}

function isSubject(value: unknown): value is SubjectInput | null {
  if (typeof value === "string") return checkText(value) === null;
  return value === null || (isRecord(value) && checkMembers(value, "subject", 0).length === 0);
}

function isSession(value: unknown): value is SessionInput | null {
  if (value === null) return true;
  if (!isRecord(value)) return false;
  for (const name in value) if (name !== "tag" && name !== "token") return false;
  return checkText(value["tag"]) === null && typeof value["token"] === "string";
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

/** All problems of an input that the parser refused. */
function explain(input: Record<string, unknown>): ValidationError {
  const issues: Issue[] = [];
  const refuse = (path: string, message: string | null) => {
    if (message !== null) issues.push({ path, message });
  };
  for (const name in input) if (!isField(name)) refuse(shownName(name), unknownField(name, FIELDS));
  for (const name of ["env", "product_tag", "quota_tag"]) {
    refuse(name, input[name] === undefined ? "is required: a string" : checkText(input[name]));
  }
  refuse("action", explainAction(input["action"]));
  refuse("amount", explainAmount(given(input["amount"]), input["action"]));
  for (const name of ["cache", "idempotency_key", "rule"]) {
    const value = given(input[name]);
    if (!isText(value)) refuse(name, checkText(unmark(value)));
  }
  refuse("idempotency_ttl_ms", explainTtl(given(input["idempotency_ttl_ms"]), input));
  explainSubject(input, refuse);
  if (!isSession(given(input["session"]))) {
    refuse("session", `expects { tag, token }, two strings, got ${kindOf(input["session"])}`);
  }
  if (issues.length === 0) refuse("input", "expects plain own fields");
  return new ValidationError(issues);
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

const unmark = (value: unknown): unknown => (value === NULL ? null : value);

function explainAction(value: unknown): string | null {
  if (isAction(value)) return null;
  const wanted = `expects one of ${ACTIONS.join(", ")}`;
  if (typeof value !== "string") return `${wanted}; got ${show(value)}`;
  const near = nearest(value, ACTIONS);
  return `${wanted}; got ${show(value)}${near === null ? "" : `: did you mean ${near}?`}`;
}

function explainAmount(value: unknown, action: unknown): string | null {
  if (!isAction(action) || isAmount(value, action)) return null;
  if (value === null) return `is required for ${action}`;
  const wanted = `expects a number from 0 to ${AMOUNT_MAX}`;
  return `${wanted}, got ${show(unmark(value))}`;
}

function explainTtl(value: unknown, input: Record<string, unknown>): string | null {
  if (!isTtl(value)) {
    const wanted = `expects an integer from ${ANSWER_TTL_MS_MIN} to ${ANSWER_TTL_MS}`;
    return `${wanted}, got ${show(unmark(value))}`;
  }
  const hasKey = given(input["idempotency_key"]) !== null;
  return value === null || hasKey ? null : "has no meaning without idempotency_key";
}

function explainSubject(
  input: Record<string, unknown>,
  refuse: (path: string, message: string | null) => void,
): void {
  const subject = given(input["subject"]);
  if (subject === null) return;
  if (given(input["session"]) !== null) {
    refuse("subject", "cannot be given with session: the session says who is counted");
  }
  for (const { path, message } of subjectIssues(unmark(subject))) refuse(path, message);
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

function invalid(path: string, message: string): DuctapeError {
  return new ValidationError([{ path, message }]);
}
