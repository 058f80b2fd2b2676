import type { ErrorCode, OutagePolicy, QuotaResult } from "ductape";
import { endpoint, type Call } from "../route.js";
import {
  FEATURE_ANSWER,
  FEATURE_COMMIT_INPUT,
  FEATURE_COMMITTED,
  FEATURE_ENABLED,
  FEATURE_ENABLED_INPUT,
  FEATURE_EXTEND_INPUT,
  FEATURE_EXTENDED,
  FEATURE_HELD,
  FEATURE_RELEASE_INPUT,
  FEATURE_RESERVE_INPUT,
  FEATURE_RESERVED,
  FEATURE_RUN_INPUT,
} from "../schema/feature-run.js";

const FAULTS: readonly ErrorCode[] = [
  "PRODUCT_NOT_FOUND",
  "ENVIRONMENT_NOT_FOUND",
  "ENVIRONMENT_INACTIVE",
  "FEATURE_NOT_FOUND",
  "QUOTA_NOT_FOUND",
];
const OF_CALLER: readonly ErrorCode[] = [
  "SESSION_NOT_FOUND",
  "SUBJECT_REQUIRED",
  "SESSION_INVALID",
  "SESSION_EXPIRED",
  "SESSION_REVOKED",
  "ISSUER_UNAVAILABLE",
];
const OF_HOLD: readonly ErrorCode[] = ["RESERVATION_NOT_FOUND", "IDEMPOTENCY_CONFLICT"];
/** As much as an input of JSON may have. */
const BYTES_MAX = 1_048_576;

/** Where a feature is, and which one: the key must cover the environment. */
function targetOf({ access, params }: Call, body: { product_tag: string; env: string }) {
  access.requireEnvironment(body.product_tag, body.env);
  return { feature_tag: params["feature"] ?? "" };
}

/** Counts the decisions of a feature in the metrics. */
function told<T extends { readonly quotas: readonly QuotaResult<OutagePolicy>[] }>(
  { service }: Call,
  answer: T,
): T {
  for (const { action, code } of answer.quotas) service.metrics.decided(action, code);
  return answer;
}

const run = endpoint({
  summary: "Reserve, run the handler at the feature's URL, and charge what it used",
  input: FEATURE_RUN_INPUT,
  bodyBytesMax: BYTES_MAX,
  answers: { 200: { description: "It ran, or a quota denied", schema: FEATURE_ANSWER } },
  faults: [...FAULTS, ...OF_CALLER, "CACHE_NOT_FOUND", "HANDLER_NOT_FOUND", "HANDLER_FAILED"],
  async handle(call, body) {
    const input = { ...body, ...targetOf(call, body) };
    return told(call, await call.service.ductape.processor.feature.run(input));
  },
});

const reserve = endpoint({
  summary: "Reserve the quotas of a feature as one decision, for work that the caller does",
  input: FEATURE_RESERVE_INPUT,
  bodyBytesMax: BYTES_MAX,
  answers: { 200: { description: "Reserved, or a quota denied", schema: FEATURE_RESERVED } },
  faults: [...FAULTS, ...OF_CALLER, "CACHE_NOT_FOUND", "IDEMPOTENCY_CONFLICT"],
  async handle(call, body) {
    const input = { ...body, ...targetOf(call, body) };
    return told(call, await call.service.ductape.processor.feature.reserve(input));
  },
});

const commit = endpoint({
  summary: "Charge what the work of a reservation used",
  input: FEATURE_COMMIT_INPUT,
  bodyBytesMax: BYTES_MAX,
  answers: { 200: { description: "Charged", schema: FEATURE_COMMITTED } },
  faults: [...FAULTS, ...OF_CALLER, ...OF_HOLD],
  async handle(call, body) {
    const input = { ...body, ...targetOf(call, body) };
    return told(call, await call.service.ductape.processor.feature.commit(input));
  },
});

const extend = endpoint({
  summary: "Renew a reservation before it expires",
  input: FEATURE_EXTEND_INPUT,
  answers: { 200: { description: "Renewed, or denied once expired", schema: FEATURE_EXTENDED } },
  faults: [...FAULTS, ...OF_HOLD],
  async handle(call, body) {
    const input = { ...body, ...targetOf(call, body) };
    return told(call, await call.service.ductape.processor.feature.extend(input));
  },
});

const release = endpoint({
  summary: "Free a reservation and count nothing",
  input: FEATURE_RELEASE_INPUT,
  answers: { 200: { description: "Freed", schema: FEATURE_HELD } },
  faults: [...FAULTS, ...OF_HOLD],
  async handle(call, body) {
    const target = targetOf(call, body);
    const { service, access, requestId } = call;
    const released = await service.ductape.processor.feature.release({ ...body, ...target });
    const { product_tag, env, reservation, reason = null } = body;
    service.audit.add({
      event: "feature.release",
      actor: access.actor,
      request_id: requestId,
      target: { product_tag, env, ...target, reservation },
      before: null,
      after: { reason },
    });
    return told(call, released);
  },
});

const enabled = endpoint({
  summary: "Tell whether limits allow a feature at all",
  input: FEATURE_ENABLED_INPUT,
  answers: { 200: { description: "By its limits alone", schema: FEATURE_ENABLED } },
  faults: [...FAULTS.filter((code) => code !== "QUOTA_NOT_FOUND"), ...OF_CALLER],
  async handle(call, body) {
    const input = { ...body, ...targetOf(call, body) };
    return { enabled: await call.service.ductape.features.isEnabled(input) };
  },
});

/** The endpoints of features. */
export const FEATURE_ENDPOINTS = {
  "feature.run": run,
  "feature.reserve": reserve,
  "feature.commit": commit,
  "feature.extend": extend,
  "feature.release": release,
  "features.isEnabled": enabled,
};
