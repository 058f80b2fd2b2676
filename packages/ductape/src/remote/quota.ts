import type { Admitted, Decision, QuotaResult } from "../quota/decision.js";
import type { OutagePolicy } from "../base/settings.js";
import { DuctapeError, StoreError } from "../base/errors.js";
import type { Events } from "../quota/events.js";
import { QuotaExceededError } from "../quota/exceeded.js";
import { timedUuid } from "../base/id.js";
import { isLeftOut, isRecord } from "../base/json.js";
import { parseBatchCall, parseCall, settleEach, type CallOptions } from "../base/call.js";
import { DegradedAnswer, type Asked, type Flow } from "../client/outage.js";
import { ACTIONS, ANSWER_TTL_MS } from "../decide/action.js";
import { type QuotaInput } from "../quota/request.js";
import { Batching } from "../stores/batching.js";
import type { Call, PlaceOf } from "./calls.js";
import { encode } from "./encode.js";
import { faultOf } from "./faults.js";
import { HoldCalls, type OpenHolds } from "../quota/hold-calls.js";
import type { ReservationsInput, ReservationsPage } from "../quota/reservations.js";
import { ask } from "./send.js";
import type { Http } from "./http.js";

/** What the quota calls depend on. */
interface RemoteQuotaParts {
  readonly http: Http;
  readonly events: Events;
  readonly timeoutMs: number;
  /** Whether counting calls get an idempotency key, so that they can be repeated. */
  readonly makesKeys: boolean;
  readonly holds: OpenHolds;
}

/** An input as it is sent. */
interface Plan {
  /** JSON. */
  readonly text: string;
  /**
   * As in {@link Call}: a check is safe, and a key, the id of a hold or of a charge that is taken
   * back makes any other action idempotent.
   */
  readonly repeat: Call["repeat"];
  /** The client made the key, whose answer need not be kept for long. */
  readonly isOurKey: boolean;
  /** The client made the key or the id, so the caller does not see that an answer is a replay. */
  readonly isOurName: boolean;
  readonly deadlineMs: number;
}

/** An answer of a server, which depends on its own `onStoreError`. */
type Answer = QuotaResult<OutagePolicy>;

/** The parts of an input that an answer without the server repeats. */
export interface RemoteAsked extends Asked {
  readonly hasSession: boolean;
}

/** The most inputs that a server accepts in one request. */
const BATCH_PLANS_MAX = 1_000;
const QUEUE_PLANS_MAX = 100_000;
/** How late, after it was sent, a request may reach the server and still find its first answer. */
const LATE_MS = 10_000;
/** Below the 1 MB that a server accepts. */
const BATCH_CHARS_MAX = 300_000;

/**
 * `processor.quota` through a server. Calls made together, or while a request is in progress,
 * share one request, so that they are decided in the order in which they were made.
 */
export class RemoteQuota extends HoldCalls<Decision> implements Flow<RemoteAsked> {
  readonly #parts: RemoteQuotaParts;
  readonly #defaults: CallOptions;
  readonly #batching: Batching<Plan, Answer>;

