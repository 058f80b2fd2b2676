export { amountText, sumOf, type Rounding } from "./amount.js";
export { copyStore, type CopyOptions, type CopyProgress } from "./copy.js";
export type {
  CacheCalls,
  Client,
  DefinitionCalls,
  ProductCalls,
  QuotaCalls,
  SessionCalls,
  SessionDefinitionCalls,
  UsageCalls,
} from "./client.js";
export type {
  AppliedConfiguration,
  ApplyOptions,
  Configuration,
  DefinitionChange,
  FieldChange,
  ProductConfiguration,
} from "./configuration.js";
export { Ductape, type DuctapeOptions } from "./ductape.js";
export { EmbeddedDuctape, type EmbeddedOptions } from "./embedded.js";
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
} from "./errors.js";
export type { Networks } from "./outgoing.js";
export { postgresStore, type PostgresStoreOptions } from "./stores/postgres/postgres.js";
export type {
  PostgresClient,
  PostgresPool,
  PostgresQuery,
  PostgresResult,
} from "./stores/postgres/pool.js";
export type { StoreFact, StoreRoom } from "./store.js";
export { QuotaExceededError } from "./exceeded.js";
export { RemoteDuctape, type RemoteOptions } from "./remote/client.js";
export { unknownField } from "./request.js";
export type { Action, Empty, QuotaInput, SessionInput, SubjectInput } from "./request.js";
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
  OutagePolicy,
  QuotaResult,
  ResultBase,
  ResultWindow,
  RuleResult,
} from "./decision.js";
export type { Cache, CachedCounter, CacheInput, CacheQuery, CacheValue } from "./cache.js";
export type { LimitInput } from "./limit.js";
export type { Rule, RuleInput } from "./rule.js";
export type { QuotaDefinition, QuotaView } from "./definition.js";
export type { Environment, EnvironmentInput } from "./environment.js";
export type { DeleteOptions, Patch } from "./patch.js";
export type { Product, ProductInput } from "./product.js";
export type { Period, PeriodUnit, Weekday } from "./period.js";
export type { AlertEvent, AlertListener, Logger } from "./events.js";
export type {
  CallOptions,
  CallSignal,
  Clock,
  Store,
  StoreContext,
  StoreGuarantees,
  StoreMaker,
} from "./store.js";
export { redisStore } from "./stores/redis/redis.js";
export type { Durability, RedisClient, RedisStoreOptions } from "./stores/redis/settings.js";
export type { KeptRecord, Records, RecordWrite } from "./records.js";
export type { CountersInput, KeptCounters } from "./counters.js";
export type { HistoryInput, UsageHistory, WindowUsage } from "./history.js";
export type { UsageTarget } from "./standing.js";
export type { UsageWindow } from "./last.js";
export type { SubjectsInput, SubjectsPage, SubjectUsage } from "./usage.js";
export type { Algorithm, IssuerBody, IssuerInput, Jwk, PublicKey } from "./trust.js";
export type { SessionData } from "./sample.js";
export type { SessionBody, SessionDefinition, SessionPeriod, SessionView } from "./session.js";
export type {
  ListedSession,
  ListInput,
  RevokeInput,
  SessionPage,
  SessionTarget,
  StartedSession,
  StartInput,
} from "./sessions/calls.js";
