import type { Catalogue, PlacedSession } from "../define/catalogue.js";
import { DuctapeError, SessionError, show, StoreError, ValidationError } from "../base/errors.js";
import { Fields, Issues } from "../base/field.js";
import { revokedKey } from "../base/key.js";
import { likeSample, type SessionData } from "../define/sample.js";
import { identifierOf, valueAt } from "../define/selector.js";
import type { Clock } from "../base/call.js";
import type { DocumentWrite } from "../stores/store.js";
import { checkText, pathText, selectorPath } from "../base/text.js";
import type { Gate } from "../base/gate.js";
import { accessToken, type AccessToken } from "./access.js";
import { exchange, firstToken, newLogin, parseToken, type Login } from "./login.js";
import { loginWrites, type Logins } from "./logins.js";
import { randomText } from "./seal.js";
import type { SigningKeys } from "./signing.js";
import type { Verifier } from "./verifier.js";

/** The session definition and the environment of a call. */
export interface SessionTarget {
  readonly product: string;
  /** Slug of an environment. */
  readonly env: string;
  /** Tag of the session definition. */
  readonly tag: string;
}

/** The input of `start`. */
export interface StartInput extends SessionTarget {
  /** Matches the sample of the definition; the value at its selector is required. */
  readonly data: SessionData;
}

/** The result of `start` and `refresh`: keep both tokens secret. */
export interface StartedSession {
  /** The access token, for calls. */
  readonly token: string;
  /** Exchanged once for the next pair, until 30 days after `expiresAt`. */
  readonly refreshToken: string;
  readonly sessionId: string;
  /** When `token` expires, ISO 8601 in UTC. */
  readonly expiresAt: string;
}

/** The input of `revoke`: either `sessionId` or `identifier`. */
export interface RevokeInput extends SessionTarget {
  readonly sessionId?: string | undefined;
  /** Revokes all sessions of this identifier, the value at the selector. */
  readonly identifier?: string | undefined;
}

/** The input of `list`. */
export interface ListInput extends SessionTarget {
  /** Only the sessions of this identifier, the value at the selector. */
  readonly identifier?: string | undefined;
  /** The most sessions on a page, 1..1000. Default 100. */
  readonly limit?: number | undefined;
  /** `next` from the previous page. */
  readonly after?: string | undefined;
}

/** A session in a list; instants are ISO 8601 in UTC. */
export interface ListedSession {
  readonly sessionId: string;
  readonly identifier: string;
  readonly createdAt: string;
  readonly refreshedAt: string;
  /** When the last issued access token expires. */
  readonly expiresAt: string;
  readonly revokedAt: string | null;
}

/** A page of sessions, in the order of their ids. */
export interface SessionPage {
  readonly sessions: readonly ListedSession[];
  /** The `after` of the next page; null on the last page. */
  readonly next: string | null;
}

/** What {@link UserSessions} depends on. */
interface UserSessionsParts {
  readonly logins: Logins;
  readonly catalogue: Catalogue;
  readonly signing: SigningKeys;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly gate: Gate;
}

const ATTEMPTS_MAX = 20;
const PAGE_MAX = 1_000;
const TARGET = ["product", "env", "tag"] as const;

/**
 * Sessions of users: `ductape.processor.sessions`. Every call throws `VALIDATION` for a wrong or
 * unknown field, `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_INACTIVE`,
 * `SESSION_NOT_FOUND`, and the faults of the store. No error contains a token or the data of a
 * session.
 */
export class UserSessions {
  readonly #parts: UserSessionsParts;

  constructor(parts: UserSessionsParts) {
    this.#parts = parts;
  }

