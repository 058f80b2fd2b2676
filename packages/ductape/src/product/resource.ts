import type { Catalogue, Change } from "../define/catalogue.js";
import type { DefinitionChange } from "../define/configuration.js";
import { differences } from "../define/difference.js";
import { ConflictError, show, ValidationError } from "../base/errors.js";
import { Fields, Issues } from "../base/field.js";
import { isLeftOut, isRecord } from "../base/json.js";
import { definitionKey } from "../base/key.js";
import {
  definitionText,
  type Definition,
  type Kept,
  type Kind,
  type KindName,
  type Making,
  type Stamps,
} from "../define/kind.js";
import {
  checkRevision,
  parsePatch,
  parseRevision,
  type DeleteOptions,
  type Patch,
} from "../define/patch.js";
import type { ProductEntry, DefinitionSet, StoredAt } from "../define/definition-set.js";
import type { Issuers } from "../sessions/issuer.js";
import type { SigningKeys } from "../sessions/signing.js";
import type { Gate } from "../base/gate.js";
import type { Clock } from "../base/call.js";
import type { DocumentWrite, Store } from "../stores/store.js";

/** What the definitions depend on. */
export interface ResourceParts {
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly signing: SigningKeys;
  readonly issuers: Issuers;
  readonly clock: Clock;
  readonly gate: Gate;
}

/** The place of a planned definition. */
export interface Place {
  readonly product: string;
  /** What is stored of the product; undefined if nothing is. */
  readonly entry: ProductEntry | undefined;
  /** The product does not exist, so nothing stored under its tag is kept. */
  readonly isNew: boolean;
  /** The new value for the product. */
  readonly coLocate: boolean;
}

/** The change that gives a definition its new content. */
export interface Planned extends Change {
  readonly report: DefinitionChange;
}

/**
 * The calls that definitions of every kind share: create, change, read and delete, one revision at
 * a time.
 */
export abstract class Resource<Body extends object, Identity> {
  protected readonly kind: Kind<Body, Identity>;
  protected readonly parts: ResourceParts;

  constructor(kind: Kind<Body, Identity>, parts: ResourceParts) {
    this.kind = kind;
    this.parts = parts;
  }

  /** The set of this kind's definitions in a product. */
  protected abstract setIn(entry: ProductEntry): DefinitionSet<Body, Identity>;

  /**
   * The spaces of counters that are deleted with a definition; null if its identity is not known.
   */
  protected abstract spaces(
    entry: ProductEntry,
    product: string,
    id: string,
    identity: Identity | null,
  ): string[] | null;

  /** The documents that are deleted with a definition. */
  protected documents(entry: ProductEntry, product: string, id: string): StoredAt[] {
    const { revision } = this.setIn(entry).find(product, id);
    return [{ key: definitionKey(this.kind.name, product, id), revision }];
  }

  /** Checks before a definition is written what the pure parser cannot. Throws `VALIDATION`. */
  protected check?(body: Body): void;

  /** Reads the definitions as they are. */
  protected read<T>(work: (catalogue: Catalogue) => Promise<T> | T): Promise<T> {
    const { catalogue, gate } = this.parts;
    return gate.pass(async () => {
      await catalogue.refresh();
      return work(catalogue);
    });
  }

  /** Writes what `prepare` returns for the current definitions. */
  protected change(prepare: (catalogue: Catalogue) => Promise<Change> | Change): Promise<void> {
    const { catalogue, gate } = this.parts;
    return gate.pass(() => catalogue.change(() => prepare(catalogue)));
  }

  /** Creates a definition and, in the same step, applies the change of `beside`. */
  protected async make(
    product: string,
    body: Body,
    beside: (catalogue: Catalogue) => Change,
  ): Promise<Body & Stamps> {
    const { kind } = this;
    const id = kind.idOf(body);
    this.#checkName(id);
    await this.change(async (catalogue) => {
      this.check?.(body);
      const { writes, forget = [] } = beside(catalogue);
      const entry = catalogue.products.get(product);
      if (entry !== undefined && this.setIn(entry).get(id) !== undefined)
        throw exists(kind.id, kind.name, id);
      const write = this.#written(product, body, this.#making(entry, product), 0);
      return { writes: [write, ...writes], forget };
    });
    return this.viewNow(product, id);
  }

