import { parseCall, type CallOptions } from "../base/call.js";
import { StoreError } from "../base/errors.js";
import { isLeftOut, isRecord } from "../base/json.js";
import type { Logger } from "../base/logger.js";
import type { OutagePolicy } from "../base/settings.js";
import type { FeatureCalls, SessionCalls } from "../client/client.js";
import {
  UncommittedError,
  type FeatureAnswer,
  type FeatureCommitted,
  type FeatureDenied,
  type FeatureHeld,
  type FeatureReserved,
} from "../feature/answer.js";
import type { FeatureHandler, Handlers } from "../feature/handlers.js";
import type {
  FeatureCommitInput,
  FeatureEnabledInput,
  FeatureExtendInput,
  FeatureReleaseInput,
  FeatureReserveInput,
  FeatureRunInput,
} from "../feature/request.js";
import type { SessionInput } from "../quota/input-fields.js";
import type { CallName, PlaceOf, RepeatAt } from "./calls.js";
import type { Http } from "./http.js";
import { send, viewOf } from "./send.js";

/** What {@link RemoteFeatures} depends on. */
interface RemoteFeaturesParts {
  readonly http: Http;
  readonly handlers: Handlers;
  readonly sessions: SessionCalls;
  readonly logger: Logger;
  readonly timeoutMs: number;
}

/** The longest that a server waits for a handler, in milliseconds. */
const HANDLER_MS_MAX = 600_000;

/**
 * `processor.feature` through a server. A feature whose handler is registered here runs here,
 * between a reservation and a commit on the server; any other runs on the server.
 */
export class RemoteFeatures<Policy extends OutagePolicy> implements FeatureCalls<Policy> {
  readonly #parts: RemoteFeaturesParts;

  constructor(parts: RemoteFeaturesParts) {
    this.#parts = parts;
  }

