import type { Cache, CacheInput } from "../define/cache.js";
import type { CacheQuery, CacheValue } from "../product/caches.js";
import type { AppliedConfiguration, ApplyOptions, Configuration } from "../define/configuration.js";
import type { CountersInput, KeptCounters } from "../usage/counters.js";
import type { EnforcedResult, QuotaResult } from "../quota/decision.js";
import type { OutagePolicy } from "../base/settings.js";
import type { QuotaDefinition, QuotaView } from "../define/quota.js";
import type { Environment, EnvironmentInput } from "../define/environment.js";
import type { DuctapeError } from "../base/errors.js";
import type { AlertListener } from "../quota/events.js";
import type { DeleteOptions, Patch } from "../define/patch.js";
import type { Product, ProductInput } from "../define/product.js";
import type { QuotaInput } from "../quota/request.js";
import type { SessionData } from "../define/sample.js";
import type { SessionDefinition, SessionView } from "../define/session.js";
import type {
  ListInput,
  RevokeInput,
  SessionPage,
  SessionTarget,
  StartedSession,
  StartInput,
} from "../sessions/calls.js";
import type { CallOptions } from "../base/call.js";
import type { StoreGuarantees } from "../stores/store.js";
import type { HistoryInput, UsageHistory } from "../usage/history.js";
import type { SubjectsInput, SubjectsPage } from "../usage/usage.js";

/**
 * What a client does, on a store of its own or through a server: the same either way. `Policy` is
 * its `onStoreError`, by which decisions have {@link QuotaResult | degraded answers} or not.
 */
export interface Client<Policy extends OutagePolicy = "throw"> {
  /** Definitions: products, their environments, quotas, sessions and caches. */
  readonly product: ProductCalls;
  /** Decisions, and the sessions of users. */
  readonly processor: { readonly quota: QuotaCalls<Policy>; readonly sessions: SessionCalls };
  /** Who has used how much. */
  readonly usage: UsageCalls;
  /** What is promised: read differences between stores from here. */
  readonly guarantees: StoreGuarantees;
  /**
   * Resolves when the store has been read and written just now; nothing is left of it after a
   * minute. Throws as the store does, `TIMEOUT` and `ABORTED`.
   */
  probe(call?: CallOptions): Promise<void>;
  /**
   * Calls `listener` with every alert that a decision of this client reports. Returns how to stop.
   */
  onAlert(listener: AlertListener): () => void;
  /** Finishes the calls under way and releases the store. Later calls throw `STORE_UNAVAILABLE`. */
  close(): Promise<void>;
}

