import { z } from "zod";
import {
  answer,
  DATA,
  IF_REVISION,
  INSTANT,
  NAME,
  NEXT,
  object,
  optional,
  STAMPS,
  TEXT,
} from "./part.js";

const PERIOD = z.enum(["seconds", "minutes", "hours", "days", "weeks", "months", "years"]);
const ALGORITHM = z.enum([
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
]);
const KEY = z.union([z.string(), DATA]).optional();

const OPTIONS = {
  name: NAME,
  description: NAME,
  schema: DATA.optional().meta({ description: "Sample data of a session." }),
  selector: optional(z.string()).meta({
    description: 'What identifies the user, such as "$Session{userId}".',
  }),
  expiry: optional(z.number()).meta({ description: "How long a token lives, in `period`s." }),
  period: optional(PERIOD),
  encrypted: optional(z.boolean()),
  issuer: optional(z.string()).meta({ description: "The `iss` of tokens of an outside issuer." }),
  audience: optional(z.string()),
  algorithms: optional(z.array(ALGORITHM)),
  public_key: KEY,
  jwks: KEY,
};

/** The input that creates a session definition. */
export const SESSION = object({ tag: TEXT, ...OPTIONS }).meta({ id: "Session" });

/** A change of a session definition. */
export const SESSION_PATCH = object({
  tag: optional(TEXT),
  name: OPTIONS.name.nullable(),
  description: OPTIONS.description.nullable(),
  schema: OPTIONS.schema.nullable(),
  selector: OPTIONS.selector.nullable(),
  expiry: OPTIONS.expiry.nullable(),
  period: OPTIONS.period.nullable(),
  encrypted: OPTIONS.encrypted.nullable(),
  issuer: OPTIONS.issuer.nullable(),
  audience: OPTIONS.audience.nullable(),
  algorithms: OPTIONS.algorithms.nullable(),
  public_key: KEY.nullable(),
  jwks: KEY.nullable(),
  if_revision: IF_REVISION,
}).meta({ id: "SessionPatch" });

const KEY_VIEW = z.union([z.string(), DATA]).nullable();

/** A session definition in answers. */
export const SESSION_VIEW = answer({
  tag: z.string(),
  name: z.string(),
  description: z.string(),
  schema: DATA.nullable(),
  selector: z.string(),
  expiry: z.number().nullable(),
  period: PERIOD.nullable(),
  encrypted: z.boolean(),
  issuer: z.string().nullable(),
  audience: z.string().nullable(),
  algorithms: z.array(ALGORITHM),
  public_key: KEY_VIEW,
  jwks: KEY_VIEW,
  ...STAMPS,
}).meta({ id: "SessionView" });

/** A page of session definitions, by tag. */
export const SESSIONS_DEFINED = answer({ sessions: z.array(SESSION_VIEW), next: NEXT }).meta({
  id: "SessionDefinitionsPage",
});

/** The description of a field under its old name, which stays for a while. */
function before(name: string) {
  return { description: `Replaced by \`${name}\`.`, deprecated: true };
}

const TARGET = {
  product: TEXT,
  env: TEXT.meta({ description: "Slug of an environment." }),
  tag: TEXT.meta({ description: "Tag of the session definition." }),
};

/** The input of `/v1/sessions/start`. */
export const START_INPUT = object({ ...TARGET, data: DATA }).meta({ id: "StartInput" });

/** The input of `/v1/sessions/decrypt`. */
export const DECRYPT_INPUT = object({ ...TARGET, token: z.string() }).meta({ id: "DecryptInput" });

/** The input of `/v1/sessions/refresh`. */
export const REFRESH_INPUT = object({
  ...TARGET,
  refresh_token: z.string().optional().meta({ description: "Required." }),
  refreshToken: z.string().optional().meta(before("refresh_token")),
}).meta({ id: "RefreshInput" });

/** The input of `/v1/sessions/revoke`: one of `session_id` and `identifier`. */
export const REVOKE_INPUT = object({
  ...TARGET,
  session_id: TEXT.optional().meta({ description: "One of this and `identifier`." }),
  sessionId: TEXT.optional().meta(before("session_id")),
  identifier: TEXT.optional(),
}).meta({ id: "RevokeInput" });

/** The input of `/v1/sessions/list`. */
export const LIST_INPUT = object({
  ...TARGET,
  identifier: TEXT.optional(),
  limit: z.number().optional().meta({ minimum: 1, maximum: 1000 }),
  after: TEXT.optional(),
}).meta({ id: "ListInput" });

/** The input of `/v1/sessions/rotate`. */
export const ROTATE_INPUT = object({ product: TEXT, env: TEXT }).meta({ id: "RotateInput" });

/** The answer of `start` and `refresh`. */
export const STARTED = answer({
  token: z.string(),
  refresh_token: z.string(),
  session_id: z.string(),
  expires_at: INSTANT,
  refreshToken: z.string().meta(before("refresh_token")),
  sessionId: z.string().meta(before("session_id")),
  expiresAt: INSTANT.meta(before("expires_at")),
}).meta({ id: "StartedSession" });

/** The data of a session. */
export const SESSION_DATA = DATA.meta({ id: "SessionData" });

/** How many sessions were revoked. */
export const REVOKED = answer({ revoked: z.int().min(0) }).meta({ id: "Revoked" });

/** The id of a new signing key. */
export const ROTATED = answer({ kid: z.string() }).meta({ id: "Rotated" });

/** A page of sessions, by id. */
export const SESSIONS_PAGE = answer({
  sessions: z.array(
    answer({
      session_id: z.string(),
      identifier: z.string(),
      created_at: INSTANT,
      refreshed_at: INSTANT,
      expires_at: INSTANT,
      revoked_at: INSTANT.nullable(),
      sessionId: z.string().meta(before("session_id")),
      createdAt: INSTANT.meta(before("created_at")),
      refreshedAt: INSTANT.meta(before("refreshed_at")),
      expiresAt: INSTANT.meta(before("expires_at")),
      revokedAt: INSTANT.nullable().meta(before("revoked_at")),
    }),
  ),
  next: NEXT,
}).meta({ id: "SessionsPage" });
