import type { Cache, CacheInput } from "../define/cache.js";
import type { CacheQuery, CacheValue } from "../product/caches.js";
import type { AppliedConfiguration, ApplyOptions, Configuration } from "../define/configuration.js";
import type { CountersInput, KeptCounters } from "../usage/counters.js";
import type { EnforcedResult, QuotaResult } from "../quota/decision.js";
import type { OutagePolicy } from "../base/settings.js";
import type { QuotaDefinition, QuotaView } from "../define/quota.js";
import type { Environment, EnvironmentInput } from "../define/environment.js";
import type { Feature, FeatureInput } from "../define/feature.js";
import type {
  FeatureAnswer,
  FeatureCommitted,
  FeatureDenied,
  FeatureHeld,
  FeatureReserved,
} from "../feature/answer.js";
import type { FeatureHandler } from "../feature/handlers.js";
import type {
  FeatureCommitInput,
  FeatureEnabledInput,
  FeatureExtendInput,
  FeatureReleaseInput,
  FeatureReserveInput,
  FeatureRunInput,
} from "../feature/request.js";
import type { DuctapeError } from "../base/errors.js";
import type { AlertListener } from "../quota/events.js";
import type { DeleteOptions, Patch } from "../define/patch.js";
import type { Product, ProductInput } from "../define/product.js";
import type { BoundQuota } from "../quota/bound.js";
import type { QuotaTarget } from "../quota/target.js";
import type { QuotaInput } from "../quota/request.js";
import type { Hold } from "../quota/hold.js";
import type { HoldInput } from "../quota/hold-calls.js";
import type { ReservationsInput, ReservationsPage } from "../quota/reservations.js";
import type { SessionData } from "../define/sample.js";
import type { SessionDefinition, SessionView } from "../define/session.js";
import type {
  ListInput,
  RevokeInput,
  SessionPage,
  SessionTarget,
  StartedSession,
  StartInput,
} from "../sessions/user-sessions.js";
import type { CallOptions } from "../base/call.js";
import type { StoreGuarantees } from "../stores/store.js";
import type { HistoryInput, UsageHistory } from "../usage/history.js";
import type { SubjectsInput, SubjectsPage } from "../usage/usage.js";

/**
 * The calls of a client, the same on its own store and through a server. Its `onStoreError`,
 * `Policy`, determines whether decisions can have {@link QuotaResult | degraded answers}.
 */
export interface Client<Policy extends OutagePolicy = "throw"> {
  /** Definitions: products, their environments, quotas, sessions, caches and features. */
  readonly product: ProductCalls;
  /** Decisions, features, and the sessions of users. */
  readonly processor: ProcessorCalls<Policy>;
  /** The handlers of features in this process, and what plans include. */
  readonly features: FeaturesCalls;
  /**
   * A quota that is named once: its methods take the rest of the input of `processor.quota.run`.
   * Throws `VALIDATION` for names that no quota can have; each call finds out whether it exists.
   */
  quota(target: QuotaTarget): BoundQuota<QuotaResult<Policy>>;
  /** Who has used how much. */
  readonly usage: UsageCalls;
  /** What the store promises: read differences between stores from here. */
  readonly guarantees: StoreGuarantees;
  /**
   * Reads and writes the store once and resolves; nothing remains of that after a minute. Throws
   * the faults of the store, `TIMEOUT` and `ABORTED`.
   */
  probe(call?: CallOptions): Promise<void>;
  /**
   * Calls `listener` with every alert that a decision of this client reports. Returns a function
   * that stops this.
   */
  onAlert(listener: AlertListener): () => void;
  /** Waits for calls in progress and releases the store. Later calls throw `STORE_UNAVAILABLE`. */
  close(): Promise<void>;
}

