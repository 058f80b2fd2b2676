import { kindOf, show } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import type { SubjectInput } from "../define/subject.js";
import { subjectIssues, type SessionInput } from "../quota/input-fields.js";
import type { FeatureTarget } from "./answer.js";

/** Who asks for a feature: a session, or a subject. */
interface Caller {
  readonly session?: SessionInput | Empty | undefined;
  readonly subject?: SubjectInput | Empty | undefined;
}

/** The input of `feature.run`, the same as over HTTP. */
export interface FeatureRunInput extends FeatureTarget, Caller {
  /** In the form that the definition's `input` describes. */
  readonly input?: Readonly<Record<string, unknown>> | undefined;
  /** A cache that may repeat a denial. */
  readonly cache?: string | Empty | undefined;
}

/** The input of `feature.reserve`: the caller does the work. */
export interface FeatureReserveInput extends FeatureRunInput {
  /** An id of the caller's, 1 to 255 characters; the same id with the same input holds once. */
  readonly reservation?: string | Empty | undefined;
  /** How long the amounts stay reserved: 1000..86400000 ms. Default that of the definition. */
  readonly ttl_ms?: number | Empty | undefined;
}

/** The input of `feature.commit`. */
export interface FeatureCommitInput extends FeatureTarget, Caller {
  readonly reservation: string;
  /** The input of the reservation, if `settle` or `output` read it. */
  readonly input?: Readonly<Record<string, unknown>> | undefined;
  /** What the work gave: `$Result` in `settle` and `output`. */
  readonly result?: unknown;
}

/** The input of `feature.extend`. */
export interface FeatureExtendInput extends FeatureTarget {
  readonly reservation: string;
  /** Default that of the definition. */
  readonly ttl_ms?: number | Empty | undefined;
}

/** The input of `feature.release`. */
export interface FeatureReleaseInput extends FeatureTarget {
  readonly reservation: string;
  /** Why, for the log. */
  readonly reason?: string | Empty | undefined;
}

/** The input of `features.isEnabled`. */
export interface FeatureEnabledInput extends FeatureTarget, Caller {}

/** A parsed call of a feature; null where nothing is given. */
export interface FeatureRequest {
  readonly product_tag: string;
  readonly env: string;
  readonly feature_tag: string;
  readonly input: unknown;
  readonly session: SessionInput | null;
  readonly subject: SubjectInput | null;
  readonly cache: string | null;
  readonly reservation: string | null;
  readonly ttlMs: number | null;
  readonly result: unknown;
  readonly reason: string | null;
}

const TARGET = ["product_tag", "env", "feature_tag"] as const;
const CALLER = ["session", "subject"] as const;
const FIELDS = {
  run: [...TARGET, "input", ...CALLER, "cache"],
  reserve: [...TARGET, "input", ...CALLER, "cache", "reservation", "ttl_ms"],
  commit: [...TARGET, "reservation", "input", ...CALLER, "result"],
  extend: [...TARGET, "reservation", "ttl_ms"],
  release: [...TARGET, "reservation", "reason"],
  isEnabled: [...TARGET, ...CALLER],
} as const;

const TTL_MS = { least: 1_000, most: 86_400_000 };

/** The one parser of calls on features. Throws `VALIDATION`, with one issue for each field. */
export function parseFeatureRequest(call: keyof typeof FIELDS, given: unknown): FeatureRequest {
  const issues = new Issues();
  const fields = new Fields(given, "input", FIELDS[call], issues, "");
  const optional = (name: string) => (fields.get(name) === undefined ? null : fields.tag(name));
  const settles = call === "commit" || call === "extend" || call === "release";
  const request = {
    product_tag: fields.tag("product_tag"),
    env: fields.tag("env"),
    feature_tag: fields.tag("feature_tag"),
    input: fields.get("input"),
    session: sessionIn(fields),
    subject: subjectIn(fields),
    cache: optional("cache"),
    reservation: settles ? fields.tag("reservation") : optional("reservation"),
    ttlMs: ttlIn(fields),
    result: fields.get("result"),
    reason: optional("reason"),
  };
  if (request.session !== null && request.subject !== null) {
    fields.refuse("subject", "cannot be given with session: the session says who is counted");
  }
  issues.throwAny();
  return request;
}

function sessionIn(fields: Fields): SessionInput | null {
  const given = fields.get("session");
  if (given === undefined) return null;
  const session = new Fields(given, "session", ["tag", "token"], fields.issues);
  const token = session.get("token");
  if (typeof token !== "string") session.refuse("token", `expects a string, got ${kindOf(token)}`);
  return { tag: session.tag("tag"), token: typeof token === "string" ? token : "" };
}

function subjectIn(fields: Fields): SubjectInput | null {
  const subject = fields.get("subject");
  if (subject === undefined) return null;
  const wrong = subjectIssues(subject);
  for (const { path, message } of wrong) fields.issues.add(path, message);
  if (wrong.length > 0 || !isSubject(subject)) return null;
  return typeof subject === "string" ? subject : structuredClone(subject);
}

const isSubject = (value: unknown): value is SubjectInput =>
  typeof value === "string" || (typeof value === "object" && value !== null);

function ttlIn(fields: Fields): number | null {
  const value = fields.get("ttl_ms");
  if (value === undefined) return null;
  const isInteger = typeof value === "number" && Number.isInteger(value);
  if (isInteger && value >= TTL_MS.least && value <= TTL_MS.most) return value;
  const wanted = `expects an integer from ${TTL_MS.least} to ${TTL_MS.most}`;
  fields.refuse("ttl_ms", `${wanted}, got ${show(value)}`);
  return null;
}
