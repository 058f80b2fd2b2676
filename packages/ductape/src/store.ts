// What a store of one's own is built from. The guide docs/guides/stores.md builds one.
export { answerExpiresMs, answerKeyOf } from "./decide/answer.js";
export { apply } from "./decide/apply.js";
export {
  copyOf,
  emptyCounter,
  keptUntilMs,
  type Counter,
  type LastWindow,
} from "./decide/counter.js";
export type { Counters } from "./decide/counters.js";
export { rememberedMs, type Hold, type HoldPart, type HoldStatus } from "./decide/hold.js";
export type { Holds } from "./decide/holds.js";
export type { NonEmpty } from "./decide/non-empty.js";
export type {
  CheckNumbers,
  CheckOutcome,
  Outcome,
  ReportedCheck,
  RollingTimes,
  StepOutcome,
  StepStatus,
} from "./decide/outcome.js";
export type { Period, PeriodUnit, Span } from "./decide/period.js";
export {
  allChecks,
  onlyReads,
  type AnswerKey,
  type CachePolicy,
  type Plan,
  type RuleCheck,
  type RuleTerms,
  type Step,
} from "./decide/plan.js";
export type { Action } from "./decide/action.js";
export { splitCounterKey } from "./base/key.js";
export { StoreError } from "./base/errors.js";
export type { CallOptions, CallSignal, Clock } from "./base/call.js";
export type { Logger } from "./base/logger.js";
export { Batching, type Answers, type BatchingOptions, type Flush } from "./stores/batching.js";
export {
  ALL_NUMBERS,
  counterOf,
  LISTS,
  listText,
  type ListField,
  type NumberField,
} from "./stores/counter-record.js";
export { holdText, readHold } from "./stores/hold-record.js";
export type {
  AnswerRow,
  CounterRow,
  DocumentChange,
  DocumentPage,
  Documents,
  DocumentWrite,
  HoldPage,
  HoldRow,
  KeptDocument,
  RecordPlace,
  Records,
  Store,
  StoreContext,
  StoredDocument,
  StoreFact,
  StoreGuarantees,
  StoreMaker,
  StoreChunk,
  StoreRoom,
} from "./stores/store.js";
