import type { AheadWarnings } from "./clock-ahead.js";
import {
  parseBatchCall,
  parseCall,
  settleEach,
  within,
  type CallOptions,
  type Clock,
} from "../base/call.js";
import type { Catalogue } from "../define/catalogue.js";
import type { CompiledQuota } from "../define/quota.js";
import { decisionOf, type Admitted, type Decision } from "./decision.js";
import { DuctapeError, faultAt, StoreError } from "../base/errors.js";
import { QuotaExceededError } from "./exceeded.js";
import type { Events } from "./events.js";
import { planStep } from "./plan.js";
import { refuseSameKeys } from "./answer-key.js";
import { nonEmpty } from "../decide/non-empty.js";
import type { StepOutcome } from "../decide/outcome.js";
import type { Step } from "../decide/plan.js";
import type { Identity } from "../define/subject.js";
import { BoundQuota, targetOf, type BoundRun } from "./bound.js";
import { HoldCalls, type OpenHolds } from "./hold-calls.js";
import {
  listReservations,
  parseReservations,
  type ReservationsInput,
  type ReservationsPage,
} from "./reservations.js";
import { parseBound, parseRequest, type Place, type QuotaInput, type Request } from "./request.js";
import { isFromRecord, isUnknownYet, planFromRecord, type Asked } from "./from-record.js";
import type { SessionInput } from "./input-fields.js";
import type { Verifier } from "../sessions/verifier.js";
import type { Store } from "../stores/store.js";
import type { Gate } from "../base/gate.js";

/** The parts that the flow joins. */
interface QuotaParts {
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly events: Events;
  readonly ahead: AheadWarnings;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly gate: Gate;
  /** A new id for a hold without one. */
  readonly newId: () => string;
  readonly holds: OpenHolds;
}

/** How often a plan is made again because its window ends or its rules change during the call. */
const REPLANS_MAX = 20;

/** THE FLOW: one call from input to decision. Every step is a leaf that returns here. */
export class Quota extends HoldCalls<Decision> {
  readonly #parts: QuotaParts;
  readonly #defaults: CallOptions;

  constructor(parts: QuotaParts) {
    super(parts.holds);
    this.#parts = parts;
    this.#defaults = { timeoutMs: parts.timeoutMs };
  }

  /**
   * Decides one request atomically. A denial is a value and costs nothing. Throws `VALIDATION`,
   * `*_NOT_FOUND`, `ENVIRONMENT_INACTIVE`, `SUBJECT_REQUIRED`, `SESSION_*`, `IDEMPOTENCY_CONFLICT`,
   * `STORE_UNAVAILABLE`, `TIMEOUT`, `ABORTED`, `OVERLOADED`, `OUTCOME_UNKNOWN`.
   */
  override run(input: QuotaInput, options?: CallOptions): Promise<Decision> {
    // Not an async function: when nothing waits, one would cost as much as the decision.
    try {
      const request = parseRequest(input, this.#parts.newId);
      const call = options === undefined ? this.#defaults : parseCall(options, this.#defaults);
      const opening = this.#parts.gate.open(call);
      const quota = opening === null ? this.#parts.catalogue.find(request) : null;
      return this.#runOn(request, quota, call, opening);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As {@link run}, for one quota that is named once. */
  bind(place: Place): BoundQuota<Decision> {
    const { catalogue, gate, newId } = this.#parts;
    let known: CompiledQuota | null = null;
    let edition = -1;
    const run: BoundRun<Decision> = (action, input, options) => {
      try {
        const request = parseBound(place, action, input, newId);
        const call = options === undefined ? this.#defaults : parseCall(options, this.#defaults);
        const opening = gate.open(call);
        if (opening !== null) return this.#runOn(request, null, call, opening);
        // Only a lookup shows whether the cache still exists.
        if (request.cache !== null) {
          return this.#runOn(request, catalogue.find(request), call, null);
        }
        if (known === null || edition !== catalogue.edition) {
          known = catalogue.find(request);
          edition = catalogue.edition;
        }
        return this.#runOn(request, known, call, null);
      } catch (error) {
        return Promise.reject(error);
      }
    };
    return new BoundQuota(run, this, targetOf(place));
  }

  #runOn(
    request: Request,
    quota: CompiledQuota | null,
    call: CallOptions,
    opening: Promise<void> | null,
  ): Promise<Decision> {
    const nowMs = this.#parts.clock();
    if (quota === null) return this.#parts.gate.track(this.#locate(request, call, opening));
    const { session } = request;
    const identity = session === null ? null : this.#seen(request, session, nowMs);
    if (session !== null && identity === null) {
      return this.#parts.gate.track(this.#meet(request, call));
    }
    return this.#decide(request, identity, call, quota, nowMs, 1);
  }

  async #locate(
    request: Request,
    call: CallOptions,
    ready: Promise<void> | null,
  ): Promise<Decision> {
    // Also when there is nothing to wait for: a call that finds its quota must not overtake this
    // one.
    await ready;
    const quota = await this.#parts.catalogue.locate(request);
    const identity = await this.#identify(request);
    return this.#decide(request, identity, call, quota, this.#parts.clock(), 1);
  }

  /** The path of a token not seen before, whose quota is known. */
  async #meet(request: Request, call: CallOptions): Promise<Decision> {
    const identity = await this.#identify(request);
    const { catalogue, clock } = this.#parts;
    const quota = catalogue.find(request) ?? (await catalogue.locate(request));
    return this.#decide(request, identity, call, quota, clock(), 1);
  }