  /**
   * Refuses a new name that would be mistaken for something else. A definition already stored
   * under such a name keeps working and can be deleted.
   */
  #checkName(id: string): void {
    const wrong = whyNoName(id, this.kind.name);
    if (wrong !== null) throw new ValidationError([{ path: this.kind.id, message: wrong }]);
  }

  /**
   * Plans the change that gives a definition the content of `input`, whatever it was; writes
   * nothing. Throws `VALIDATION`.
   */
  async plan(input: unknown, { product, entry, isNew, coLocate }: Place): Promise<Planned> {
    const { kind } = this;
    const named = isRecord(input) ? input[kind.id] : undefined;
    const stored = typeof named === "string" && entry ? this.setIn(entry).get(named) : undefined;
    const old = isNew ? undefined : stored;
    const before = old?.body ?? null;
    const body = kind.parse(wantedOf(kind, input, before), before);
    this.check?.(body);
    const id = kind.idOf(body);
    const of = { kind: kind.name, product_tag: product, id };
    if (entry === undefined || old === undefined) {
      if (stored === undefined) this.#checkName(id);
      const making = { newUid, nowMs: this.parts.clock(), coLocate };
      const write = this.#written(product, body, making, stored?.revision ?? 0);
      return { report: { ...of, action: "create", fields: [] }, writes: [write] };
    }
    const fields = differences(old.body ?? {}, body);
    if (fields.length === 0) return { report: { ...of, action: "keep", fields }, writes: [] };
    const change = this.#replace(entry, product, old, body);
    return { report: { ...of, action: "update", fields }, ...change };
  }

  /** The write of a new definition, which replaces revision `ifRevision`. */
  #written(product: string, body: Body, making: Making, ifRevision: number): DocumentWrite {
    const { kind } = this;
    const identity = kind.identify(body, null, making);
    const created_at = this.#nowIso();
    const value = definitionText(body, identity, { created_at, updated_at: created_at });
    return { key: definitionKey(kind.name, product, kind.idOf(body)), ifRevision, value };
  }

  /**
   * Applies `patch` to a definition. If the definition cannot be read, only its counters are kept.
   */
  protected async amend(product: string, id: string, patch: object): Promise<Body & Stamps> {
    const { kind } = this;
    const { fields, ifRevision } = parsePatch(patch, kind.fields, kind.nullable);
    await this.change(async (catalogue) => {
      const entry = catalogue.entry(product);
      const old = this.setIn(entry).find(product, id);
      checkRevision(ifRevision, old.revision);
      const base = old.body === null ? { [kind.id]: id, ...fields } : kind.merge(old.body, fields);
      const body = kind.parse(base, old.body);
      if (kind.idOf(body) !== id) throw renamed(kind.id, id, kind.idOf(body));
      this.check?.(body);
      return this.#replace(entry, product, old, body);
    });
    return this.viewNow(product, id);
  }

  #replace(entry: ProductEntry, product: string, old: Kept<Body, Identity>, body: Body): Change {
    const { kind } = this;
    const id = kind.idOf(body);
    const before = old.identity === null ? null : { body: old.body, identity: old.identity };
    const identity = kind.identify(body, before, this.#making(entry, product));
    const updated_at = this.#nowIso();
    const created_at = old.created_at === "" ? updated_at : old.created_at;
    const value = definitionText(body, identity, { created_at, updated_at });
    const key = definitionKey(kind.name, product, id);
    const kept = new Set(this.spaces(entry, product, id, identity));
    const had = this.spaces(entry, product, id, old.identity) ?? [];
    return {
      writes: [{ key, ifRevision: old.revision, value }],
      forget: had.filter((space) => !kept.has(space)),
    };
  }

  /**
   * Deletes a definition with its counters; if a counter under `guarded` is in use, only with
   * `force`.
   */
  protected async remove(
    product: string,
    id: string,
    guarded: string | null,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { force, ifRevision } = parseDeletion(options);
    await this.change(async (catalogue) => {
      const entry = catalogue.entry(product);
      const { identity, revision } = this.setIn(entry).find(product, id);
      checkRevision(ifRevision, revision);
      const spaces = this.spaces(entry, product, id, identity);
      if (guarded !== null && !force) await this.#refuseInUse(id, guarded, spaces);
      const writes = this.documents(entry, product, id).map(removal);
      return { writes, forget: spaces ?? [] };
    });
  }

  /** Checks the counters of `spaces` under `prefix`, or all there if the spaces are not known. */
  async #refuseInUse(id: string, prefix: string, spaces: string[] | null): Promise<void> {
    const live = spaces && new Set(spaces);
    const nowMs = this.parts.clock();
    for await (const { space, counter } of this.parts.store.scan(prefix)) {
      const { window, used, granted } = counter;
      if (live?.has(space) === false || window.endMs <= nowMs || used + granted === 0) continue;
      const what = `${this.kind.name} ${show(id)}`;
      const message = `${what} has counters in use; pass { force: true } to delete them too`;
      throw new ValidationError([{ path: "options.force", message }]);
    }
  }

  protected async view(product: string, id: string): Promise<Body & Stamps> {
    return this.read(() => this.viewNow(product, id));
  }

  /**
   * The result of a change, from memory: the change has read the store, and the client may be
   * closed since.
   */
  protected viewNow(product: string, id: string): Body & Stamps {
    const entry = this.parts.catalogue.entry(product);
    return viewOf(this.setIn(entry).read(product, id));
  }

  /** By tag or slug. */
  protected views(definitions: readonly Definition<Body, Identity>[]): (Body & Stamps)[] {
    const { idOf } = this.kind;
    return definitions.map(viewOf).toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
  }

  #making(entry: ProductEntry | undefined, product: string): Making {
    const coLocate = entry?.product.get(product)?.identity?.coLocate ?? false;
    return { newUid, nowMs: this.parts.clock(), coLocate };
  }

  #nowIso(): string {
    return new Date(this.parts.clock()).toISOString();
  }
}