/** The calls of `processor.quota`, under the client's `onStoreError`. */
export interface QuotaCalls<Policy extends OutagePolicy = "throw"> {
  /**
   * Decides one request atomically and exactly. A denial is a value (`allowed: false`) and costs
   * nothing; a fault throws a {@link DuctapeError}: `VALIDATION`, `PRODUCT_NOT_FOUND`,
   * `ENVIRONMENT_NOT_FOUND`, `QUOTA_NOT_FOUND`, `SESSION_NOT_FOUND`, `CACHE_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `SUBJECT_REQUIRED`, `RESERVATION_NOT_FOUND`, `IDEMPOTENCY_CONFLICT`,
   * `STORE_UNAVAILABLE`, `TIMEOUT`, `ABORTED`, `OVERLOADED`, `OUTCOME_UNKNOWN`.
   */
  run(input: QuotaInput, options?: CallOptions): Promise<QuotaResult<Policy>>;
  /**
   * Like `run`, but a denial throws `QuotaExceededError` with the denial as its `result`, and
   * under `onStoreError: "deny"` the store's fault is thrown.
   */
  enforce(input: QuotaInput, options?: CallOptions): Promise<EnforcedResult<Policy>>;
  /**
   * Decides up to 1,000 inputs. With `atomic` together: all or none, each seeing those before it;
   * a fault throws. Otherwise each on its own: a fault appears as a {@link DuctapeError} in its
   * place.
   */
  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<QuotaResult<Policy>[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(QuotaResult<Policy> | DuctapeError)[]>;
  /**
   * Sets an amount aside while `work` runs. When it returns, what `hold.use` counted is committed,
   * or the whole amount if that was never called. When it throws, the hold is released and the
   * error thrown; if the release fails, that is logged. When `hold.signal` was aborted, what was
   * used is committed either way. Throws like `enforce`, and the faults of the commit.
   */
  hold<T>(
    input: HoldInput,
    work: (hold: Hold<QuotaResult<Policy>>) => T | PromiseLike<T>,
    options?: CallOptions,
  ): Promise<T>;
  /**
   * Sets an amount aside, and extends it until it is settled: by its methods, or at the end of an
   * `await using` scope. Throws like `enforce`.
   */
  hold(input: HoldInput, options?: CallOptions): Promise<Hold<QuotaResult<Policy>>>;
  /**
   * Open holds of a quota or of all, the oldest first. Throws `VALIDATION`, `*_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `STORE_UNAVAILABLE`.
   */
  reservations(input: ReservationsInput): Promise<ReservationsPage>;
}

/** What decides: `ductape.processor`. */
export interface ProcessorCalls<Policy extends OutagePolicy = "throw"> {
  readonly quota: QuotaCalls<Policy>;
  readonly feature: FeatureCalls<Policy>;
  readonly sessions: SessionCalls;
}

/** Runs features: `ductape.processor.feature`. */
export interface FeatureCalls<Policy extends OutagePolicy = "throw"> {
  /**
   * Reserves all quotas of a feature as one decision, runs its handler, and charges what it really
   * used. A denial is a value, and the handler does not run. If the handler throws, everything is
   * released and its error is thrown. Throws `VALIDATION` before anything is held, `*_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `SUBJECT_REQUIRED`, `SESSION_*`, the faults of the store, and
   * `UncommittedError`. The options bound each decision, not the work; the signal reaches the
   * handler.
   */
  run(input: FeatureRunInput, options?: CallOptions): Promise<FeatureAnswer<Policy>>;
  /**
   * Reserves for work that the caller does, until `commit` or `release`. Throws like `run`, and
   * `VALIDATION` for a feature whose sequence runs others.
   */
  reserve(
    input: FeatureReserveInput,
    options?: CallOptions,
  ): Promise<FeatureReserved<Policy> | FeatureDenied<Policy>>;
  /**
   * Charges what the caller's work used, as `settle` of each quota says. Twice counts once. Throws
   * `VALIDATION`, `RESERVATION_NOT_FOUND`, `IDEMPOTENCY_CONFLICT`, and the faults of the store.
   */
  commit(input: FeatureCommitInput, options?: CallOptions): Promise<FeatureCommitted<Policy>>;
  /**
   * Renews a reservation before it expires; one that has expired may be denied. Throws
   * `RESERVATION_NOT_FOUND`, `IDEMPOTENCY_CONFLICT` once it is settled.
   */
  extend(input: FeatureExtendInput, options?: CallOptions): Promise<FeatureHeld | FeatureDenied>;
  /** Frees what is reserved and counts nothing. Throws `RESERVATION_NOT_FOUND`. */
  release(input: FeatureReleaseInput, options?: CallOptions): Promise<FeatureHeld>;
}

/** The features of this process: `ductape.features`. */
export interface FeaturesCalls {
  /**
   * Registers what does the work of a feature in this process. Returns a function that takes it
   * back. Throws `VALIDATION` if the feature has a handler already.
   */
  handle(product: string, tag: string, handler: FeatureHandler): () => void;
  /**
   * Whether a plan includes a feature, by its limits alone: false if a quota that it needs has a
   * limit of 0 or is not defined. Counts nothing. Throws like `quota.run`.
   */
  isEnabled(input: FeatureEnabledInput, options?: CallOptions): Promise<boolean>;
}

/** The definitions of one kind in a product, whose tag is the first argument of each call. */
export interface DefinitionCalls<Input, View> {
  /** Creates a definition. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `ALREADY_EXISTS`. */
  create(product: string, input: Input): Promise<View>;
  /**
   * Changes the fields that the patch names. Throws `VALIDATION`, `*_NOT_FOUND`,
   * `REVISION_CONFLICT`.
   */
  update(product: string, id: string, patch: Patch<Input>): Promise<View>;
  /** One definition. Throws `*_NOT_FOUND`, and `VALIDATION` if it cannot be read. */
  fetch(product: string, id: string): Promise<View>;
  /** All readable definitions, by tag or slug. Throws `PRODUCT_NOT_FOUND`. */
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
   * A new quota starts at zero. When a quota changes, a rule of the same name and scope keeps its
   * counters, `used` carries over into a changed window, and the counters of removed rules are
   * deleted.
   */
  readonly quotas: DefinitionCalls<QuotaDefinition, QuotaView>;
  readonly sessions: SessionDefinitionCalls;
  readonly caches: CacheCalls;
  /** What a product does, with the quotas that it uses: {@link FeatureInput}. */
  readonly features: DefinitionCalls<FeatureInput, Feature>;
  /** Creates a product. Throws `VALIDATION`, `ALREADY_EXISTS`. */
  create(input: ProductInput): Promise<Product>;
  /**
   * Applies all definitions of a configuration or none: creates what is missing, changes what
   * differs, keeps what it does not name. A field that is left out gets its default in a new
   * definition and stays unchanged in an existing one. Throws `VALIDATION`, which names each wrong
   * field by its path: `products[0].quotas[1].limit`.
   */
  apply(configuration: Configuration, options?: ApplyOptions): Promise<AppliedConfiguration>;
  /**
   * Changes its name or description. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `REVISION_CONFLICT`.
   */
  update(tag: string, patch: Patch<ProductInput>): Promise<Product>;
  /** The product with a tag. Throws `PRODUCT_NOT_FOUND`, and `VALIDATION` if it cannot be read. */
  fetch(tag: string): Promise<Product>;
  /** All readable products, by tag. */
  fetchAll(): Promise<Product[]>;
  /**
   * Deletes a product with its environments, quotas and counters. Throws `PRODUCT_NOT_FOUND`, and
   * `VALIDATION` without `force` while a counter is in use.
   */
  delete(tag: string, options?: DeleteOptions): Promise<void>;
}

/**
 * Sessions of a product: `ductape.product.sessions`. A changed definition applies to tokens issued
 * from then on. If `encrypted`, the issuer or its keys change, earlier tokens are refused.
 */
export interface SessionDefinitionCalls extends DefinitionCalls<SessionDefinition, SessionView> {
  /**
   * Makes a new key for the tokens of one environment. It signs from now on; earlier keys verify
   * until the last token they signed has expired. Returns the new key's id. Throws `VALIDATION`,
   * `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`.
   */
  rotate(product: string, options: { readonly env: string }): Promise<{ readonly kid: string }>;
}

/** Caches of a product: `ductape.product.caches`. */
export interface CacheCalls extends DefinitionCalls<CacheInput, Cache> {
  /**
   * The entries in use of a cache in the process that decides, by key. An entry is listed under
   * the cache that used it last. Throws `VALIDATION`, `PRODUCT_NOT_FOUND`, `CACHE_NOT_FOUND`.
   */
  values(product: string, query: CacheQuery): Promise<CacheValue[]>;
}

/**
 * Sessions of users: `ductape.processor.sessions`. Every call throws `VALIDATION` for a wrong or
 * unknown field, `PRODUCT_NOT_FOUND`, `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_INACTIVE`,
 * `SESSION_NOT_FOUND`, and the faults of the store. No error contains a token or the data of a
 * session.
 */
export interface SessionCalls {
  /**
   * Starts a session. Throws `SUBJECT_REQUIRED` if `data` has no value for the definition's
   * selector, and `VALIDATION` if it does not match the sample.
   */
  start(input: StartInput): Promise<StartedSession>;
  /**
   * A copy of the data of a session, by its access token. Throws like `quota.run` for a session.
   */
  decrypt(input: SessionTarget & { readonly token: string }): Promise<SessionData>;
  /**
   * Exchanges a refresh token for the next pair, with the same data. For 60 s after that, and as
   * long as the next refresh token has not been used, it returns the same pair again; any other
   * second use revokes the session. Throws `SESSION_INVALID` and `SESSION_REVOKED`.
   */
  refresh(input: SessionTarget & { readonly refreshToken: string }): Promise<StartedSession>;
  /**
   * Ends a session, or all of one identifier: their tokens are refused at once in the process
   * that decides and within a second in all others. Returns how many it ended, not counting
   * sessions that are over, already revoked or unknown.
   */
  revoke(input: RevokeInput): Promise<{ readonly revoked: number }>;
  /** A page of the sessions that can still be used or refreshed, including revoked ones. */
  list(input: ListInput): Promise<SessionPage>;
}

/** The read side: `ductape.usage`. It reads the counters that decide, so the two cannot differ. */
export interface UsageCalls {
  /**
   * Who has used how much of a quota in the current windows, or in the last one that ended.
   * Counters in any other window are left out. Reads all counters of the rule in parts; a counter
   * that changes between two pages may appear on both or on neither. Throws `VALIDATION`,
   * `*_NOT_FOUND`, `ENVIRONMENT_INACTIVE`, `STORE_UNAVAILABLE`.
   */
  subjects(input: SubjectsInput): Promise<SubjectsPage>;
  /**
   * What was used in the current window and in the earlier ones that the rule keeps by its
   * `history`, all read at one moment. Throws `VALIDATION`, `SUBJECT_REQUIRED`, `*_NOT_FOUND`,
   * `ENVIRONMENT_INACTIVE`, `STORE_UNAVAILABLE`, `TIMEOUT`.
   */
  history(input: HistoryInput): Promise<UsageHistory>;
  /**
   * How many counters a product, an environment, a quota or a rule has: what a deletion would
   * remove. Reads them all in parts. Throws `VALIDATION`, `*_NOT_FOUND`, `STORE_UNAVAILABLE`.
   */
  counters(input: CountersInput): Promise<KeptCounters>;
}