  constructor(parts: RemoteQuotaParts) {
    super(parts.holds);
    this.#parts = parts;
    this.#defaults = { timeoutMs: parts.timeoutMs };
    this.#batching = new Batching((plans) => this.#send(plans), {
      batchPlansMax: BATCH_PLANS_MAX,
      queuePlansMax: QUEUE_PLANS_MAX,
      timeoutMs: parts.timeoutMs,
    });
  }

  override run(input: QuotaInput, options?: CallOptions): Promise<Decision> {
    return this.#parts.http.gate.pass(async () => {
      const call = parseCall(options, this.#defaults);
      const plan = this.#planOf(input, call, "input");
      return this.#decided(await this.#batching.submit(plan, call), plan);
    });
  }

  async enforce(input: QuotaInput, options?: CallOptions): Promise<Admitted> {
    const result = await this.run(input, options);
    if (!result.allowed) throw new QuotaExceededError(result);
    return result;
  }

  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<Decision[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(Decision | DuctapeError)[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(Decision | DuctapeError)[]> {
    return this.#parts.http.gate.pass(() => this.#runAll(inputs, options));
  }

  async #runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(Decision | DuctapeError)[]> {
    const { atomic, call } = parseBatchCall(inputs, options, this.#defaults);
    if (inputs.length === 0) return [];
    if (atomic) return this.#runAtomic(inputs, call);
    return settleEach(inputs, (input) => this.run(input, call));
  }

  askedOf(input: QuotaInput): RemoteAsked | null {
    const given: unknown = input;
    return isRecord(given) ? askedOf(given) : null;
  }

  /** Only a server can verify a token. */
  knowsWhoAsks({ hasSession }: RemoteAsked): boolean {
    return !hasSession;
  }

  reservations(input: ReservationsInput): Promise<ReservationsPage> {
    return ask(this.#parts.http, "GET /v1/reservations", "safe", input);
  }

  /** Resolves when no call is in progress. */
  drain(): Promise<void> {
    return this.#batching.drain();
  }

  async #runAtomic(inputs: readonly QuotaInput[], call: CallOptions): Promise<Decision[]> {
    if (call.signal?.aborted === true) {
      const message = "the call was aborted before it was sent; nothing was changed";
      throw new StoreError("ABORTED", message, { cause: call.signal.reason });
    }
    const plans = inputs.map((input, i) => this.#planOf(input, call, `inputs[${i}]`));
    const answers = resultsOf(await this.#ask(plans, true), plans.length);
    return answers.map((answer, i) => {
      const plan = plans[i];
      if (answer instanceof Error || plan === undefined) throw answer;
      return this.#decided(answer, plan);
    });
  }

  #planOf(input: QuotaInput, { timeoutMs = 0 }: CallOptions, path: string): Plan {
    const given: unknown = input;
    const fields = isRecord(given) ? given : {};
    const isRead = fields["action"] === "check";
    const isOnce = isOnceByItself(fields);
    const isOurKey = this.#parts.makesKeys && !isRead && !isOnce && hasNoKey(given);
    const isOurId = fields["action"] === "reserve" && isLeftOut(fields["reservation"]);
    const sent = isOurKey
      ? { ...input, idempotency_key: newId() }
      : isOurId
        ? { ...input, reservation: newId() }
        : given;
    const hasKey = isOnce || isOurKey || typeof fields["idempotency_key"] === "string";
    const repeat = isRead ? "safe" : hasKey ? "idempotent" : "once";
    const deadlineMs = performance.now() + timeoutMs;
    const isOurName = isOurKey || isOurId;
    return { text: encode(sent, path), repeat, isOurKey, isOurName, deadlineMs };
  }

  /** Sends several requests if one would be too large. */
  async #send(plans: readonly Plan[]): Promise<(Answer | Error)[]> {
    const batches: Plan[][] = [];
    let chars = Number.POSITIVE_INFINITY;
    for (const plan of plans) {
      if (chars + plan.text.length > BATCH_CHARS_MAX) {
        batches.push([]);
        chars = 0;
      }
      chars += plan.text.length;
      batches.at(-1)?.push(plan);
    }
    const answers: (Answer | Error)[] = [];
    for (const batch of batches) answers.push(...(await this.#sendOne(batch)));
    return answers;
  }

  async #sendOne(plans: readonly Plan[]): Promise<(Answer | Error)[]> {
    try {
      const answer = await this.#ask(plans, false);
      return plans.length === 1 ? [resultOf(answer)] : resultsOf(answer, plans.length);
    } catch (error) {
      const fault = error instanceof Error ? error : new Error(String(error));
      return plans.map(() => fault);
    }
  }

  #ask(plans: readonly Plan[], atomic: boolean): Promise<unknown> {
    const isOne = plans.length === 1 && !atomic;
    const deadlineMs = Math.max(...plans.map((plan) => plan.deadlineMs));
    const ttlMs = keptMs(deadlineMs - performance.now());
    const texts = plans.map((plan) => (plan.isOurKey ? withTtl(plan.text, ttlMs) : plan.text));
    const run: PlaceOf<"quota.run"> = "POST /v1/quota/run";
    const runAll: PlaceOf<"quota.runAll"> = "POST /v1/quota/batch";
    const [method = "", path = ""] = (isOne ? run : runAll).split(" ");
    return this.#parts.http.ask({
      method,
      path,
      body: isOne ? texts.join() : `{"inputs":[${texts.join()}],"atomic":${atomic}}`,
      repeat: repeatOf(plans),
      deadlineMs,
    });
  }

  #decided(answer: Answer, { isOurName }: Plan): Decision {
    if (answer.degraded) throw new DegradedAnswer(answer);
    const decision = isOurName && answer.replayed ? { ...answer, replayed: false } : answer;
    if (decision.alerts !== undefined) this.#parts.events.publish(decision);
    return decision;
  }
}