  /**
   * Starts a session. Throws `SUBJECT_REQUIRED` if `data` has no value for the definition's
   * selector, and `VALIDATION` if it does not match the sample.
   */
  start(input: StartInput): Promise<StartedSession> {
    const dataIn = (fields: Fields) => fields.get("data") ?? {};
    return this.#call(input, ["data"], dataIn, (session, given) =>
      this.#start(ownOf(session), given),
    );
  }

  async #start(session: PlacedSession, given: unknown): Promise<StartedSession> {
    const issues = new Issues();
    const { schema, selector } = session.definition;
    const data = likeSample(given, schema ?? {}, "data", issues);
    issues.throwAny();
    const identifier = identifierIn(data, selector);
    const sessionId = randomText(16);
    const refresh = firstToken(sessionId);
    const { signing, clock, logins } = this.#parts;
    const nowMs = clock();
    const access = await accessToken(session, { sessionId, identifier, data }, signing, nowMs);
    const login = newLogin(refresh, identifier, data, nowMs, access.endsMs);
    if (await logins.write(session, sessionId, login, 0)) {
      return started(access, refresh.text, sessionId);
    }
    throw new StoreError("STORE_UNAVAILABLE", "the id of the new session is taken; try again");
  }

  /**
   * A copy of the data of a session, by its access token. Throws like `quota.run` for a session.
   */
  decrypt(input: SessionTarget & { readonly token: string }): Promise<SessionData> {
    const tokenIn = (fields: Fields) => secretOf(fields, "token");
    return this.#call(input, ["token"], tokenIn, async ({ product, env, tag }, token) => {
      const { data } = await this.#parts.verifier.identify(product, env, tag, token);
      return structuredClone(data);
    });
  }

  /**
   * Exchanges a refresh token for the next pair, with the same data. For 60 s after that, and as
   * long as the next refresh token has not been used, it returns the same pair again; any other
   * second use revokes the session. Throws `SESSION_INVALID` and `SESSION_REVOKED`.
   */
  refresh(input: SessionTarget & { readonly refreshToken: string }): Promise<StartedSession> {
    const tokenIn = (fields: Fields) => parseToken(secretOf(fields, "refreshToken"));
    return this.#call(input, ["refreshToken"], tokenIn, (session, token) =>
      this.#refresh(ownOf(session), token),
    );
  }

  async #refresh(
    session: PlacedSession,
    token: ReturnType<typeof parseToken>,
  ): Promise<StartedSession> {
    if (token === null) throw refreshRefused("unknown");
    const { signing, clock, logins } = this.#parts;
    const { sessionId } = token;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const stored = await logins.find(session, sessionId);
      if (stored === null) throw refreshRefused("unknown");
      const { login, revision } = stored;
      const nowMs = clock();
      const exchanged = exchange(login, token, nowMs);
      if (exchanged.outcome === "reused") await this.#revoke(session, sessionId);
      if (exchanged.outcome !== "exchanged") throw refreshRefused(exchanged.outcome);
      const { successor, data } = exchanged;
      const whose = { sessionId, identifier: login.identifier, data };
      const access = await accessToken(session, whose, signing, nowMs);
      const token_ends_ms = Math.max(login.token_ends_ms, access.endsMs);
      const next = { ...exchanged.login, token_ends_ms };
      // Another refresh of the session was quicker, so this token is checked again.
      if (!(await logins.write(session, sessionId, next, revision))) continue;
      return started(access, successor.text, sessionId);
    }
    throw new StoreError("STORE_UNAVAILABLE", "the session kept changing; try again");
  }

  /**
   * Ends a session, or all of one identifier: their tokens are refused at once in this process and
   * within a second in every other. Returns how many it ended, not counting sessions that are
   * over, already revoked or unknown.
   */
  revoke(input: RevokeInput): Promise<{ readonly revoked: number }> {
    return this.#call(input, ["sessionId", "identifier"], revocationIn, (session, revocation) =>
      this.#revokeEach(ownOf(session), revocation),
    );
  }

  async #revokeEach(
    session: PlacedSession,
    { sessionId, identifier }: ReturnType<typeof revocationIn>,
  ): Promise<{ readonly revoked: number }> {
    let revoked = 0;
    if (sessionId !== null) revoked += await this.#revoke(session, sessionId);
    if (identifier !== null) {
      for await (const id of this.#parts.logins.idsOf(session, identifier)) {
        revoked += await this.#revoke(session, id);
      }
    }
    return { revoked };
  }

  /** A page of the sessions that can still be used or refreshed, including revoked ones. */
  list(input: ListInput): Promise<SessionPage> {
    return this.#call(input, ["identifier", "limit", "after"], pageIn, async (session, page) => {
      const { logins, next } = await this.#parts.logins.page(ownOf(session), page);
      return { sessions: logins.map(([id, login]) => listed(id, login)), next };
    });
  }

  /**
   * A call on the sessions of one definition. Throws all that is wrong with the input before it
   * waits for anything. `known` are its fields beside those of a target, which `parse` reads.
   */
  async #call<Parsed, T>(
    input: unknown,
    known: readonly string[],
    parse: (fields: Fields) => Parsed,
    work: (session: PlacedSession, parsed: Parsed) => Promise<T>,
  ): Promise<T> {
    const issues = new Issues();
    const fields = new Fields(input, "input", [...TARGET, ...known], issues, "");
    const parsed = parse(fields);
    const [product, env, tag] = [fields.tag("product"), fields.tag("env"), fields.tag("tag")];
    issues.throwAny();
    const { gate, catalogue } = this.#parts;
    return gate.pass(async () => work(await catalogue.locateSession(product, env, tag), parsed));
  }

  /** Revokes one session; returns 0 if there is nothing to revoke. */
  async #revoke(session: PlacedSession, sessionId: string): Promise<0 | 1> {
    const { catalogue, clock, logins } = this.#parts;
    let revoked: 0 | 1 = 0;
    await catalogue.change(async () => {
      const stored = await logins.find(session, sessionId);
      revoked = stored === null || stored.login.revoked_ms !== null ? 0 : 1;
      if (stored === null || revoked === 0) return { writes: [] };
      const { login, revision } = stored;
      const { token_ends_ms } = login;
      const value = JSON.stringify({ ends_ms: token_ends_ms });
      const isLive = token_ends_ms > clock();
      const watched: DocumentWrite[] = isLive
        ? [{ key: revokedKey(session, sessionId), ifRevision: 0, value, expiresMs: token_ends_ms }]
        : [];
      const ended = { ...login, revoked_ms: clock() };
      return { writes: [...loginWrites(session, sessionId, ended, revision), ...watched] };
    });
    return revoked;
  }
}

