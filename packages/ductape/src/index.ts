export { amountText, sumOf, type Rounding } from "./decide/amount.js";
export { copyStore, type CopyOptions, type CopyProgress } from "./copy.js";
export type {
  CacheCalls,
  Client,
  DefinitionCalls,
  FeatureCalls,
  FeaturesCalls,
  ProcessorCalls,
  ProductCalls,
  QuotaCalls,
  SessionCalls,
  SessionDefinitionCalls,
  UsageCalls,
} from "./client/client.js";
export type {
  AppliedConfiguration,
  ApplyOptions,
  Configuration,
  DefinitionChange,
  FieldChange,
  ProductConfiguration,
} from "./define/configuration.js";
export { Ductape, type DuctapeOptions } from "./ductape.js";
export { EmbeddedDuctape, type EmbeddedOptions } from "./client/embedded.js";
export {
  DuctapeError,
  ConflictError,
  NotFoundError,
  SessionError,
  StoreError,
  ValidationError,
  ERRORS,
  show,
  visible,
  type ErrorCode,
  type ErrorRow,
  type Issue,
} from "./base/errors.js";
export type { Networks } from "./base/outgoing.js";
export { postgresStore, type PostgresStoreOptions } from "./stores/postgres/postgres.js";
export type {
  PostgresClient,
  PostgresPool,
  PostgresQuery,
  PostgresResult,
} from "./stores/postgres/pool.js";
export type {
  StoreFact,
  StoreRoom,
  Store,
  StoreContext,
  StoreGuarantees,
  StoreMaker,
} from "./stores/store.js";
export { QuotaExceededError } from "./quota/exceeded.js";
export { RemoteDuctape, type RemoteOptions } from "./remote/client.js";
export { unknownField, type Empty } from "./base/field.js";
export { ACTIONS, type Action } from "./decide/action.js";
export type {
  BoundChange,
  BoundHold,
  BoundHoldInput,
  BoundInput,
  BoundQuota,
} from "./quota/bound.js";
export type { Hold } from "./quota/hold.js";
export type { HoldInput } from "./quota/hold-calls.js";
export type { OpenReservation, ReservationsInput, ReservationsPage } from "./quota/reservations.js";
export type { QuotaTarget } from "./quota/target.js";
export type { QuotaInput } from "./quota/request.js";
export type { SessionInput } from "./quota/input-fields.js";
export type { SubjectInput } from "./define/subject.js";
export type {
  Admitted,
  Alert,
  Decision,
  Degraded,
  DegradedAdmitted,
  DegradedBase,
  DegradedDenied,
  Denied,
  EnforcedResult,
  QuotaResult,
  ResultBase,
  RuleResult,
} from "./quota/decision.js";
export type { ReservationResult } from "./quota/reservation.js";
export type { ResultWindow } from "./quota/window-text.js";
export type { OutagePolicy } from "./base/settings.js";
export type { Cache, CacheInput } from "./define/cache.js";
export type { CachedCounter, CacheQuery, CacheValue } from "./product/caches.js";
export type {
  Feature,
  FeatureBody,
  FeatureInput,
  HandlerInput,
  HandlerPlace,
} from "./define/feature.js";
export {
  UncommittedError,
  type FeatureAnswer,
  type FeatureCommitted,
  type FeatureDenied,
  type FeatureDone,
  type FeatureHeld,
  type FeatureReserved,
  type FeatureTarget,
} from "./feature/answer.js";
export type { FeatureHandler, FeatureWork } from "./feature/handlers.js";
export type {
  FeatureCommitInput,
  FeatureEnabledInput,
  FeatureExtendInput,
  FeatureReleaseInput,
  FeatureReserveInput,
  FeatureRunInput,
} from "./feature/request.js";
export type { InputField, InputFieldBody, InputType } from "./define/feature-input.js";
export type {
  EventInput,
  SequenceEvent,
  SequenceInput,
  SequenceStep,
} from "./define/feature-sequence.js";
export type { AmountInput, QuotaUse, QuotaUseInput } from "./define/quota-use.js";
export type { Template } from "./define/template.js";
export type { LimitInput } from "./define/limit.js";
export type { Rule, RuleInput, WindowKind } from "./define/rule.js";
export type { QuotaDefinition, QuotaView } from "./define/quota.js";
export type { Environment, EnvironmentInput } from "./define/environment.js";
export type { DeleteOptions, Patch } from "./define/patch.js";
export type { Product, ProductInput } from "./define/product.js";
export { PERIOD_UNITS, type Period, type PeriodUnit, type Weekday } from "./decide/period.js";
export type { AlertEvent, AlertListener } from "./quota/events.js";
export type { Logger } from "./base/logger.js";
export type { CallOptions, CallSignal, Clock } from "./base/call.js";
export { redisStore } from "./stores/redis/redis.js";
export type { Durability, RedisClient, RedisStoreOptions } from "./stores/redis/settings.js";
export type { KeptRecord, Records, RecordWrite } from "./define/records.js";
export type { CountersInput, KeptCounters } from "./usage/counters.js";
export type { HistoryInput, UsageHistory, WindowUsage } from "./usage/history.js";
export type { UsageTarget } from "./usage/target.js";
export type { UsageWindow } from "./usage/last.js";
export type { SubjectsInput, SubjectsPage, SubjectUsage } from "./usage/usage.js";
export type { Algorithm, IssuerBody, IssuerInput, Jwk, PublicKey } from "./define/issuer.js";
export type { SessionData } from "./define/sample.js";
export type {
  SessionBody,
  SessionDefinition,
  SessionPeriod,
  SessionView,
} from "./define/session.js";
export type {
  ListedSession,
  ListInput,
  RevokeInput,
  SessionPage,
  SessionTarget,
  StartedSession,
  StartInput,
} from "./sessions/user-sessions.js";
