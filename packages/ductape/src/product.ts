import {
  cannotRead,
  environmentNotFound,
  keysOf,
  productNotFound,
  quotaNotFound,
  spacesEverywhere,
  type Catalogue,
  type DefinedQuota,
  type Environment,
  type Kept,
  type Product,
  type ProductEntry,
  type StoredEnvironment,
} from "./catalogue.js";
import { identify, parseQuota, QUOTA_FIELDS, spacesOf } from "./definition.js";
import { ConflictError, show, StoreError, ValidationError } from "./errors.js";
import { Issues, parseName } from "./field.js";
import { environmentKey, productKey, quotaKey, spacePrefix } from "./key.js";
import type { LimitInput } from "./limit.js";
import { isEmptyRecord, isRecord, type Empty } from "./request.js";
import { RULE_FIELDS, type Rule, type RuleInput } from "./rule.js";
import type { Clock, DocumentWrite, Store } from "./store.js";
import { checkText } from "./text.js";

/** What `product.create` takes. */
export interface ProductInput {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
}

/** What `environments.create` takes. */
export interface EnvironmentInput {
  readonly slug: string;
  readonly env_name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** Default true; an inactive one refuses every action. */
  readonly active?: boolean | Empty | undefined;
}

/** What `quotas.create` takes: `rules`, or the members of its only rule. */
export interface QuotaDefinition extends Partial<Omit<RuleInput, "name">> {
  readonly tag: string;
  readonly name?: string | Empty | undefined;
  readonly description?: string | Empty | undefined;
  /** Fraction digits of amounts, 0..6, for good. Default 0: integers. */
  readonly decimals?: number | Empty | undefined;
  readonly rules?: readonly RuleInput[] | Empty | undefined;
  readonly limit?: LimitInput;
}

/** A quota as it is defined. */
export interface QuotaView {
  readonly tag: string;
  readonly name: string;
  readonly description: string;
  readonly decimals: number;
  readonly rules: readonly Rule[];
  readonly revision: number;
  readonly created_at: string;
  readonly updated_at: string;
}

/** A change: fields that are absent stay; with `if_revision` only that revision is changed. */
export type Patch<T> = { readonly [K in keyof T]?: T[K] | undefined } & {
  readonly if_revision?: number | undefined;
};

/** Deletes although counters are in use, with `force`. */
export interface DeleteOptions {
  readonly force?: boolean;
}

/** What the definitions need of the rest. */
export interface DefinitionParts {
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
  /** Opens the store at the first call; null once it is open. */
  ready(): Promise<void> | null;
}

const ATTEMPTS_MAX = 20;

/** What all definitions share: read, change under a revision, see the change at once. */
class Definitions {
  protected readonly parts: DefinitionParts;

  constructor(parts: DefinitionParts) {
    this.parts = parts;
  }

  protected async current(): Promise<Catalogue> {
    const ready = this.parts.ready();
    if (ready !== null) await ready;
    await this.parts.catalogue.refresh();
    return this.parts.catalogue;
  }

  /** Writes what `prepare` makes of the current definitions, again where another was quicker. */
  protected async change(
    prepare: (catalogue: Catalogue) => Promise<Change> | Change,
  ): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { writes, forget = [] } = await prepare(await this.current());
      const stale = await this.parts.store.documents.write(writes, forget);
      await this.parts.catalogue.refresh();
      if (stale === null) return;
    }
    throw new StoreError("STORE_UNAVAILABLE", "the definition kept changing; try again");
  }

  protected nowIso(): string {
    return new Date(this.parts.clock()).toISOString();
  }
}

interface Change {
  readonly writes: readonly DocumentWrite[];
  readonly forget?: readonly string[];
}

/** Products: `ductape.product`. */
export class Products extends Definitions {
  readonly environments: Environments;
  readonly quotas: Quotas;

  constructor(parts: DefinitionParts) {
    super(parts);
    this.environments = new Environments(parts);
    this.quotas = new Quotas(parts);
  }

