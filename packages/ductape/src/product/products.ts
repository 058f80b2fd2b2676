import { planConfiguration, type Planner } from "./configure.js";
import { Caches, type CachesParts } from "./caches.js";
import { Features, type FeaturesParts } from "./features.js";
import { transferCounters } from "./transfer.js";
import type { Catalogue } from "../define/catalogue.js";
import type {
  AppliedConfiguration,
  ApplyOptions,
  Configuration,
  DefinitionChange,
} from "../define/configuration.js";
import {
  compileQuota,
  QUOTA,
  type QuotaBody,
  type QuotaDefinition,
  type QuotaView,
} from "../define/quota.js";
import {
  ENVIRONMENT,
  type EnvironmentBody,
  type EnvironmentIdentity,
  type EnvironmentInput,
} from "../define/environment.js";
import { Fields, Issues } from "../base/field.js";
import type { QuotaIdentity } from "../define/identity.js";
import { spacePrefix } from "../base/key.js";
import type { KindName } from "../define/kind.js";
import type { DeleteOptions, Patch } from "../define/patch.js";
import {
  PRODUCT,
  type Product,
  type ProductBody,
  type ProductIdentity,
  type ProductInput,
} from "../define/product.js";
import { ProductResource, removal, Resource, type ResourceParts } from "./resource.js";
import {
  SESSION,
  type SessionBody,
  type SessionDefinition,
  type SessionIdentity,
} from "../define/session.js";
import { ProductEntry } from "../define/definition-set.js";

/** Products: `ductape.product`. */
export class Products extends Resource<ProductBody, ProductIdentity> {
  readonly environments: Environments;
  readonly quotas: Quotas;
  readonly sessions: Sessions;
  readonly caches: Caches;
  readonly features: Features;

  constructor(parts: CachesParts & FeaturesParts) {
    super(PRODUCT, parts);
    this.environments = new Environments(parts);
    this.quotas = new Quotas(parts);
    this.sessions = new Sessions(parts);
    this.caches = new Caches(parts);
    this.features = new Features(parts);
  }

  protected setIn(entry: ProductEntry) {
    return entry.product;
  }

  protected spaces(entry: ProductEntry, product: string): string[] {
    return entry.spaces(product);
  }

  protected override documents(entry: ProductEntry, product: string) {
    const keys = entry.environments
      .identities()
      .flatMap(([env, { uid }]) => this.parts.signing.documents({ product, env, uid }));
    return [...entry.documents(product), ...keys];
  }

  /** Creates a product. Throws `VALIDATION`, `ALREADY_EXISTS`. */
  async create(input: ProductInput): Promise<Product> {
    const body = this.kind.parse(input);
    const { tag } = body;
    return this.make(tag, body, ({ products }) => {
      // Removes what another client created in a product of that tag while it was being deleted.
      const left = products.get(tag) ?? new ProductEntry();
      return { writes: left.documents(tag).map(removal) };
    });
  }

  /**
   * Applies all definitions of a configuration or none: creates what is missing, changes what
   * differs, keeps what it does not name. A field that is left out gets its default in a new
   * definition and stays unchanged in an existing one. Throws `VALIDATION`, which names each wrong
   * field by its path: `products[0].quotas[1].limit`.
   */
  async apply(
    configuration: Configuration,
    options: ApplyOptions = {},
  ): Promise<AppliedConfiguration> {
    const issues = new Issues();
    const dryRun = new Fields(options, "options", ["dry_run"], issues).flag("dry_run", false);
    issues.throwAny();
    return this.parts.gate.pass(() => this.#apply(configuration, dryRun));
  }

  async #apply(configuration: Configuration, dryRun: boolean): Promise<AppliedConfiguration> {
    const planners: Record<KindName, Planner> = {
      product: this,
      environment: this.environments,
      quota: this.quotas,
      session: this.sessions,
      cache: this.caches,
      feature: this.features,
    };
    const plan = (catalogue: Catalogue) => planConfiguration(configuration, catalogue, planners);
    const { catalogue } = this.parts;
    await catalogue.refresh();
    const { report } = await plan(catalogue);
    if (dryRun || !report.applied) return { ...report, applied: false };
    const done: { report: AppliedConfiguration } = { report };
    await catalogue.change(async () => {
      const planned = await plan(catalogue);
      done.report = planned.report;
      return planned;
    });
    for (const change of done.report.changes) {
      if (change.kind === "quota") await this.quotas.carryApplied(change);
    }
    return done.report;
  }

  /**
   * Changes its name or description. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `REVISION_CONFLICT`.
   */
  async update(tag: string, patch: Patch<ProductInput>): Promise<Product> {
    return this.amend(tag, tag, patch);
  }

  /** The product with a tag. Throws `PRODUCT_NOT_FOUND`, and `VALIDATION` if it cannot be read. */
  async fetch(tag: string): Promise<Product> {
    return this.view(tag, tag);
  }

  /** All readable products, by tag. */
  async fetchAll(): Promise<Product[]> {
    return this.read(({ products }) =>
      this.views([...products.values()].flatMap(({ product }) => product.readable())),
    );
  }

  /**
   * Deletes a product with its environments, quotas and counters. Throws `PRODUCT_NOT_FOUND`, and
   * `VALIDATION` without `force` while a counter is in use.
   */
  async delete(tag: string, options?: DeleteOptions): Promise<void> {
    await this.remove(tag, tag, spacePrefix(tag), options);
  }
}

