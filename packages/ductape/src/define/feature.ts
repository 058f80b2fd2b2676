import { show } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import { parseInputBody, type InputBody, type InputField } from "./feature-input.js";
import { checkPaths } from "./feature-paths.js";
import { parseSequence, type SequenceInput, type SequenceStep } from "./feature-sequence.js";
import type { Kind, Stamps } from "./kind.js";
import { parseUses, type QuotaUse, type QuotaUseInput } from "./quota-use.js";
import { parseTemplate, type Template } from "./template.js";

/** A handler that is called over HTTP with a signed request. */
export interface HandlerInput {
  /** `http:` or `https:`. */
  readonly url: string;
  /** How long a call may take: 1..600,000 ms. Default 30,000. */
  readonly timeout_ms?: number | Empty | undefined;
}

/** A parsed {@link HandlerInput}. */
export interface HandlerPlace {
  readonly url: string;
  readonly timeout_ms: number;
}

/** The input of `features.create`. */
export interface FeatureInput {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** The fields of its input by name. Default: it takes none. */
  readonly input?: Readonly<Record<string, InputField>> | undefined;
  /** The quotas that it uses, reserved as one decision before anything else. */
  readonly quotas?: readonly QuotaUseInput[] | Empty | undefined;
  /** Further quotas and other features, in the order of their `parents`. */
  readonly sequence?: readonly SequenceInput[] | Empty | undefined;
  /** Default: the result of the handler. */
  readonly output?: { readonly [name: string]: Template } | undefined;
  /** Where to call the handler over HTTP, if none is registered in the process. */
  readonly handler?: HandlerInput | Empty | undefined;
  /** How long its amounts stay reserved without a heartbeat: 1 s..24 h. Default 60,000 ms. */
  readonly ttl_ms?: number | Empty | undefined;
}

/** The parsed part of a feature's definition. */
export interface FeatureBody {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
  readonly input: InputBody;
  readonly quotas: readonly QuotaUse[];
  readonly sequence: readonly SequenceStep[];
  readonly output: { readonly [name: string]: Template } | null;
  readonly handler: HandlerPlace | null;
  readonly ttl_ms: number;
}

/** A feature and its revision. */
export interface Feature extends FeatureBody, Stamps {}

const FIELDS = [
  "tag",
  "name",
  "description",
  "input",
  "quotas",
  "sequence",
  "output",
  "handler",
  "ttl_ms",
] as const;
const URL_CHARS_MAX = 2_000;
const TIMEOUT_MS = { least: 1, most: 600_000, otherwise: 30_000 };
const TTL_MS = { least: 1_000, most: 86_400_000, otherwise: 60_000 };

/** The kind of features. They own no counters, so they need no identity. */
export const FEATURE: Kind<FeatureBody, Empty> = {
  name: "feature",
  id: "tag",
  path: "feature_tag",
  missing: "FEATURE_NOT_FOUND",
  fields: FIELDS,
  nullable: [],
  parse: parseFeature,
  idOf: ({ tag }) => tag,
  merge: (body, fields) => ({ ...body, ...fields }),
  identify: () => ({}),
  readIdentity: () => ({}),
};

function parseFeature(input: unknown): FeatureBody {
  const issues = new Issues();
  const fields = new Fields(input, "feature", FIELDS, issues, "");
  const tag = fields.tag("tag");
  const body = {
    tag,
    name: fields.name("name", tag),
    description: fields.name("description", ""),
    input: parseInputBody(fields),
    quotas: parseUses(fields),
    sequence: parseSequence(fields),
    output: parseOutput(fields),
    handler: parseHandler(fields),
    ttl_ms: parseMs(fields, "ttl_ms", TTL_MS),
  };
  if (issues.list.length === 0) checkPaths(body, issues);
  issues.throwAny();
  return body;
}

function parseOutput(feature: Fields): FeatureBody["output"] {
  const given = feature.get("output") ?? null;
  if (given === null) return null;
  const output = parseTemplate(given, feature.at("output"), feature.issues);
  if (typeof output === "object") return output;
  feature.refuse("output", `expects an object, got ${show(given)}`);
  return null;
}

function parseHandler(feature: Fields): HandlerPlace | null {
  const given = feature.get("handler") ?? null;
  if (given === null) return null;
  const names = ["url", "timeout_ms"];
  const fields = new Fields(given, feature.at("handler"), names, feature.issues);
  return { url: parseUrl(fields), timeout_ms: parseMs(fields, "timeout_ms", TIMEOUT_MS) };
}

function parseUrl(fields: Fields): string {
  const value = fields.get("url");
  const isUrl = typeof value === "string" && value.length <= URL_CHARS_MAX && URL.canParse(value);
  const url = isUrl ? new URL(value) : null;
  const isPlain = url !== null && url.username === "" && url.password === "" && url.hash === "";
  if (isUrl && isPlain && /^https?:$/.test(url.protocol)) return value;
  const wanted = "expects an http or https URL without a user, a password or a fragment";
  fields.refuse("url", `${wanted}, got ${url?.password ? "one with a password" : show(value)}`);
  return "";
}

function parseMs(
  fields: Fields,
  name: "timeout_ms" | "ttl_ms",
  { least, most, otherwise }: typeof TTL_MS,
): number {
  const value = fields.get(name) ?? null;
  if (value === null) return otherwise;
  const isInteger = typeof value === "number" && Number.isInteger(value);
  if (isInteger && value >= least && value <= most) return value;
  const wanted = `expects milliseconds, an integer from ${least} to ${most}`;
  fields.refuse(name, `${wanted}, got ${show(value)}`);
  return otherwise;
}