  /** Makes a product. Throws `VALIDATION`, `ALREADY_EXISTS`. */
  async create(input: ProductInput): Promise<Product> {
    const parsed = parseProduct(input);
    await this.change((catalogue) => {
      if (catalogue.products.get(parsed.tag)?.definition)
        throw exists("tag", "product", parsed.tag);
      const at = this.nowIso();
      const value = JSON.stringify({ ...parsed, created_at: at, updated_at: at });
      return { writes: [{ key: productKey(parsed.tag), ifRevision: 0, value }] };
    });
    return this.fetch(parsed.tag);
  }

  /** Changes its name or description. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `REVISION_CONFLICT`. */
  async update(tag: string, patch: Patch<ProductInput>): Promise<Product> {
    checkPatch(patch, ["tag", "name", "description"]);
    await this.change((catalogue) => {
      const { definition, revision } = catalogue.product(tag);
      checkRevision(patch.if_revision, revision);
      const parsed = parseProduct(merged(definition, patch, ["tag", "name", "description"]));
      refuseRename("tag", parsed.tag, tag);
      const { created_at } = definition;
      const value = JSON.stringify({ ...parsed, created_at, updated_at: this.nowIso() });
      return { writes: [{ key: productKey(tag), ifRevision: revision, value }] };
    });
    return this.fetch(tag);
  }

  /** The product of a tag. Throws `PRODUCT_NOT_FOUND`. */
  async fetch(tag: string): Promise<Product> {
    return (await this.current()).product(tag).definition;
  }

  /** All products, by tag. */
  async fetchAll(): Promise<Product[]> {
    const entries = [...(await this.current()).products.values()];
    return readable(entries.map(({ definition }) => definition)).toSorted(byText(({ tag }) => tag));
  }

  /**
   * Deletes a product with its environments, quotas and counters. Throws `PRODUCT_NOT_FOUND`, and
   * `VALIDATION` without `force` while a counter is in use.
   */
  async delete(tag: string, options?: DeleteOptions): Promise<void> {
    await this.change(async (catalogue) => {
      const entry = catalogue.products.get(tag);
      if (!entry?.definition) throw productNotFound(tag);
      const quotas = readable([...entry.quotas.values()].map(({ value }) => value));
      const spaces = quotas.flatMap((quota) => spacesEverywhere(tag, entry, quota));
      await refuseInUse(this.parts, `product ${show(tag)}`, spacePrefix(tag), spaces, options);
      const writes = keysOf(tag, entry).map(({ key, revision }) => remove(key, revision));
      return { writes, forget: spaces };
    });
  }
}

/** Environments of a product: `ductape.product.environments`. */
export class Environments extends Definitions {
  /** Makes an environment. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `ALREADY_EXISTS`. */
  async create(product: string, input: EnvironmentInput): Promise<Environment> {
    const parsed = parseEnvironment(input);
    await this.change((catalogue) => {
      const entry = catalogue.product(product);
      const { slug } = parsed;
      if (entry.environments.has(slug)) throw exists("slug", "environment", slug);
      const at = this.nowIso();
      const value = JSON.stringify({ ...parsed, uid: newUid(), created_at: at, updated_at: at });
      const key = environmentKey(product, slug);
      return { writes: [{ key, ifRevision: 0, value }, standing(product, entry)] };
    });
    return this.fetch(product, parsed.slug);
  }

  /** Changes its name, description or `active`. Throws `VALIDATION`, `*_NOT_FOUND`, `REVISION_CONFLICT`. */
  async update(
    product: string,
    slug: string,
    patch: Patch<EnvironmentInput>,
  ): Promise<Environment> {
    checkPatch(patch, ENVIRONMENT_FIELDS);
    await this.change((catalogue) => {
      const { value: old, revision } = environmentOf(catalogue.product(product), product, slug);
      if (old.unreadable !== undefined) throw cannotRead("slug", slug, old);
      checkRevision(patch.if_revision, revision);
      const parsed = parseEnvironment(merged(old, patch, ENVIRONMENT_FIELDS));
      refuseRename("slug", parsed.slug, slug);
      const { uid, created_at } = old;
      const value = JSON.stringify({ ...parsed, uid, created_at, updated_at: this.nowIso() });
      return { writes: [{ key: environmentKey(product, slug), ifRevision: revision, value }] };
    });
    return this.fetch(product, slug);
  }