/** A definition whose sessions start and end here. Throws `VALIDATION` for any other. */
function ownOf(session: PlacedSession): PlacedSession {
  if (session.definition.issuer === null) return session;
  const message = `session ${show(session.tag)} has an outside issuer, which manages its sessions`;
  throw new ValidationError([{ path: "tag", message }]);
}

function revocationIn(fields: Fields) {
  const sessionId = optionalText(fields, "sessionId");
  const identifier = optionalText(fields, "identifier");
  if ((sessionId === null) === (identifier === null)) {
    fields.refuse("sessionId", "expects either sessionId or identifier");
  }
  return { sessionId, identifier };
}

function pageIn(fields: Fields) {
  const identifier = optionalText(fields, "identifier");
  const after = optionalText(fields, "after");
  return { identifier, limit: limitOf(fields), after };
}

function started(
  { token, endsMs }: AccessToken,
  refreshToken: string,
  sessionId: string,
): StartedSession {
  return { token, refreshToken, sessionId, expiresAt: new Date(endsMs).toISOString() };
}

function listed(sessionId: string, login: Login): ListedSession {
  const iso = (atMs: number) => new Date(atMs).toISOString();
  return {
    sessionId,
    identifier: login.identifier,
    createdAt: iso(login.created_ms),
    refreshedAt: iso(login.refreshed_ms),
    expiresAt: iso(login.token_ends_ms),
    revokedAt: login.revoked_ms === null ? null : iso(login.revoked_ms),
  };
}

function identifierIn(data: SessionData, selector: string): string {
  const path = selectorPath(selector) ?? [];
  const value = valueAt(data, path);
  const at = `data.${path.join(".")}`;
  if (value === undefined) {
    const message = `${at}: is required: the session is of whom ${pathText(path)} names`;
    throw new DuctapeError("SUBJECT_REQUIRED", message, {
      issues: [{ path: at, message: "is missing" }],
    });
  }
  const identifier = identifierOf(value);
  if (identifier !== null) return identifier;
  const message = "expects an integer, or a text of 1 to 255 characters";
  throw new ValidationError([{ path: at, message }]);
}

/** A token, which no message shows. */
function secretOf(fields: Fields, field: string): string {
  const value = fields.get(field);
  if (typeof value === "string") return value;
  fields.refuse(field, "expects a string");
  return "";
}

function optionalText(fields: Fields, field: string): string | null {
  const value = fields.get(field);
  if (value === undefined) return null;
  const wrong = checkText(value);
  fields.refuse(field, wrong);
  return wrong === null && typeof value === "string" ? value : "";
}

function limitOf(fields: Fields): number {
  const value = fields.get("limit") ?? 100;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= PAGE_MAX) {
    return value;
  }
  fields.refuse("limit", `expects an integer from 1 to ${PAGE_MAX}, got ${show(value)}`);
  return 1;
}

function refreshRefused(outcome: "unknown" | "revoked" | "reused"): SessionError {
  if (outcome !== "unknown") {
    return new SessionError("SESSION_REVOKED", "refreshToken: its session has been revoked");
  }
  const message = "refreshToken: is not a valid refresh token of this session";
  return new SessionError("SESSION_INVALID", message);
}
