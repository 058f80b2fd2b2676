import { hash as hashOnce, randomBytes, timingSafeEqual } from "node:crypto";
import { DuctapeError, NotFoundError, show, type KeptRecord, type Records } from "ductape";
import { Access, ALL, type Actor, type Grant } from "./access.js";
import { KEY_STORED } from "./schema/key.js";

/** The input that creates a key; its schema is `KEY_INPUT`. */
export interface KeyInput extends Grant {
  /** A name for people, such as the key's owner: at most 255 characters. */
  readonly name?: string | undefined;
}

/** A key in lists; its schema is `KEY_VIEW`. */
export interface KeyView extends Grant {
  /** The visible part of the key. */
  readonly id: string;
  readonly name: string;
  /** ISO 8601 in UTC. */
  readonly created_at: string;
  /** The id of the key that created it. */
  readonly created_by: string;
}

/** What {@link Keys} depends on. */
interface KeysParts {
  readonly records: Records;
  /**
   * A key with every permission that is not stored: `dk_` and 32 characters or more; null: none.
   */
  readonly rootKey: string | null;
  readonly clock: () => number;
  /** Called for a stored key that cannot be read, which is then refused. */
  warn(message: string): void;
}

interface Kept {
  readonly hash: Buffer;
  readonly access: Access;
  readonly view: KeyView;
}

const KIND = "api-key";
/** The id of the key created at the first start. */
const FIRST_ID = "root";
const ID_CHARS = 10;
/** 33 of 62 characters: 196 bits. */
const SECRET_CHARS = 33;
const KEY_FORM = /^dk_([a-z0-9]{1,16})_[0-9A-Za-z]{33}$/;
const ROOT_FORM = /^dk_\w{32,200}$/;
const BEARER = /^Bearer +(dk_\w{32,200})$/i;
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NO_HASH = Buffer.alloc(32);

/**
 * The API keys of a store. A key is `dk_`, an id, which may be shown, and 196 random bits, of
 * which only the SHA-256 is stored; at that length no slower hash is needed. This process refuses
 * a revoked key at once, all others within a second.
 */
export class Keys {
  readonly #parts: KeysParts;
  readonly #root: { readonly hash: Buffer; readonly access: Access } | null;
  readonly #kept = new WeakMap<KeptRecord, Kept | null>();
  #reading: Promise<unknown> | null = null;

  constructor(parts: KeysParts) {
    this.#parts = parts;
    const { rootKey } = parts;
    const actor = { id: "DUCTAPE_ROOT_KEY", name: "DUCTAPE_ROOT_KEY" };
    this.#root =
      rootKey === null ? null : { hash: hashOf(rootKey), access: new Access(actor, ALL) };
  }