  /** The environment of a slug. Throws `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`. */
  async fetch(product: string, slug: string): Promise<Environment> {
    const { value } = environmentOf((await this.current()).product(product), product, slug);
    if (value.unreadable !== undefined) throw cannotRead("slug", slug, value);
    return environmentView(value);
  }

  /** All environments of a product, by slug. Throws `PRODUCT_NOT_FOUND`. */
  async fetchAll(product: string): Promise<Environment[]> {
    const { environments } = (await this.current()).product(product);
    return readable([...environments.values()].map(({ value }) => value))
      .map(environmentView)
      .toSorted(byText(({ slug }) => slug));
  }

  /** Deletes an environment with its counters. Throws as `product.delete`. */
  async delete(product: string, slug: string, options?: DeleteOptions): Promise<void> {
    await this.change(async (catalogue) => {
      const entry = catalogue.product(product);
      const { value, revision } = environmentOf(entry, product, slug);
      const quotas = readable([...entry.quotas.values()].map((quota) => quota.value));
      const spaces =
        value.unreadable === undefined
          ? quotas.flatMap((quota) => spacesOf(quota, product, value))
          : [];
      const prefix = spacePrefix(product, slug);
      await refuseInUse(this.parts, `environment ${show(slug)}`, prefix, spaces, options);
      return { writes: [remove(environmentKey(product, slug), revision)], forget: spaces };
    });
  }
}

/** Quotas of a product: `ductape.product.quotas`. */
export class Quotas extends Definitions {
  /** Makes a quota, at zero. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `ALREADY_EXISTS`. */
  async create(product: string, input: QuotaDefinition): Promise<QuotaView> {
    const body = parseQuota(input);
    await this.change((catalogue) => {
      const entry = catalogue.product(product);
      if (entry.quotas.has(body.tag)) throw exists("tag", "quota", body.tag);
      const at = this.nowIso();
      const rules = identify(body.rules, [], newUid);
      const value = { ...body, rules, uid: newUid(), created_at: at, updated_at: at };
      const write = {
        key: quotaKey(product, body.tag),
        ifRevision: 0,
        value: JSON.stringify(value),
      };
      return { writes: [write, standing(product, entry)] };
    });
    return this.fetch(product, body.tag);
  }

  /**
   * Changes a quota; a rule of the same name and scope keeps its counters, a changed window carries
   * `used` over. Throws `VALIDATION`, `*_NOT_FOUND`, `REVISION_CONFLICT`.
   */
  async update(product: string, tag: string, patch: Patch<QuotaDefinition>): Promise<QuotaView> {
    checkPatch(patch, QUOTA_FIELDS);
    await this.change((catalogue) => {
      const entry = catalogue.product(product);
      const { value: old, revision } = quotaOf(entry, product, tag);
      checkRevision(patch.if_revision, revision);
      const before = old.unreadable === undefined ? old : null;
      const body = parseQuota(
        before === null ? { tag, ...without(patch) } : mergedQuota(before, patch),
      );
      refuseRename("tag", body.tag, tag);
      if (before !== null && body.decimals !== before.decimals)
        throw decimalsFixed(before.decimals);
      const rules = identify(body.rules, before?.rules ?? [], newUid);
      const uid = before?.uid ?? newUid();
      const created_at = before?.created_at ?? this.nowIso();
      const value = { ...body, rules, uid, created_at, updated_at: this.nowIso() };
      const kept = new Set(spacesEverywhere(product, entry, value));
      const gone = before === null ? [] : spacesEverywhere(product, entry, before);
      return {
        writes: [
          { key: quotaKey(product, tag), ifRevision: revision, value: JSON.stringify(value) },
        ],
        forget: gone.filter((space) => !kept.has(space)),
      };
    });
    return this.fetch(product, tag);
  }