  /** A request for the input as it is now; null if {@link run} refuses it. */
  askedOf(input: QuotaInput): Request | null {
    try {
      return parseRequest(input, this.#parts.newId);
    } catch {
      return null;
    }
  }

  /**
   * False if a session's token has to be verified first, because it was never seen here or is no
   * longer valid.
   */
  knowsWhoAsks(request: Request): boolean {
    const { session } = request;
    return session === null || this.#seen(request, session, this.#parts.clock()) !== null;
  }

  #seen({ productTag, env }: Request, session: SessionInput, nowMs: number): Identity | null {
    return this.#parts.verifier.seen(productTag, env, session.tag, session.token, nowMs);
  }

  async #identify({ session, productTag, env }: Request): Promise<Identity | null> {
    if (session === null) return null;
    return this.#parts.verifier.identify(productTag, env, session.tag, session.token);
  }

  #decide(
    request: Request,
    identity: Identity | null,
    call: CallOptions,
    quota: CompiledQuota,
    nowMs: number,
    plans: number,
  ): Promise<Decision> {
    if (request.holding !== null && isFromRecord({ request, identity, quota }, plans > 1)) {
      return this.#parts.gate.track(this.#decideRecord(request, identity, call, quota, plans));
    }
    const step = planStep(request, identity, quota, nowMs);
    return this.#apply(request, identity, call, quota, step, plans);
  }

  async #decideRecord(
    request: Request,
    identity: Identity | null,
    call: CallOptions,
    quota: CompiledQuota,
    plans: number,
  ): Promise<Decision> {
    const { store, clock } = this.#parts;
    const step = await within(planFromRecord({ request, identity, quota }, store, clock), call);
    return this.#apply(request, identity, call, quota, step, plans);
  }

  #apply(
    request: Request,
    identity: Identity | null,
    call: CallOptions,
    quota: CompiledQuota,
    step: Step,
    plans: number,
  ): Promise<Decision> {
    const outcome = this.#parts.store.apply([step], call);
    if (outcome === "stale") return this.#again(request, identity, call, plans);
    if (!(outcome instanceof Promise)) {
      if (isUnknownYet(step, outcome[0])) return this.#again(request, identity, call, plans);
      return Promise.resolve(this.#conclude(request, identity, quota, step, outcome[0]));
    }
    const { gate } = this.#parts;
    gate.begin();
    return outcome.then(
      (later) => {
        try {
          if (later === "stale" || isUnknownYet(step, later[0])) {
            return this.#again(request, identity, call, plans);
          }
          return this.#conclude(request, identity, quota, step, later[0]);
        } finally {
          gate.end();
        }
      },
      (error: unknown) => {
        gate.end();
        throw error;
      },
    );
  }

  #conclude(
    request: Request,
    identity: Identity | null,
    quota: CompiledQuota,
    step: Step,
    outcome: StepOutcome,
  ): Decision {
    const decision = decisionOf(request, identity, quota, step, outcome);
    this.#parts.ahead.look(step, outcome);
    if (decision.alerts !== undefined) this.#parts.events.publish(decision);
    return decision;
  }

  #again(
    request: Request,
    identity: Identity | null,
    call: CallOptions,
    plans: number,
  ): Promise<Decision> {
    return this.#parts.gate.track(this.#decideAgain(request, identity, call, plans));
  }

  async #decideAgain(
    request: Request,
    identity: Identity | null,
    call: CallOptions,
    plans: number,
  ): Promise<Decision> {
    if (plans >= REPLANS_MAX) throw neverCurrent();
    const { catalogue } = this.#parts;
    await catalogue.refresh();
    const quota = catalogue.find(request) ?? (await catalogue.locate(request));
    return this.#decide(request, identity, call, quota, this.#parts.clock(), plans + 1);
  }

  /** Like `run`, for code that prefers an exception: a denial throws `QUOTA_EXCEEDED`. */
  async enforce(input: QuotaInput, options?: CallOptions): Promise<Admitted> {
    const decision = await this.run(input, options);
    if (!decision.allowed) throw new QuotaExceededError(decision);
    return decision;
  }

  /**
   * Open holds, the oldest first. Throws `VALIDATION`, `*_NOT_FOUND`, `ENVIRONMENT_INACTIVE`,
   * `STORE_UNAVAILABLE`.
   */
  async reservations(input: ReservationsInput): Promise<ReservationsPage> {
    const asked = parseReservations(input);
    return this.#parts.gate.pass(() => listReservations(asked, this.#parts));
  }

  /**
   * Decides several inputs: with `atomic` together, all or none, each seeing those before it,
   * throwing like `run`. Otherwise each on its own, in one round trip: a fault appears in its
   * place as an error. Answers are in the order of the inputs.
   */
  runAll(
    inputs: readonly QuotaInput[],
    options: CallOptions & { readonly atomic: true },
  ): Promise<Decision[]>;
  runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(Decision | DuctapeError)[]>;
  async runAll(
    inputs: readonly QuotaInput[],
    options?: CallOptions & { readonly atomic?: boolean },
  ): Promise<(Decision | DuctapeError)[]> {
    const { atomic, call } = parseBatchCall(inputs, options, this.#defaults);
    if (inputs.length === 0) return [];
    if (atomic) {
      const { newId } = this.#parts;
      const requests = eachOf(inputs, (input) => parseRequest(input, newId));
      return this.#parts.gate.pass(() => this.#runAtomic(requests, call), call);
    }
    return settleEach(inputs, (input) => this.run(input, call));
  }

  async #runAtomic(requests: readonly Request[], call: CallOptions): Promise<Decision[]> {
    const { catalogue, store, events, ahead } = this.#parts;
    for (let plans = 0; plans < REPLANS_MAX; plans++) {
      const asked: Asked[] = [];
      for (const [i, request] of requests.entries()) {
        const quota =
          catalogue.find(request) ?? (await catalogue.locate(request).catch(throwAt(i)));
        const identity = await this.#identify(request).catch(throwAt(i));
        asked.push({ request, identity, quota });
      }
      const steps = await this.#planAll(asked, plans > 0, call);
      refuseSameKeys(steps);
      const outcome = await store.apply(nonEmpty(steps), call);
      const isFound = (each: StepOutcome, i: number) => !isUnknownYet(at(steps, i), each);
      if (outcome !== "stale" && outcome.every(isFound)) {
        const decisions = eachOf(asked, (each, i) =>
          decisionOf(each.request, each.identity, each.quota, at(steps, i), at(outcome, i)),
        );
        steps.forEach((step, i) => ahead.look(step, at(outcome, i)));
        for (const decision of decisions) events.publish(decision);
        return decisions;
      }
      await catalogue.refresh();
    }
    throw neverCurrent();
  }

  /** The steps of requests that are decided together. */
  async #planAll(asked: readonly Asked[], isStale: boolean, call: CallOptions): Promise<Step[]> {
    const { store, clock } = this.#parts;
    const records = new Map<Asked, Step>();
    for (const [i, each] of asked.entries()) {
      if (!isFromRecord(each, isStale)) continue;
      const planning = within(planFromRecord(each, store, clock), call);
      records.set(each, await planning.catch(throwAt(i)));
    }
    // All others at one instant, with nothing to wait for before they are decided.
    const nowMs = clock();
    return eachOf(
      asked,
      (each) => records.get(each) ?? planStep(each.request, each.identity, each.quota, nowMs),
    );
  }
}

/** Like `map`, but a fault names its input. */
function eachOf<T, U>(items: readonly T[], make: (item: T, i: number) => U): U[] {
  return items.map((item, i) => {
    try {
      return make(item, i);
    } catch (error) {
      return throwAt(i)(error);
    }
  });
}

const throwAt =
  (i: number) =>
  (error: unknown): never => {
    throw faultAt(`inputs[${i}].`, error);
  };

function at<T>(items: readonly T[], i: number): T {
  const item = items[i];
  if (item === undefined) throw new Error(`there is no item ${i} of ${items.length}`);
  return item;
}

function neverCurrent(): StoreError {
  const message = `the rules or their window changed ${REPLANS_MAX} times during the call`;
  return new StoreError("STORE_UNAVAILABLE", message);
}
