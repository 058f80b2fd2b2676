import { show } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import { parseUid } from "./identity.js";
import { parseIssuer, type IssuerBody, type IssuerInput } from "./issuer.js";
import type { Kind, Stamps } from "./kind.js";
import type { Changes } from "./patch.js";
import { anySample, type SessionData } from "./sample.js";
import { identifierOf, valueAt } from "./selector.js";
import { selectorPath } from "../base/text.js";

/** A unit of a token's life; a month is 30 days and a year 365. */
export type SessionPeriod = "seconds" | "minutes" | "hours" | "days" | "weeks" | "months" | "years";

const DAY_MS = 86_400_000;
const UNITS_MS: Readonly<Record<SessionPeriod, number>> = {
  seconds: 1_000,
  minutes: 60_000,
  hours: 3_600_000,
  days: DAY_MS,
  weeks: 7 * DAY_MS,
  months: 30 * DAY_MS,
  years: 365 * DAY_MS,
};
const PERIODS = Object.keys(UNITS_MS);

/** The longest life of a token, in milliseconds. */
export const LIFETIME_MS_MAX = 366 * DAY_MS;

/** The input of `sessions.create`: for our own sessions, or those of an outside issuer. */
export interface SessionDefinition extends IssuerInput {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** Sample data, which the data given to `start` must match. Required without an `issuer`. */
  readonly schema?: SessionData | undefined;
  /**
   * What identifies the user, such as `"$Session{userId}"`; `"$Session{sub}"` for an outside
   * issuer.
   */
  readonly selector?: string | Empty | undefined;
  /** How long a token lives, in `period`s; at most 366 days. Required without an `issuer`. */
  readonly expiry?: number | Empty | undefined;
  /** Default `"hours"`. */
  readonly period?: SessionPeriod | Empty | undefined;
  /**
   * Encrypts tokens, so that their holder cannot read the data. Default false: signed, but
   * readable.
   */
  readonly encrypted?: boolean | Empty | undefined;
}

/** The parsed part of a session definition. */
export interface SessionBody extends IssuerBody {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
  readonly schema: SessionData | null;
  readonly selector: string;
  /** Null for an outside issuer, whose tokens contain it. */
  readonly expiry: number | null;
  readonly period: SessionPeriod | null;
  readonly encrypted: boolean;
}

/** A session definition and its revision. */
export interface SessionView extends SessionBody, Stamps {}

/**
 * Identifies the sessions of a definition, so that those of a deleted one never become valid again.
 */
export interface SessionIdentity {
  readonly uid: string;
}

const OWN_FIELDS = ["schema", "expiry", "period", "encrypted"] as const;
const FIELDS = [
  "tag",
  "name",
  "description",
  "selector",
  ...OWN_FIELDS,
  "issuer",
  "audience",
  "algorithms",
  "public_key",
  "jwks",
] as const;

/** The kind of session definitions. */
export const SESSION: Kind<SessionBody, SessionIdentity> = {
  name: "session",
  id: "tag",
  path: "session.tag",
  missing: "SESSION_NOT_FOUND",
  fields: FIELDS,
  nullable: [],
  parse: parseSession,
  idOf: ({ tag }) => tag,
  merge: (body, fields) => ({ ...body, ...fields }),
  over: sessionOver,
  identify: (_body, before, making) => before?.identity ?? { uid: making.newUid() },
  readIdentity: (value) => ({ uid: parseUid(value) }),
};

/** How long its tokens live, in milliseconds; 0 for an outside issuer. */
export function lifetimeMsOf({ expiry, period }: SessionBody): number {
  return expiry === null || period === null ? 0 : expiry * UNITS_MS[period];
}

/**
 * Merges fields into a definition and drops what contradicts them: our own session has no issuer,
 * and an issuer has either a key or a key set.
 */
function sessionOver(body: SessionBody, fields: Changes["fields"]): object {
  const says = (...names: string[]) => names.some((name) => (fields[name] ?? null) !== null);
  const gone: string[] = [];
  if (body.issuer === null && says("issuer")) gone.push(...OWN_FIELDS, "selector");
  if (body.issuer !== null && !says("issuer") && says("schema", "expiry")) {
    gone.push("issuer", "audience", "algorithms", "public_key", "jwks", "selector");
  }
  if (says("public_key")) gone.push("jwks");
  if (says("jwks")) gone.push("public_key");
  const kept = Object.entries(body).filter(([name]) => !gone.includes(name));
  return { ...Object.fromEntries(kept), ...fields };
}

function parseSession(input: unknown): SessionBody {
  const issues = new Issues();
  const fields = new Fields(input, "session", FIELDS, issues, "");
  const tag = fields.tag("tag");
  const common = {
    tag,
    name: fields.name("name", tag),
    description: fields.name("description", ""),
  };
  const issuer = parseIssuer(fields);
  const body = issuer.issuer === null ? parseOwn(fields) : parseOutside(fields);
  issues.throwAny();
  return { ...common, ...body, ...issuer };
}

type OwnBody = Pick<SessionBody, "schema" | "selector" | "expiry" | "period" | "encrypted">;

function parseOwn(fields: Fields): OwnBody {
  const schema = fields.get("schema") ?? undefined;
  const before = fields.issues.list.length;
  if (schema === undefined) fields.refuse("schema", "is required: sample data, an object");
  const sample = schema === undefined ? {} : anySample(schema, "schema", fields.issues);
  const isRight = fields.issues.list.length === before;
  const selector = parseSelector(fields, null);
  const path = selectorPath(selector);
  if (isRight && path !== null && identifierOf(valueAt(sample, path)) === null) {
    fields.refuse("selector", `expects a text or an integer of schema, got ${show(selector)}`);
  }
  const period = parsePeriod(fields);
  return {
    schema: sample,
    selector,
    expiry: parseExpiry(fields, period),
    period,
    encrypted: fields.get("encrypted") === null ? false : fields.flag("encrypted", false),
  };
}

function parseOutside(fields: Fields): OwnBody {
  for (const field of OWN_FIELDS) {
    const value = fields.get(field) ?? undefined;
    if (value === undefined || (field === "encrypted" && value === false)) continue;
    fields.refuse(field, "does not apply with issuer, whose tokens contain it");
  }
  const selector = parseSelector(fields, "$Session{sub}");
  return { schema: null, selector, expiry: null, period: null, encrypted: false };
}

function parseSelector(fields: Fields, otherwise: string | null): string {
  const value = fields.get("selector") ?? otherwise;
  if (typeof value === "string" && selectorPath(value) !== null) return value;
  const got = value === null ? "is required:" : `got ${show(value)};`;
  fields.refuse("selector", `${got} expects a selector such as "$Session{userId}"`);
  return "";
}

function parsePeriod(fields: Fields): SessionPeriod {
  const value = fields.get("period") ?? "hours";
  if (isPeriod(value)) return value;
  fields.refuse("period", `expects one of ${PERIODS.join(", ")}, got ${show(value)}`);
  return "hours";
}

function isPeriod(value: unknown): value is SessionPeriod {
  return typeof value === "string" && PERIODS.includes(value);
}

function parseExpiry(fields: Fields, period: SessionPeriod): number {
  const value = fields.get("expiry");
  const most = Math.floor(LIFETIME_MS_MAX / UNITS_MS[period]);
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most) {
    return value;
  }
  const got = value === undefined ? "is required:" : `got ${show(value)};`;
  fields.refuse("expiry", `${got} expects an integer from 1 to ${most} ${period}`);
  return 1;
}