  run(given: FeatureRunInput, options?: CallOptions): Promise<FeatureAnswer<Policy>> {
    return this.#parts.http.gate.pass(async () => {
      const call = parseCall(options, {});
      const handler = this.#parts.handlers.get(given?.product_tag, given?.feature_tag);
      if (handler !== undefined) return this.#runHere(given, handler, call);
      const { timeoutMs = this.#parts.timeoutMs + HANDLER_MS_MAX } = call;
      return this.#ask("POST /v1/features/:feature/run", "once", given, { timeoutMs });
    });
  }

  reserve(
    given: FeatureReserveInput,
    options?: CallOptions,
  ): Promise<FeatureReserved<Policy> | FeatureDenied<Policy>> {
    return this.#pass(options, (call) => this.#reserve(given, call));
  }

  commit(given: FeatureCommitInput, options?: CallOptions): Promise<FeatureCommitted<Policy>> {
    const place = "POST /v1/features/:feature/commit";
    return this.#pass(options, (call) => this.#ask(place, "idempotent", given, call));
  }

  extend(given: FeatureExtendInput, options?: CallOptions): Promise<FeatureHeld | FeatureDenied> {
    const place = "POST /v1/features/:feature/extend";
    return this.#pass(options, (call) => this.#ask(place, "idempotent", given, call));
  }

  release(given: FeatureReleaseInput, options?: CallOptions): Promise<FeatureHeld> {
    const place = "POST /v1/features/:feature/release";
    return this.#pass(options, (call) => this.#ask(place, "idempotent", given, call));
  }

  /** Whether limits allow a feature at all: see `FeaturesCalls.isEnabled`. */
  async isEnabled(given: FeatureEnabledInput, options?: CallOptions): Promise<boolean> {
    const place = "POST /v1/features/:feature/enabled";
    const { enabled } = await this.#pass(options, (call) =>
      this.#ask<{ readonly enabled: boolean }, typeof place>(place, "safe", given, call),
    );
    return enabled;
  }

  #pass<T>(options: CallOptions | undefined, work: (call: CallOptions) => Promise<T>): Promise<T> {
    return this.#parts.http.gate.pass(async () => work(parseCall(options, {})));
  }

  /** With an id of its own, so that it can be repeated. */
  #reserve(
    given: FeatureReserveInput,
    call: CallOptions,
  ): Promise<FeatureReserved<Policy> | FeatureDenied<Policy>> {
    const place = "POST /v1/features/:feature/reserve";
    const hasId = isRecord(given) && !isLeftOut(given.reservation);
    const input =
      hasId || !isRecord(given) ? given : { ...given, reservation: crypto.randomUUID() };
    return this.#ask(place, "idempotent", input, call);
  }

  async #runHere(
    given: FeatureRunInput,
    handler: FeatureHandler,
    call: CallOptions,
  ): Promise<FeatureAnswer<Policy>> {
    const reserved = await this.#reserve(given, call);
    if (!reserved.allowed) return reserved;
    const { input, reservation } = reserved;
    const { id } = reservation;
    const { product_tag, env, feature_tag, session, subject } = given;
    const target = { product_tag, env, feature_tag, reservation: id };
    const beat = this.#keepAlive(target, reserved.ttl_ms);
    const result = await this.#work(given, handler, reserved, call)
      .catch(async (error: unknown) => {
        await this.#free(target);
        throw error;
      })
      .finally(() => clearInterval(beat));
    const commitment = { ...target, input, session, subject, result: jsonOf(result) };
    try {
      const place = "POST /v1/features/:feature/commit";
      const done: FeatureCommitted<Policy> = await this.#ask(place, "idempotent", commitment, {});
      const { reservation: _, ...answer } = done;
      return { ...answer, reservation: id };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      throw new UncommittedError(error, id, result);
    }
  }

  async #work(
    { product_tag: product, env, session, subject }: FeatureRunInput,
    handler: FeatureHandler,
    { input, reservation }: FeatureReserved<Policy>,
    { signal }: CallOptions,
  ): Promise<unknown> {
    const { sessions } = this.#parts;
    const data = isSession(session) ? await sessions.decrypt({ product, env, ...session }) : null;
    return handler(
      this.#parts.handlers.workOf(signal, {
        input,
        session: data,
        subject: isLeftOut(subject) ? null : subject,
        reservation: reservation.id,
        features: {},
      }),
    );
  }

  #keepAlive(target: FeatureExtendInput, ttl_ms: number): NodeJS.Timeout {
    const extend = (): void => {
      const place = "POST /v1/features/:feature/extend";
      this.#ask(place, "idempotent", { ...target, ttl_ms }, {}).catch((error: unknown) =>
        this.#parts.logger.warn(`reservation ${target.reservation} was not extended`, error),
      );
    };
    return setInterval(extend, ttl_ms / 3).unref();
  }

  async #free(target: FeatureReleaseInput): Promise<void> {
    const place = "POST /v1/features/:feature/release";
    await this.#ask(place, "idempotent", target, {}).catch((error: unknown) =>
      this.#parts.logger.warn(`reservation ${target.reservation} was not released`, error),
    );
  }

  async #ask<View extends object, At extends PlaceOf<CallName>>(
    place: At,
    repeat: RepeatAt<At>,
    given: unknown,
    { timeoutMs = this.#parts.timeoutMs }: CallOptions,
  ): Promise<View> {
    const { feature_tag, ...input } = isRecord(given) ? given : {};
    const parts = [feature_tag];
    const deadlineMs = performance.now() + timeoutMs;
    const body = isRecord(given) ? input : given;
    return viewOf(await send(this.#parts.http, place, repeat, body, { parts, deadlineMs }));
  }
}

/** Not `{}`, which means that it is left out. */
const isSession = (value: FeatureRunInput["session"]): value is SessionInput =>
  value !== undefined && "token" in value;

/** A result as JSON keeps it; what it cannot hold is undefined. */
function jsonOf(result: unknown): unknown {
  try {
    const text: string | undefined = JSON.stringify(result);
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
