import { NotFoundError, show, ValidationError, type ErrorCode } from "../base/errors.js";
import type { Changes } from "./patch.js";
import { isRecord } from "../base/json.js";

/** The fields of every stored definition. Instants are ISO 8601 in UTC. */
export interface Stamps {
  /** Increases with every change, from 1. */
  readonly revision: number;
  readonly created_at: string;
  readonly updated_at: string;
}

/** The kinds; each is the first part of its keys. */
export type KindName = "product" | "environment" | "quota" | "session" | "cache" | "feature";

/**
 * One kind of definition: everything that differs from other kinds. `Body` is what a user defines;
 * `Identity` says which counters belong to it, and is new whenever the definition is.
 */
export interface Kind<Body extends object, Identity> {
  readonly name: KindName;
  /** The field that names a definition of this kind. */
  readonly id: "tag" | "slug";
  /** The field of a call that names a definition of this kind. */
  readonly path: string;
  /** The fault if it is not defined. */
  readonly missing: ErrorCode;
  readonly fields: readonly string[];
  /** Fields that accept null as a value; in a change null restores the default of any other. */
  readonly nullable: readonly string[];
  /**
   * Parses the input of a user or of a store; `before` is what it changes. Throws `VALIDATION`,
   * which names each wrong field.
   */
  parse(input: unknown, before?: Body | null): Body;
  idOf(body: Body): string;
  /** The full input after a change of some fields. */
  merge(body: Body, fields: Changes["fields"]): object;
  /**
   * The full input after a configuration sets the fields it names; the others stay. Default:
   * `merge`.
   */
  over?(body: Body, fields: Changes["fields"]): object;
  /**
   * The identity of `body`, keeping as much of the earlier one as still applies. Throws
   * `VALIDATION`.
   */
  identify(body: Body, before: Before<Body, Identity> | null, making: Making): Identity;
  /** Reads a stored identity. Throws if it is not one. */
  readIdentity(value: unknown): Identity;
}

/** What a new identity is made from: unique names, and the instant of the change. */
export interface Making {
  newUid(): string;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** All quotas of an environment are kept on one server. */
  readonly coLocate: boolean;
}

/** A definition before its change; `body` is null if it could not be read. */
export interface Before<Body, Identity> {
  readonly body: Body | null;
  readonly identity: Identity;
}

/** A definition in memory. */
export interface Definition<Body, Identity> extends Stamps {
  readonly body: Body;
  readonly identity: Identity;
  readonly unreadable: null;
}

/**
 * A definition that cannot be read: every use of it fails with an error that says so, and no other
 * definition is affected.
 */
interface Unreadable<Identity> extends Stamps {
  readonly body: null;
  /** Null if it could not be read either. */
  readonly identity: Identity | null;
  /** Why. */
  readonly unreadable: string;
}

/** A stored definition, readable or not. */
export type Kept<Body, Identity> = Definition<Body, Identity> | Unreadable<Identity>;

/** A definition as JSON text; the reverse is `readDefinition`. */
export function definitionText(
  body: object,
  identity: unknown,
  stamps: Omit<Stamps, "revision">,
): string {
  const { created_at, updated_at } = stamps;
  return JSON.stringify({ ...body, identity, created_at, updated_at });
}

/**
 * Reads the stored definition `id`. If this version cannot read it, returns the reason instead of
 * throwing.
 */
export function readDefinition<Body extends object, Identity>(
  kind: Kind<Body, Identity>,
  id: string,
  revision: number,
  text: string,
): Kept<Body, Identity> {
  let identity: Identity | null = null;
  let stamps = { revision, created_at: "", updated_at: "" };
  try {
    const stored: unknown = JSON.parse(text);
    if (!isRecord(stored)) throw new Error("it is no object");
    const { identity: kept, created_at, updated_at, ...input } = stored;
    stamps = { revision, created_at: textOf(created_at), updated_at: textOf(updated_at) };
    identity = kind.readIdentity(kept);
    const body = kind.parse(input);
    if (kind.idOf(body) !== id) throw new Error(`its ${kind.id} is ${show(kind.idOf(body))}`);
    // Every part must be unchanged: a new identity would give a fresh allowance.
    identity = kind.identify(
      body,
      { body, identity },
      { newUid: refuseNew, nowMs: 0, coLocate: false },
    );
    return { ...stamps, body, identity, unreadable: null };
  } catch (error) {
    const unreadable = error instanceof Error ? error.message : String(error);
    return { ...stamps, body: null, identity, unreadable };
  }
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

function refuseNew(): never {
  throw new Error("a part of it has no identity");
}

/** The fault of a definition that does not exist; `code` depends on its kind. */
export function notFound(
  { name, path, missing }: Pick<Kind<object, unknown>, "name" | "path" | "missing">,
  product: string,
  id: string,
): NotFoundError {
  const whose = name === "product" ? "there is" : `product ${show(product)} has`;
  return new NotFoundError(missing, `${path}: ${whose} no ${name} ${show(id)}`);
}

/** The fault of a definition that cannot be read. */
export function cannotRead(path: string, id: string, unreadable: string): ValidationError {
  const what = `the stored definition of ${show(id)}`;
  const message = `${what} cannot be read (${unreadable}); update or delete it`;
  return new ValidationError([{ path, message }]);
}