  /**
   * What the key in an `Authorization` header may do, without waiting if the key is known here.
   * Throws `UNAUTHORIZED`, with the same message whatever is wrong, and `STORE_UNAVAILABLE`.
   */
  authenticate(header: string | undefined): Access | Promise<Access> {
    const key = header === undefined ? null : (BEARER.exec(header)?.[1] ?? null);
    if (key === null) throw unauthorized();
    const hash = hashOf(key);
    if (this.#root !== null && timingSafeEqual(hash, this.#root.hash)) return this.#root.access;
    const id = KEY_FORM.exec(key)?.[1];
    if (id === undefined) throw unauthorized();
    const record = this.#parts.records.get(KIND, id);
    if (record === undefined) return this.#authenticateLater(id, hash);
    return this.#accessOf(record, hash);
  }

  /** Creates a key. Only the answer contains its text. Throws the faults of the store. */
  async create(input: KeyInput, by: Actor): Promise<KeyView & { readonly key: string }> {
    const id = randomText(ID_CHARS).toLowerCase();
    const key = newKey(id);
    return { ...(await this.#write(key, id, input, by)), key };
  }

  /**
   * Stores `key` under this id with every permission, replacing any key already there. Throws the
   * faults of the store.
   */
  async replace(id: string, name: string, key: string): Promise<void> {
    await this.#write(key, id, { name, ...copyOf(ALL) }, { id, name });
  }

  /**
   * Creates a key with every permission if the store has no key at all. Returns it; null if the
   * store had a key.
   */
  async createFirst(): Promise<string | null> {
    const key = newKey(FIRST_ID);
    const by = { id: FIRST_ID, name: "the first start" };
    const value = this.#valueOf(key, { name: "root", ...copyOf(ALL) }, by);
    let isMade = false;
    await this.#parts.records.change(KIND, (records) => {
      isMade = records.size === 0;
      return isMade ? [{ id: FIRST_ID, value: JSON.stringify(value) }] : [];
    });
    return isMade ? key : null;
  }

  /** All keys within the reach of `access`, by id. Throws the faults of the store. */
  async list(access: Access): Promise<KeyView[]> {
    const records = await this.#parts.records.all(KIND);
    const kept = [...records.values()].flatMap((record) => this.#read(record) ?? []);
    const views = kept.filter(({ view }) => access.covers(view)).map(({ view }) => view);
    return views.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  /**
   * Revokes a key and returns it. Throws `KEY_NOT_FOUND` if no key within the reach of `access`
   * has that id, and the faults of the store.
   */
  async revoke(id: string, access: Access): Promise<KeyView> {
    let revoked: KeyView | null = null;
    await this.#parts.records.change(KIND, (records) => {
      const record = records.get(id);
      const kept = record === undefined ? null : this.#read(record);
      if (kept === null || !access.covers(kept.view)) throw keyNotFound(id);
      revoked = kept.view;
      return [{ id, value: null }];
    });
    if (revoked === null) throw keyNotFound(id);
    return revoked;
  }

  /** Another process may just have created a key that is not known here. */
  async #authenticateLater(id: string, hash: Buffer): Promise<Access> {
    // One read at a time, so that invented keys cannot load the store.
    this.#reading ??= this.#parts.records.all(KIND).finally(() => {
      this.#reading = null;
    });
    await this.#reading;
    const record = this.#parts.records.get(KIND, id);
    if (record === undefined) throw unauthorized();
    return this.#accessOf(record, hash);
  }

  #accessOf(record: KeptRecord, hash: Buffer): Access {
    const kept = this.#read(record);
    const isRight = timingSafeEqual(hash, kept?.hash ?? NO_HASH);
    if (kept === null || !isRight) throw unauthorized();
    return kept.access;
  }

  #read(record: KeptRecord): Kept | null {
    const known = this.#kept.get(record);
    if (known !== undefined) return known;
    const kept = keptOf(record);
    if (kept === null) this.#parts.warn(`the stored key ${show(record.id)} cannot be read`);
    this.#kept.set(record, kept);
    return kept;
  }

  async #write(key: string, id: string, input: KeyInput, by: Actor): Promise<KeyView> {
    const stored = this.#valueOf(key, input, by);
    const value = JSON.stringify(stored);
    await this.#parts.records.change(KIND, () => [{ id, value }]);
    const { hash: _hash, ...view } = stored;
    return { id, ...view };
  }

  #valueOf(key: string, input: KeyInput, by: Actor): ReturnType<typeof KEY_STORED.parse> {
    const { name = "", scopes, products, environments } = input;
    return {
      name,
      hash: hashOf(key).toString("base64url"),
      scopes: [...new Set(scopes)],
      products: [...new Set(products)],
      environments: [...new Set(environments)],
      created_at: new Date(this.#parts.clock()).toISOString(),
      created_by: by.id,
    };
  }
}

/** A new key with this id, not stored yet. */
export function newKey(id: string): string {
  return `dk_${id}_${randomText(SECRET_CHARS)}`;
}

/** True if the text has the form of a key with this id. */
export function isKeyOf(id: string, text: string): boolean {
  return KEY_FORM.exec(text)?.[1] === id;
}

/**
 * The key in `DUCTAPE_ROOT_KEY`; null if the variable is not set. Throws `VALIDATION`, without
 * showing the key, if it has another form.
 */
export function rootKeyOf(text: string | undefined): string | null {
  if (text === undefined || text === "") return null;
  if (ROOT_FORM.test(text)) return text;
  const wanted = "dk_ and then 32 or more letters and digits";
  const message = `expects ${wanted}, such as "dk_$(openssl rand -hex 32)" gives`;
  throw new DuctapeError("VALIDATION", `DUCTAPE_ROOT_KEY: ${message}`, {
    issues: [{ path: "DUCTAPE_ROOT_KEY", message }],
  });
}

function keptOf({ id, value }: KeptRecord): Kept | null {
  const { data } = KEY_STORED.safeParse(parsedOf(value));
  if (data === undefined) return null;
  const { hash: text, ...rest } = data;
  const hash = Buffer.from(text, "base64url");
  if (hash.length !== NO_HASH.length) return null;
  const access = new Access({ id, name: data.name }, data);
  return { hash, access, view: { id, ...rest } };
}

function parsedOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function copyOf({ scopes, products, environments }: Grant) {
  return { scopes: [...scopes], products: [...products], environments: [...environments] };
}

function hashOf(key: string): Buffer {
  return hashOnce("sha256", key, "buffer");
}

/** Random letters and digits, all equally likely. */
function randomText(chars: number): string {
  let text = "";
  while (text.length < chars) {
    for (const byte of randomBytes(chars * 2)) {
      // Bytes above the last multiple of 62 would make some characters more likely.
      if (byte < 248 && text.length < chars) text += DIGITS.charAt(byte % DIGITS.length);
    }
  }
  return text;
}

function unauthorized(): DuctapeError {
  const message = "key: expects a header Authorization: Bearer dk_... with a key of this server";
  return new DuctapeError("UNAUTHORIZED", message);
}

function keyNotFound(id: string): NotFoundError {
  return new NotFoundError("KEY_NOT_FOUND", `id: there is no key ${show(id)}`);
}
