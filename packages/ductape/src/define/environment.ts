import { Fields, Issues, type Empty } from "../base/field.js";
import { parseUid } from "./identity.js";
import type { Kind, Stamps } from "./kind.js";

/** The input of `environments.create`. */
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

/** Identifies the counters of an environment. */
export interface EnvironmentIdentity {
  readonly uid: string;
}

const FIELDS = ["slug", "env_name", "description", "active"] as const;

/** The kind of environments. */
export const ENVIRONMENT: Kind<EnvironmentBody, EnvironmentIdentity> = {
  name: "environment",
  id: "slug",
  path: "env",
  missing: "ENVIRONMENT_NOT_FOUND",
  fields: FIELDS,
  nullable: [],
  parse: parseEnvironment,
  idOf: ({ slug }) => slug,
  merge: (body, fields) => ({ ...body, ...fields }),
  identify: (_body, before, making) => before?.identity ?? { uid: making.newUid() },
  readIdentity: (value) => ({ uid: parseUid(value) }),
};

function parseEnvironment(input: unknown): EnvironmentBody {
  const issues = new Issues();
  const fields = new Fields(input, "environment", FIELDS, issues, "");
  const slug = fields.tag("slug");
  const env_name = fields.name("env_name", slug);
  const description = fields.name("description", "");
  const active = fields.flag("active", true);
  issues.throwAny();
  return { slug, env_name, description, active };
}