/** The calls of `processor.quota`, under the client's `onStoreError`. */
export interface QuotaCalls<Policy extends OutagePolicy = "throw"> {
  /**
   * Decides one request atomically and exactly. A denial is a value (`allowed: false`) and costs
   * nothing; a fault throws a {@link DuctapeError}: `VALIDATION`, `PRODUCT_NOT_FOUND`,
   * `ENVIRONMENT_NOT_FOUND`, `QUOTA_NOT_FOUND`, `SESSION_NOT_FOUND`, `CACHE_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `SUBJECT_REQUIRED`, `IDEMPOTENCY_CONFLICT`, `STORE_UNAVAILABLE`,
   * `TIMEOUT`, `ABORTED`, `OVERLOADED`, `OUTCOME_UNKNOWN`.
   */
  run(input: QuotaInput, options?: CallOptions): Promise<QuotaResult<Policy>>;
  /**
   * As `run`, but a denial throws `QuotaExceededError` with the denial as its `result`, and under
   * `onStoreError: "deny"` the store's fault is thrown.
   */
  enforce(input: QuotaInput, options?: CallOptions): Promise<EnforcedResult<Policy>>;
  /**
   * Decides up to 1,000 inputs. With `atomic` as one: all or none, each seeing those before it; a
   * fault throws. Else each on its own: a fault stands as a {@link DuctapeError} in its place.
   */
  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<QuotaResult<Policy>[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(QuotaResult<Policy> | DuctapeError)[]>;
}

/** The definitions of one kind in a product, whose tag is the first argument of each call. */
export interface DefinitionCalls<Input, View> {
  /** Makes a definition. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `ALREADY_EXISTS`. */
  create(product: string, input: Input): Promise<View>;
  /**
   * Changes what the patch names and keeps the rest. Throws `VALIDATION`, `*_NOT_FOUND`,
   * `REVISION_CONFLICT`.
   */
  update(product: string, id: string, patch: Patch<Input>): Promise<View>;
  /** One definition. Throws `*_NOT_FOUND`, and `VALIDATION` where it cannot be read. */
  fetch(product: string, id: string): Promise<View>;
  /** All that can be read, by tag or slug. Throws `PRODUCT_NOT_FOUND`. */
  fetchAll(product: string): Promise<View[]>;
  /**
   * Deletes a definition with its counters. Throws `VALIDATION`, `*_NOT_FOUND`,
   * `REVISION_CONFLICT`; for an environment also `VALIDATION` without `force` while a counter is in
   * use.
   */
  delete(product: string, id: string, options?: DeleteOptions): Promise<void>;
}

/** Products: `ductape.product`. */
export interface ProductCalls {
  readonly environments: DefinitionCalls<EnvironmentInput, Environment>;
  /**
   * A quota is made at zero. In a changed one a rule of the same name and scope keeps its counters,
   * a changed window carries `used` over, and counters of other rules are forgotten.
   */
  readonly quotas: DefinitionCalls<QuotaDefinition, QuotaView>;
  readonly sessions: SessionDefinitionCalls;
  readonly caches: CacheCalls;
  /** Makes a product. Throws `VALIDATION`, `ALREADY_EXISTS`. */
  create(input: ProductInput): Promise<Product>;
  /**
   * Makes all definitions of a configuration be as it says, or none: makes what is missing, changes
   * what differs, keeps what it does not name. What is left out of a new definition has its
   * default, and of one that is there stays as it is. Throws `VALIDATION` that names each wrong
   * field by its place: `products[0].quotas[1].limit`.
   */
  apply(configuration: Configuration, options?: ApplyOptions): Promise<AppliedConfiguration>;
  /**
   * Changes its name or description. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `REVISION_CONFLICT`.
   */
  update(tag: string, patch: Patch<ProductInput>): Promise<Product>;
  /** The product of a tag. Throws `PRODUCT_NOT_FOUND`, and `VALIDATION` where it cannot be read. */
  fetch(tag: string): Promise<Product>;
  /** All products that can be read, by tag. */
  fetchAll(): Promise<Product[]>;
  /**
   * Deletes a product with its environments, quotas and counters. Throws `PRODUCT_NOT_FOUND`, and
   * `VALIDATION` without `force` while a counter is in use.
   */
  delete(tag: string, options?: DeleteOptions): Promise<void>;
}

/**
 * Sessions of a product: `ductape.product.sessions`. A changed definition applies to the tokens
 * given out from then on; one whose form changed (`encrypted`, the issuer and its keys) takes no
 * token of the form before.
 */
export interface SessionDefinitionCalls extends DefinitionCalls<SessionDefinition, SessionView> {
  /**
   * Makes a new key for the tokens of one environment. It signs from now on; the keys before
   * verify until the last token they signed has ended. Returns the new key's id. Throws
   * `VALIDATION`, `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`.
   */
  rotate(product: string, options: { readonly env: string }): Promise<{ readonly kid: string }>;
}

/** Caches of a product: `ductape.product.caches`. */
export interface CacheCalls extends DefinitionCalls<CacheInput, Cache> {
  /**
   * The live entries of a cache in the process that decides, by key. An entry is listed under the
   * cache that used it last. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `CACHE_NOT_FOUND`.
   */
  values(product: string, query: CacheQuery): Promise<CacheValue[]>;
}

/**
 * Sessions of users: `ductape.processor.sessions`. Every call throws `VALIDATION` for a wrong or
 * unknown field, `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_INACTIVE`,
 * `SESSION_NOT_FOUND`, and as the store does. No error tells a token, or what a session holds.
 */
export interface SessionCalls {
  /**
   * Starts a session. Throws `SUBJECT_REQUIRED` where `data` has nothing at the definition's
   * selector, and `VALIDATION` where it is not like its sample.
   */
  start(input: StartInput): Promise<StartedSession>;
  /** What a session holds, by its access token: a copy. Throws as `quota.run` for a session. */
  decrypt(input: SessionTarget & { readonly token: string }): Promise<SessionData>;
  /**
   * Exchanges a refresh token for the next pair, with the same data. For 60 s after that, and as
   * long as the next refresh token has not been used, it gives the same one again; any other
   * second use revokes the session. Throws `SESSION_INVALID` and `SESSION_REVOKED`.
   */
  refresh(input: SessionTarget & { readonly refreshToken: string }): Promise<StartedSession>;
  /**
   * Ends a session, or all of one identifier: their tokens are refused at once in the process that
   * decides and within a second in every other. Returns how many were ended; one that is over,
   * revoked already or unknown is not counted.
   */
  revoke(input: RevokeInput): Promise<{ readonly revoked: number }>;
  /** Sessions that can still be used or refreshed, revoked ones too, a page at a time. */
  list(input: ListInput): Promise<SessionPage>;
}

/** The read side: `ductape.usage`. It reads the counters that decide, so it cannot differ. */
export interface UsageCalls {
  /**
   * Who has used how much of a quota in the windows that hold now, or in the one that ended last.
   * Counters that stand in no such window are left out. Reads all counters of the rule, a piece at
   * a time; pages of counters that change meanwhile may tell one twice, or not. Throws
   * `VALIDATION`, `*_NOT_FOUND`, `ENVIRONMENT_INACTIVE`, `STORE_UNAVAILABLE`.
   */
  subjects(input: SubjectsInput): Promise<SubjectsPage>;
  /**
   * What was used in the window that holds now, and in those before it that the rule keeps by its
   * `history`, as one moment shows them. Throws `VALIDATION`, `SUBJECT_REQUIRED`, `*_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `STORE_UNAVAILABLE`, `TIMEOUT`.
   */
  history(input: HistoryInput): Promise<UsageHistory>;
  /**
   * How many counters are kept of a product, an environment, a quota or a rule: what goes with a
   * deletion. Reads them all, a piece at a time. Throws `VALIDATION`, `*_NOT_FOUND`,
   * `STORE_UNAVAILABLE`.
   */
  counters(input: CountersInput): Promise<KeptCounters>;
}