/** Definitions of a product, whose tag is the first argument of each call. */
export abstract class ProductResource<
  Input extends object,
  Body extends object,
  Identity,
> extends Resource<Body, Identity> {
  /** Creates a definition. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `ALREADY_EXISTS`. */
  async create(product: string, input: Input): Promise<Body & Stamps> {
    return this.make(product, this.kind.parse(input), (catalogue) => {
      const { revision } = catalogue.entry(product).product.find(product, product);
      // Checked, not written: the product must still exist.
      const key = definitionKey("product", product, product);
      return { writes: [{ key, ifRevision: revision, value: undefined }] };
    });
  }

  /**
   * Changes the fields that the patch names. Throws `VALIDATION`, `*_NOT_FOUND`,
   * `REVISION_CONFLICT`.
   */
  async update(product: string, id: string, patch: Patch<Input>): Promise<Body & Stamps> {
    return this.amend(product, id, patch);
  }

  /** One definition. Throws `*_NOT_FOUND`, and `VALIDATION` if it cannot be read. */
  async fetch(product: string, id: string): Promise<Body & Stamps> {
    return this.view(product, id);
  }

  /** All readable definitions, by tag or slug. Throws `PRODUCT_NOT_FOUND`. */
  async fetchAll(product: string): Promise<(Body & Stamps)[]> {
    return this.read((catalogue) => this.views(this.setIn(catalogue.entry(product)).readable()));
  }
}

/** The fields that a configuration gives, completed with what is stored. */
function wantedOf<Body extends object, Identity>(
  kind: Kind<Body, Identity>,
  input: unknown,
  stored: Body | null,
): unknown {
  if (stored === null || !isRecord(input)) return input;
  const named = Object.entries(input).filter(([, value]) => !isLeftOut(value));
  const fields = Object.fromEntries(named);
  return kind.over === undefined ? kind.merge(stored, fields) : kind.over(stored, fields);
}

function viewOf<Body extends object, Identity>({
  body,
  revision,
  created_at,
  updated_at,
}: Definition<Body, Identity>): Body & Stamps {
  // A copy, so that callers cannot change the definition.
  return structuredClone({ ...body, revision, created_at, updated_at });
}

function parseDeletion(options: unknown): { force: boolean; ifRevision: number | null } {
  const issues = new Issues();
  const fields = new Fields(options, "options", ["force", "if_revision"], issues);
  const force = fields.flag("force", false);
  const ifRevision = parseRevision(fields);
  issues.throwAny();
  return { force, ifRevision };
}

/** The deletion of a document in that revision. */
export function removal({ key, revision }: StoredAt): DocumentWrite {
  return { key, ifRevision: revision, value: null };
}

function renamed(path: string, id: string, wanted: string): ValidationError {
  const message = `cannot change from ${show(id)} to ${show(wanted)}: make a new one`;
  return new ValidationError([{ path, message }]);
}

function exists(path: string, kind: string, id: string): ConflictError {
  return new ConflictError("ALREADY_EXISTS", `${path}: there is a ${kind} ${show(id)} already`);
}

/** HTTP clients treat dots as steps in a path, even when escaped (RFC 3986, 5.2.4). */
function whyNoName(id: string, kind: KindName): string | null {
  if (id === "." || id === "..") return `must not be ${show(id)}, which no URL can hold`;
  const isInKeys = kind === "product" || kind === "environment";
  return id === "*" && isInKeys ? 'must not be "*", which means all of them in a key' : null;
}

const newUid = (): string => crypto.randomUUID().slice(0, 13);