  /** The quota of a tag. Throws `PRODUCT_NOT_FOUND`, `QUOTA_NOT_FOUND`, and `VALIDATION` where it cannot be read. */
  async fetch(product: string, tag: string): Promise<QuotaView> {
    const { value } = quotaOf((await this.current()).product(product), product, tag);
    if (value.unreadable !== undefined) throw cannotRead("quota_tag", tag, value);
    return quotaView(value);
  }

  /** All quotas of a product, by tag. Throws `PRODUCT_NOT_FOUND`. */
  async fetchAll(product: string): Promise<QuotaView[]> {
    const { quotas } = (await this.current()).product(product);
    return readable([...quotas.values()].map(({ value }) => value))
      .map(quotaView)
      .toSorted(byText(({ tag }) => tag));
  }

  /** Deletes a quota with its counters. Throws `PRODUCT_NOT_FOUND`, `QUOTA_NOT_FOUND`. */
  async delete(product: string, tag: string): Promise<void> {
    await this.change((catalogue) => {
      const entry = catalogue.product(product);
      const { value, revision } = quotaOf(entry, product, tag);
      const forget = value.unreadable === undefined ? spacesEverywhere(product, entry, value) : [];
      return { writes: [remove(quotaKey(product, tag), revision)], forget };
    });
  }
}

const PRODUCT_FIELDS = ["tag", "name", "description"];
const ENVIRONMENT_FIELDS = ["slug", "env_name", "description", "active"];

function parseProduct(input: unknown): { tag: string; name: string; description: string } {
  const issues = new Issues();
  const value = recordOf(input, "product");
  issues.unknown(value, PRODUCT_FIELDS);
  issues.add("tag", checkText(value["tag"]));
  const tag = String(value["tag"]);
  const name = parseName(value, "name", tag, issues);
  const description = parseName(value, "description", "", issues);
  issues.throwAny();
  return { tag, name, description };
}

function parseEnvironment(input: unknown) {
  const issues = new Issues();
  const value = recordOf(input, "environment");
  issues.unknown(value, ENVIRONMENT_FIELDS);
  issues.add("slug", checkText(value["slug"]));
  const slug = String(value["slug"]);
  const env_name = parseName(value, "env_name", slug, issues);
  const description = parseName(value, "description", "", issues);
  const given = value["active"];
  const active = given === undefined || isEmptyRecord(given) ? true : given;
  if (typeof active !== "boolean") issues.add("active", `wants true or false, got ${show(active)}`);
  issues.throwAny();
  return { slug, env_name, description, active: active === true };
}

function recordOf(value: unknown, path: string): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw new ValidationError([{ path, message: `wants an object, got ${show(value)}` }]);
}

function checkPatch(patch: unknown, known: readonly string[]): void {
  const issues = new Issues();
  issues.unknown(recordOf(patch, "patch"), [...known, "if_revision"]);
  issues.throwAny();
}

function without(patch: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(patch).filter(([name, value]) => name !== "if_revision" && value !== undefined),
  );
}

function merged(old: object, patch: object, fields: readonly string[]): Record<string, unknown> {
  const kept = Object.entries(old).filter(([name]) => fields.includes(name));
  return { ...Object.fromEntries(kept), ...without(patch) };
}