/** A request may be repeated as the least repeatable of its plans. */
function repeatOf(plans: readonly Plan[]): Plan["repeat"] {
  const every = (...among: string[]) => plans.every(({ repeat }) => among.includes(repeat));
  return every("safe") ? "safe" : every("safe", "idempotent") ? "idempotent" : "once";
}

/** True for what its own id makes idempotent: a hold and its end, and a refund of one charge. */
function isOnceByItself({ action, final, of }: Record<string, unknown>): boolean {
  if (action === "commit") return final !== false;
  if (action === "decrement") return typeof of === "string";
  return action === "reserve" || action === "extend" || action === "release";
}

function hasNoKey(input: unknown): boolean {
  if (!isRecord(input)) return false;
  return isLeftOut(input["idempotency_key"]) && isLeftOut(input["idempotency_ttl_ms"]);
}

/**
 * How long the server keeps the answers of the client's own keys, in milliseconds: as long as the
 * request may be sent again, plus a margin for delays on the network.
 */
function keptMs(leftMs: number): number {
  return Math.min(ANSWER_TTL_MS, Math.max(0, Math.ceil(leftMs)) + LATE_MS);
}

const withTtl = (json: string, ttlMs: number): string =>
  `${json.slice(0, -1)},"idempotency_ttl_ms":${ttlMs}}`;

/** The server, which cannot be reached, would report what is wrong in other fields. */
function askedOf(input: Record<string, unknown>): RemoteAsked | null {
  const { env, product_tag: productTag, quota_tag: quotaTag, subject, session } = input;
  const action = ACTIONS.find((each) => each === input["action"]);
  if (typeof env !== "string" || typeof productTag !== "string") return null;
  if (typeof quotaTag !== "string" || action === undefined) return null;
  const amount = isLeftOut(input["amount"]) ? Number(action !== "reset") : input["amount"];
  if (typeof amount !== "number") return null;
  const place = { action, env, productTag, quotaTag, amount };
  const name = typeof subject === "string" ? subject : null;
  return { ...place, subject: name, hasSession: !isLeftOut(session) };
}

const newId = (): string => timedUuid(crypto.randomUUID(), Date.now());

function resultsOf(answer: unknown, count: number): (Answer | Error)[] {
  const results: unknown = isRecord(answer) ? answer["results"] : null;
  if (!Array.isArray(results) || results.length !== count) throw strange();
  return results.map(resultOf);
}

function resultOf(value: unknown): Answer | Error {
  if (isResult(value)) return value;
  return faultOf(value) ?? strange();
}

/** Checks only what distinguishes a result from anything else: the server promises its form. */
function isResult(value: unknown): value is Answer {
  return isRecord(value) && typeof value["allowed"] === "boolean";
}

function strange(): StoreError {
  const message = "the server's answer is not a decision; the call may have counted";
  return new StoreError("OUTCOME_UNKNOWN", message);
}
