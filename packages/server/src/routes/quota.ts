import {
  DuctapeError,
  sumOf,
  ValidationError,
  type Decision,
  type ErrorCode,
  type OutagePolicy,
  type QuotaInput,
  type QuotaResult,
} from "ductape";
import type { Access } from "../access.js";
import { faultAt, problemOf, type Problem } from "../problem.js";
import { rateLimitFields } from "../rate-limit.js";
import { endpoint, type Call } from "../route.js";
import { BATCH_INPUT, BATCH_RESULT, QUOTA_INPUT, QUOTA_RESULT } from "../schema/quota.js";
import { RESERVATIONS_PAGE, RESERVATIONS_QUERY } from "../schema/reservation.js";
import { checkWire } from "../wire.js";
import { limitOf } from "./definitions.js";

const FAULTS: readonly ErrorCode[] = [
  "PRODUCT_NOT_FOUND",
  "ENVIRONMENT_NOT_FOUND",
  "ENVIRONMENT_INACTIVE",
  "QUOTA_NOT_FOUND",
  "SESSION_NOT_FOUND",
  "CACHE_NOT_FOUND",
  "RESERVATION_NOT_FOUND",
  "SUBJECT_REQUIRED",
  "SESSION_INVALID",
  "SESSION_EXPIRED",
  "SESSION_REVOKED",
  "IDEMPOTENCY_CONFLICT",
  "ISSUER_UNAVAILABLE",
  "OUTCOME_UNKNOWN",
];

/** Depending on the server's `onStoreError`, a result may be degraded. */
type Result = QuotaResult<OutagePolicy>;

const INPUTS_MAX = 1_000;
const BATCH_BYTES_MAX = 1_048_576;

const run = endpoint({
  summary: "Decide one request",
  input: QUOTA_INPUT,
  headers: ["Idempotency-Key"],
  answers: {
    200: {
      description: "The decision: admitted or denied",
      schema: QUOTA_RESULT,
      headers: ["RateLimit-Policy", "RateLimit", "Retry-After"],
    },
  },
  faults: FAULTS,
  async handle(call, body) {
    const { service, reply } = call;
    const turn = service.eventLoop.now();
    const input = withKey(body, call.header("idempotency-key"));
    try {
      authorize(call.access, input);
      const result = await service.ductape.processor.quota.run(input);
      await service.eventLoop.endOf(turn);
      tell(call, result, input);
      if (result.degraded) return result;
      const making = service.partitions.ready();
      if (making !== null) await making;
      const { partitions, random } = service;
      const fields = rateLimitFields(result, { partitions, nowMs: service.clock(), random });
      if (fields.policy !== null) reply.header("ratelimit-policy", fields.policy);
      if (fields.limit !== null) reply.header("ratelimit", fields.limit);
      if (fields.retryAfter !== null) reply.header("retry-after", fields.retryAfter);
      return result;
    } catch (error) {
      service.metrics.decided(input.action, outcomeOf(error));
      throw error;
    }
  },
});

const batch = endpoint({
  summary: "Decide several requests, each on its own or all together",
  input: BATCH_INPUT,
  bodyBytesMax: BATCH_BYTES_MAX,
  answers: { 200: { description: "A result or a problem for each input", schema: BATCH_RESULT } },
  faults: FAULTS,
  async handle(call, { inputs, atomic }) {
    if (inputs.length > INPUTS_MAX) {
      const message = `expects an array of at most ${INPUTS_MAX} inputs, got ${inputs.length}`;
      throw new ValidationError([{ path: "inputs", message }]);
    }
    const results = atomic === true ? await runAtomic(call, inputs) : await runEach(call, inputs);
    return { results };
  },
});

const reservations = endpoint({
  summary: "List open holds",
  input: RESERVATIONS_QUERY,
  answers: { 200: { description: "A page, the oldest first", schema: RESERVATIONS_PAGE } },
  faults: ["PRODUCT_NOT_FOUND", "ENVIRONMENT_NOT_FOUND", "ENVIRONMENT_INACTIVE", "QUOTA_NOT_FOUND"],
  handle({ service, access }, { limit, older_than_ms, ...query }) {
    access.requireEnvironment(query.product_tag, query.env);
    const olderThanMs = older_than_ms === undefined ? undefined : Number(older_than_ms);
    return service.ductape.processor.quota.reservations({
      ...query,
      limit: limitOf(limit),
      older_than_ms: olderThanMs,
    });
  },
});

