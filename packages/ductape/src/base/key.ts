/** The version of every key below; a change of their form is a migration. */
const VERSION = "1";

// Parts are joined by "/", and "/" and "%" inside a part are escaped, so different parts never make
// the same key. Parts are well-formed Unicode without NUL: refused earlier.
const part = (text: string): string => text.replaceAll("%", "%25").replaceAll("/", "%2F");

const join = (...parts: readonly string[]): string => `${parts.map(part).join("/")}/`;

/** The key of a stored definition. A product is stored under its own tag. */
export const definitionKey = (kind: string, product: string, id: string): string =>
  kind === "product" ? join(kind, product) : join(kind, product, id);

/** The parts of a stored definition's key. */
export function keyParts(key: string): { kind: string; product: string; id: string } {
  const [kind = "", product = "", id = ""] = partsOf(key);
  return { kind, product, id: kind === "product" ? product : id };
}

/** An environment in the keys of its sessions; `uid` is new whenever the environment is. */
export interface EnvironmentPlace {
  readonly product: string;
  readonly env: string;
  readonly uid: string;
}

/** A session definition in an environment; `sessionUid` is new whenever the definition is. */
export interface SessionPlace extends EnvironmentPlace {
  readonly tag: string;
  readonly sessionUid: string;
}

/** The key under which an environment's signing keys are stored. */
export const signingKey = ({ product, env, uid }: EnvironmentPlace): string =>
  join("signing", product, env, uid);

/** The key under which a session's revocation is stored. */
export const revokedKey = ({ product, env, uid }: EnvironmentPlace, sessionId: string): string =>
  join("revoked", product, env, uid, sessionId);

/** The session that a key of {@link revokedKey} names. Session ids contain nothing to escape. */
export const revokedId = (key: string): string => key.split("/")[4] ?? "";

/** The product and the environment that a session document belongs to. */
export function documentHome(key: string): { product: string; env: string } {
  const [, product = "", env = ""] = partsOf(key);
  return { product, env };
}

/** The folder of the records of all sessions; each key ends in the session's id. */
export const loginFolder = (place: SessionPlace): string =>
  join("login", place.product, place.env, place.uid, place.tag, place.sessionUid);

/** The folder that names the sessions of one identifier. */
export const loginsOfFolder = (place: SessionPlace, identifier: string): string =>
  join("logins-of", place.product, place.env, place.uid, place.tag, place.sessionUid, identifier);

/** The key of a record that a program keeps beside the definitions. */
export const recordKey = (kind: string, id: string): string => join("record", kind, id);

/** The kind and the id of a record's key. */
export function recordParts(key: string): { kind: string; id: string } {
  const [, kind = "", id = ""] = partsOf(key);
  return { kind, id };
}

/** A key in a folder. */
export const keyIn = (folder: string, name: string): string => `${folder}${part(name)}/`;

/** The `aud` claim of tokens, unique to one environment. */
export const audienceOf = ({ product, env }: EnvironmentPlace): string => join(product, env);

const partsOf = (key: string): string[] =>
  key.split("/").map((text) => text.replaceAll("%2F", "/").replaceAll("%25", "%"));

/** The prefix of all counters of a product, of one of its environments, or of a quota there. */
export const spacePrefix = (product: string, env?: string, quota?: string): string =>
  join(
    VERSION,
    product,
    ...(env === undefined ? [] : [env]),
    ...(quota === undefined ? [] : [quota]),
  );

/** The space of one rule's counters. `uid` is new whenever the rule is, so it starts at zero. */
export const ruleSpace = (
  product: string,
  env: string,
  quota: string,
  rule: string,
  uid: string,
): string => `${spacePrefix(product, env, quota)}${join(rule, uid)}`;

/**
 * The prefix of all counters and answers in the same place as a space or a key of an answer: those
 * of its quota, or, co-located, those of its environment.
 */
export function shardKeyOf(key: string, isCoLocated: boolean): string {
  return firstParts(key, isCoLocated ? HOME_PARTS - 1 : HOME_PARTS);
}

/** What a space of counters, or a key of an answer, belongs to. */
export function spaceParts(space: string) {
  const [, product = "", env = "", quota = "", rule = ""] = partsOf(space);
  return { product, env, quota, rule };
}

/** A stored counter's key, which is its space followed by its subject, taken apart. */
export function splitCounterKey(key: string): { space: string; subject: string } {
  const space = firstParts(key, SPACE_PARTS);
  return { space, subject: key.slice(space.length) };
}

function firstParts(key: string, count: number): string {
  let end = 0;
  for (let parts = 0; parts < count; parts++) end = key.indexOf("/", end) + 1;
  return key.slice(0, end);
}

/** Version, product, environment, quota. */
const HOME_PARTS = 4;

/** Version, product, environment, quota, rule, identity. */
const SPACE_PARTS = 6;