/** The members of its only rule may be patched beside `rules`; several are replaced as a whole. */
function mergedQuota(old: DefinedQuota, patch: object): Record<string, unknown> {
  const changes = without(patch);
  const base = merged(old, {}, ["tag", "name", "description", "decimals"]);
  const rules = old.rules.map(({ uid: _uid, shape: _shape, anchor, ...rule }) => ({
    ...rule,
    ...(anchor === null ? {} : { anchor }),
  }));
  const ruleChanges = RULE_FIELDS.slice(1).filter((field) => field in changes);
  const [only] = rules;
  if ("rules" in changes || ruleChanges.length === 0) return { ...base, rules, ...changes };
  if (rules.length > 1 || only === undefined) {
    throw new ValidationError(
      ruleChanges.map((path) => ({
        path,
        message: "this quota has several rules: give all of rules",
      })),
    );
  }
  const rule = { ...only, ...Object.fromEntries(ruleChanges.map((name) => [name, changes[name]])) };
  const rest = Object.entries(changes).filter(
    ([name]) => !ruleChanges.some((each) => each === name),
  );
  return { ...base, ...Object.fromEntries(rest), rules: [rule] };
}

function checkRevision(wanted: unknown, revision: number): void {
  if (wanted === undefined || wanted === revision) return;
  if (typeof wanted !== "number" || !Number.isInteger(wanted) || wanted < 1) {
    const message = `wants an integer from 1, got ${show(wanted)}`;
    throw new ValidationError([{ path: "if_revision", message }]);
  }
  const message = `if_revision: wants ${wanted}, but the stored revision is ${revision}`;
  throw new ConflictError("REVISION_CONFLICT", message);
}

function refuseRename(path: string, wanted: string, tag: string): void {
  if (wanted === tag) return;
  const message = `cannot change from ${show(tag)} to ${show(wanted)}: make a new one`;
  throw new ValidationError([{ path, message }]);
}

function decimalsFixed(decimals: number): ValidationError {
  const message = `cannot change from ${decimals} after creation: make a new quota`;
  return new ValidationError([{ path: "decimals", message }]);
}

function exists(path: string, kind: string, tag: string): ConflictError {
  return new ConflictError("ALREADY_EXISTS", `${path}: there is a ${kind} ${show(tag)} already`);
}

function environmentOf(entry: ProductEntry, product: string, slug: string) {
  const found = entry.environments.get(slug);
  if (found === undefined) throw environmentNotFound(product, slug);
  return found;
}

function quotaOf(entry: ProductEntry, product: string, tag: string) {
  const found = entry.quotas.get(tag);
  if (found === undefined) throw quotaNotFound(product, tag);
  return found;
}

/** The product must still stand as it was read. */
function standing(product: string, { revision }: ProductEntry): DocumentWrite {
  return { key: productKey(product), ifRevision: revision, value: undefined };
}

const remove = (key: string, ifRevision: number): DocumentWrite => ({
  key,
  ifRevision,
  value: null,
});

function readable<T extends object>(kept: readonly (Kept<T> | null)[]): T[] {
  return kept.flatMap((each) => (each === null || each.unreadable !== undefined ? [] : [each]));
}

const byText =
  <T>(textOf: (item: T) => string) =>
  (a: T, b: T): number =>
    textOf(a) < textOf(b) ? -1 : 1;

function environmentView({ uid: _uid, ...view }: StoredEnvironment): Environment {
  return view;
}

function quotaView(quota: DefinedQuota): QuotaView {
  const { uid: _uid, rules, ...view } = quota;
  return { ...view, rules: rules.map(({ uid: _ruleUid, shape: _shape, ...rule }) => rule) };
}

async function refuseInUse(
  { store, clock }: DefinitionParts,
  what: string,
  prefix: string,
  spaces: readonly string[],
  options: DeleteOptions | undefined,
): Promise<void> {
  if (options?.force === true) return;
  const live = new Set(spaces);
  const nowMs = clock();
  for await (const { space, used, granted, endMs } of store.scan(prefix)) {
    if (!live.has(space) || endMs <= nowMs || used + granted === 0) continue;
    const message = `${what} has counters in use; pass { force: true } to delete them too`;
    throw new ValidationError([{ path: "force", message }]);
  }
}

const newUid = (): string => crypto.randomUUID().slice(0, 13);