/** The endpoints of decisions and holds. */
export const QUOTA_ENDPOINTS = {
  "quota.run": run,
  "quota.runAll": batch,
  "quota.reservations": reservations,
};

async function runAtomic(call: Call, inputs: readonly unknown[]): Promise<Result[]> {
  const checked = inputs.map((input, i) => {
    const prefix = `inputs[${i}]`;
    checkWire(QUOTA_INPUT, input, prefix, `${prefix}.`);
    try {
      authorize(call.access, input);
    } catch (error) {
      throw faultAt(`${prefix}.`, error);
    }
    return input;
  });
  const { ductape, metrics } = call.service;
  try {
    const results = await ductape.processor.quota.runAll(checked, { atomic: true });
    results.forEach((result, i) => tell(call, result, checked[i]));
    return results;
  } catch (error) {
    for (const { action } of checked) metrics.decided(action, outcomeOf(error));
    throw error;
  }
}

async function runEach(call: Call, inputs: readonly unknown[]): Promise<(Result | Problem)[]> {
  const { ductape, metrics } = call.service;
  const places: (Result | Problem | null)[] = [];
  const allowed: QuotaInput[] = [];
  for (const input of inputs) {
    try {
      checkWire(QUOTA_INPUT, input, "input");
      authorize(call.access, input);
      allowed.push(input);
      places.push(null);
    } catch (error) {
      metrics.decided("unknown", outcomeOf(error));
      places.push(problemOf(error, call.requestId));
    }
  }
  const results = await ductape.processor.quota.runAll(allowed);
  let next = 0;
  return places.map((place) => {
    if (place !== null) return place;
    const [input, result] = [allowed[next], results[next]];
    next++;
    if (input === undefined || result === undefined) throw new Error("an input has no result");
    if (!DuctapeError.is(result)) {
      tell(call, result, input);
      return result;
    }
    metrics.decided(input.action, result.code);
    return problemOf(result, call.requestId);
  });
}

/** Throws unless the key allows this action in this place. */
function authorize(access: Access, { action, product_tag, env }: QuotaInput): void {
  access.require(`quota:${action}`);
  access.requireEnvironment(product_tag, env);
}

const AUDITED = new Set(["reset", "set", "grant", "release"]);

/**
 * Counts a decision in the metrics, and logs those that changed a count or a limit on purpose, or
 * released a hold for a reason.
 */
function tell({ service, access, requestId }: Call, result: Result, input?: QuotaInput): void {
  const { action, code } = result;
  service.metrics.decided(action, code);
  if (!AUDITED.has(action) || result.degraded || result.replayed || !result.allowed) return;
  const reason = typeof input?.reason === "string" ? input.reason : null;
  // Programs release the holds of their own work, and give no reason.
  if (action === "release" && reason === null) return;
  const { product_tag, env, quota_tag, subject, rule } = result;
  const target = { product_tag, env, quota_tag, rule, subject };
  service.audit.add({
    event: `quota.${action}`,
    actor: access.actor,
    request_id: requestId,
    target: reason === null ? target : { ...target, reservation: result.reservation?.id ?? null },
    ...changeOf(result, reason),
  });
}

/** What a decision changed on purpose, for the audit log. */
function changeOf(
  { action, used, limit, amount, previous_used, reservation }: Decision,
  reason: string | null,
): { readonly before: unknown; readonly after: unknown } {
  if (action === "release") {
    return { before: { held: reservation?.held ?? 0 }, after: { held: 0, reason } };
  }
  if (action !== "grant") return { before: { used: previous_used ?? null }, after: { used } };
  return { before: { limit: limit === null ? null : sumOf(limit, -amount) }, after: { limit } };
}

/** The header may replace the field; its text may be quoted or not. */
function withKey(input: QuotaInput, header: string | undefined): QuotaInput {
  if (header === undefined) return input;
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header)?.[1]?.replaceAll(/\\(.)/g, "$1");
  const key = quoted ?? header;
  const given = input.idempotency_key;
  if (typeof given === "string" && given !== key) {
    const message = "is not the key of the header Idempotency-Key; send one of the two";
    throw new ValidationError([{ path: "idempotency_key", message }]);
  }
  return { ...input, idempotency_key: key };
}

function outcomeOf(error: unknown): string {
  return DuctapeError.is(error) ? error.code : "INTERNAL";
}
