import { show, ValidationError } from "./errors.js";
import { Issues, parseName } from "./field.js";
import { parseUid } from "./identity.js";
import type { Kind, Stamps } from "./kind.js";
import { isEmptyRecord, isRecord, type Empty } from "./request.js";
import { checkText } from "./text.js";

/** What `environments.create` takes. */
export interface EnvironmentInput {
  readonly slug: string;
  readonly env_name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** Default true; an inactive one refuses every action. */
  readonly active?: boolean | Empty | undefined;
}

/** The parsed part of an environment. */
export interface EnvironmentBody {
  readonly slug: string;
  readonly env_name: string;
  readonly description: string;
  /** An inactive environment refuses every action. */
  readonly active: boolean;
}

/** An environment of a product. */
export interface Environment extends EnvironmentBody, Stamps {}

/** Names the counters of an environment. */
export interface EnvironmentIdentity {
  readonly uid: string;
}

const FIELDS = ["slug", "env_name", "description", "active"] as const;

/** What environments are made of. */
export const ENVIRONMENT: Kind<EnvironmentBody, EnvironmentIdentity> = {
  name: "environment",
  id: "slug",
  path: "env",
  missing: "ENVIRONMENT_NOT_FOUND",
  fields: FIELDS,
  parse: parseEnvironment,
  idOf: ({ slug }) => slug,
  merge: (body, changes) => ({ ...body, ...changes }),
  identify: (_body, before, newUid) => before?.identity ?? { uid: newUid() },
  readIdentity: (value) => ({ uid: parseUid(value) }),
};

function parseEnvironment(input: unknown): EnvironmentBody {
  const issues = new Issues();
  if (!isRecord(input)) {
    const message = `wants an object, got ${show(input)}`;
    throw new ValidationError([{ path: "environment", message }]);
  }
  issues.unknown(input, FIELDS);
  issues.add("slug", checkText(input["slug"]));
  const slug = String(input["slug"]);
  const env_name = parseName(input, "env_name", slug, issues);
  const description = parseName(input, "description", "", issues);
  const given = input["active"];
  const active = given === undefined || isEmptyRecord(given) ? true : given;
  if (typeof active !== "boolean") issues.add("active", `wants true or false, got ${show(active)}`);
  issues.throwAny();
  return { slug, env_name, description, active: active === true };
}