/** Environments of a product: `ductape.product.environments`. */
class Environments extends ProductResource<EnvironmentInput, EnvironmentBody, EnvironmentIdentity> {
  constructor(parts: ResourceParts) {
    super(ENVIRONMENT, parts);
  }

  protected setIn(entry: ProductEntry) {
    return entry.environments;
  }

  protected spaces(
    entry: ProductEntry,
    product: string,
    slug: string,
    identity: EnvironmentIdentity | null,
  ): string[] | null {
    return identity && entry.spaces(product, { environments: [[slug, identity]] });
  }

  protected override documents(entry: ProductEntry, product: string, env: string) {
    const uid = entry.environments.find(product, env).identity?.uid;
    const keys = uid === undefined ? [] : this.parts.signing.documents({ product, env, uid });
    return [...super.documents(entry, product, env), ...keys];
  }

  /** Deletes an environment with its counters and keys. Throws like `product.delete`. */
  async delete(product: string, slug: string, options?: DeleteOptions): Promise<void> {
    await this.remove(product, slug, spacePrefix(product, slug), options);
  }
}

/** What a patch may change the form of a window by. */
const WINDOW_FIELDS = ["rules", "period", "window", "time_zone", "week_start", "anchor"];

/**
 * Quotas of a product: `ductape.product.quotas`. A quota is made at zero. In a changed one a rule
 * of the same name and scope keeps its counters, a changed window carries `used` over, and counters
 * of other rules are forgotten.
 */
class Quotas extends ProductResource<QuotaDefinition, QuotaBody, QuotaIdentity> {
  constructor(parts: ResourceParts) {
    super(QUOTA, parts);
  }

  protected setIn(entry: ProductEntry) {
    return entry.quotas;
  }

  protected spaces(
    entry: ProductEntry,
    product: string,
    tag: string,
    identity: QuotaIdentity | null,
  ): string[] | null {
    return identity && entry.spaces(product, { quotas: [[tag, identity]] });
  }

  /**
   * Changes what the patch names and keeps the rest. Where that is the form of a window, it goes
   * through all counters of the quota and resolves when each is in its new window. Throws
   * `VALIDATION`, `*_NOT_FOUND`, `REVISION_CONFLICT`, and as the store does.
   */
  override update(product: string, tag: string, patch: Patch<QuotaDefinition>): Promise<QuotaView> {
    return this.parts.gate.track(this.#updateNow(product, tag, patch));
  }

  async #updateNow(
    product: string,
    tag: string,
    patch: Patch<QuotaDefinition>,
  ): Promise<QuotaView> {
    const changed = await super.update(product, tag, patch);
    if (WINDOW_FIELDS.some((field) => field in patch)) await this.#transfer(product, tag);
    return changed;
  }

  /** Carries the counters of a quota whose change was applied with others. */
  async carryApplied({ product_tag, id, fields }: DefinitionChange): Promise<void> {
    const changesWindow = WINDOW_FIELDS.some((form) =>
      fields.some(({ field }) => field === form || field.endsWith(`.${form}`)),
    );
    if (changesWindow) await this.#transfer(product_tag, id);
  }

  /** In all environments, including inactive ones. */
  async #transfer(product: string, tag: string): Promise<void> {
    const { catalogue, store, clock } = this.parts;
    const entry = catalogue.products.get(product);
    const quota = entry?.quotas.readable().find(({ body }) => body.tag === tag);
    if (entry === undefined || quota === undefined) return;
    for (const [slug, { uid }] of entry.environments.identities()) {
      const compiled = compileQuota(quota, product, { slug, uid }, entry.caches);
      await transferCounters(store, compiled, clock);
    }
  }

  /**
   * Deletes a quota with its counters, even those in use. Throws `VALIDATION`,
   * `PRODUCT_NOT_FOUND`, `QUOTA_NOT_FOUND`, `REVISION_CONFLICT`.
   */
  async delete(product: string, tag: string, options?: DeleteOptions): Promise<void> {
    await this.remove(product, tag, null, options);
  }
}

/**
 * Sessions of a product: `ductape.product.sessions`. A changed definition applies to tokens issued
 * from then on. If `encrypted`, the issuer or its keys change, earlier tokens are refused.
 */
class Sessions extends ProductResource<SessionDefinition, SessionBody, SessionIdentity> {
  constructor(parts: ResourceParts) {
    super(SESSION, parts);
  }

  protected setIn(entry: ProductEntry) {
    return entry.sessions;
  }

  /** Sessions have no counters of their own. */
  protected spaces(): string[] {
    return [];
  }

  protected override check(body: SessionBody): void {
    this.parts.issuers.check(body);
  }

  /**
   * Makes a new key for the tokens of one environment. It signs from now on; earlier keys verify
   * until the last token they signed has expired. Returns the new key's id. Throws `VALIDATION`,
   * `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`.
   */
  async rotate(product: string, options: { readonly env: string }): Promise<{ kid: string }> {
    const issues = new Issues();
    const env = new Fields(options, "options", ["env"], issues).tag("env");
    issues.throwAny();
    return this.read(async (catalogue) => {
      const { uid } = catalogue.entry(product).environments.read(product, env).identity;
      return { kid: await this.parts.signing.rotate({ product, env, uid }) };
    });
  }

  /**
   * Deletes a session definition: its tokens are refused from then on, even if another is created
   * under its tag. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `SESSION_NOT_FOUND`,
   * `REVISION_CONFLICT`.
   */
  async delete(product: string, tag: string, options?: DeleteOptions): Promise<void> {
    await this.remove(product, tag, null, options);
  }
}
