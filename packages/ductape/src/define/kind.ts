import { NotFoundError, show, ValidationError, type ErrorCode } from "../base/errors.js";
import type { Changes } from "./patch.js";
import { isRecord } from "../base/json.js";

/** What every stored definition has. Instants are ISO 8601 in UTC. */
export interface Stamps {
  /** Counts the changes, from 1. */
  readonly revision: number;
  readonly created_at: string;
  readonly updated_at: string;
}

/** Which kinds there are; each is the first part of its keys. */
export type KindName = "product" | "environment" | "quota" | "session" | "cache";

/**
 * One kind of definition, all that tells it from the others. `Body` is what a user defines;
 * `Identity` says which counters are its own, and is new whenever the definition is.
 */
export interface Kind<Body extends object, Identity> {
  readonly name: KindName;
  /** The member that names one of its kind. */
  readonly id: "tag" | "slug";
  /** The field of a call that names one. */
  readonly path: string;
  /** The fault of one that is not defined. */
  readonly missing: ErrorCode;
  readonly fields: readonly string[];
  /** Fields that take null as a value; in a change it takes any other back to its default. */
  readonly nullable: readonly string[];
  /**
   * Parses what a user gives or a store kept; `before` is what it changes. Throws `VALIDATION` that
   * names each wrong field.
   */
  parse(input: unknown, before?: Body | null): Body;
  idOf(body: Body): string;
  /** The input that changed fields make of a definition. */
  merge(body: Body, fields: Changes["fields"]): object;
  /**
   * The input that a configuration makes of a definition by the fields it names: what it leaves out
   * stays. Default: as `merge`.
   */
  over?(body: Body, fields: Changes["fields"]): object;
  /**
   * The identity of `body`: as much of the one before as goes on, else new. Throws `VALIDATION`.
   */
  identify(body: Body, before: Before<Body, Identity> | null, making: Making): Identity;
  /** Reads an identity again. Throws where it is none. */
  readIdentity(value: unknown): Identity;
}

/** What an identity is made with: names of its own, and the instant of the change. */
export interface Making {
  newUid(): string;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** All quotas of an environment are kept on one server. */
  readonly coLocate: boolean;
}

/** What a changed definition was; `body` is null where it could not be read. */
export interface Before<Body, Identity> {
  readonly body: Body | null;
  readonly identity: Identity;
}

/** A definition as it is kept in memory. */
export interface Definition<Body, Identity> extends Stamps {
  readonly body: Body;
  readonly identity: Identity;
  readonly unreadable: null;
}

/** A definition that cannot be read: it stops no other, and every use of it says so. */
export interface Unreadable<Identity> extends Stamps {
  readonly body: null;
  /** Null where it could not be read either. */
  readonly identity: Identity | null;
  /** Why. */
  readonly unreadable: string;
}

/** What is kept of a stored definition. */
export type Kept<Body, Identity> = Definition<Body, Identity> | Unreadable<Identity>;

/** A definition as JSON text; `readDefinition` reads it again. */
export function definitionText(
  body: object,
  identity: unknown,
  stamps: Omit<Stamps, "revision">,
): string {
  const { created_at, updated_at } = stamps;
  return JSON.stringify({ ...body, identity, created_at, updated_at });
}

/**
 * Reads the stored definition `id` again; one that this version cannot read is named, not thrown.
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
    // Every part must be the one it was: a new identity would be a fresh allowance.
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

/** The fault of a definition that is not there; `code` says of which kind. */
export function notFound(
  { name, path, missing }: Pick<Kind<object, unknown>, "name" | "path" | "missing">,
  product: string,
  id: string,
): NotFoundError {
  const whose = name === "product" ? "there is" : `product ${show(product)} has`;
  return new NotFoundError(missing, `${path}: ${whose} no ${name} ${show(id)}`);
}

/** The fault of a definition that was set aside. */
export function cannotRead(path: string, id: string, unreadable: string): ValidationError {
  const what = `the stored definition of ${show(id)}`;
  const message = `${what} cannot be read (${unreadable}); update or delete it`;
  return new ValidationError([{ path, message }]);
}
