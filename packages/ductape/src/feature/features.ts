import { parseCall, type CallOptions } from "../base/call.js";
import { DuctapeError, NotFoundError, show, StoreError, ValidationError } from "../base/errors.js";
import { Issues } from "../base/field.js";
import type { Gate } from "../base/gate.js";
import type { OutagePolicy } from "../base/settings.js";
import type { Catalogue } from "../define/catalogue.js";
import type { FeatureBody } from "../define/feature.js";
import { inputLike } from "../define/feature-input.js";
import { phasesOf, type Phase, type PlacedEvent } from "../define/feature-phases.js";
import type { SessionData } from "../define/sample.js";
import { filledIn } from "../define/template.js";
import type { Verifier } from "../sessions/verifier.js";
import {
  deniedBy,
  heldBy,
  UncommittedError,
  type FeatureAnswer,
  type FeatureCommitted,
  type FeatureDenied,
  type FeatureDone,
  type FeatureHeld,
  type FeatureReserved,
} from "./answer.js";
import { isEnabled } from "./enabled.js";
import type { FeatureHandler, Handlers } from "./handlers.js";
import type { HttpHandlers } from "./http-handler.js";
import { Holding, type HoldingParts } from "./holding.js";
import { RunScope } from "./run-scope.js";
import {
  parseFeatureRequest,
  type FeatureCommitInput,
  type FeatureEnabledInput,
  type FeatureExtendInput,
  type FeatureReleaseInput,
  type FeatureRequest,
  type FeatureReserveInput,
  type FeatureRunInput,
} from "./request.js";

/** What {@link Features} depends on. */
interface FeaturesParts<Policy extends OutagePolicy> extends HoldingParts<Policy> {
  readonly catalogue: Catalogue;
  readonly verifier: Verifier;
  readonly gate: Gate;
  readonly handlers: Handlers;
  readonly http: HttpHandlers;
  readonly timeoutMs: number;
}

/** One call of a feature, whose definition is known. */
interface Run<Policy extends OutagePolicy> {
  readonly request: FeatureRequest;
  readonly feature: FeatureBody;
  readonly holding: Holding<Policy>;
  readonly call: CallOptions;
  /** The features that run this one, from the outermost. */
  readonly above: readonly string[];
  /** Null without a session. */
  readonly session: SessionData | null;
  readonly phases: readonly Phase[];
  /** The outputs of the features that it ran: `$Feature`. */
  readonly outputs: Map<string, unknown>;
  readonly scope: RunScope<Policy>;
}

type CallName = Parameters<typeof parseFeatureRequest>[0];

const NO_OUTPUTS: Readonly<Record<string, unknown>> = {};
/** How deep features may run each other. */
const DEPTH_MAX = 8;

/**
 * Runs features: reserves their quotas, does the work, and charges what it used. Every step is a
 * leaf that returns here.
 */
export class Features<Policy extends OutagePolicy> {
  readonly #parts: FeaturesParts<Policy>;
  /** By definition, which becomes a new object when it changes. */
  readonly #phases = new WeakMap<FeatureBody, readonly Phase[]>();

  constructor(parts: FeaturesParts<Policy>) {
    this.#parts = parts;
  }

  /** Reserves, works and charges: see `FeatureCalls.run`. */
  run(given: FeatureRunInput, options?: CallOptions): Promise<FeatureAnswer<Policy>> {
    return this.#pass("run", given, options, (request, call) => this.#run(request, call, []));
  }

  /** Reserves for work that the caller does: see `FeatureCalls.reserve`. */
  reserve(
    given: FeatureReserveInput,
    options?: CallOptions,
  ): Promise<FeatureReserved<Policy> | FeatureDenied<Policy>> {
    return this.#pass("reserve", given, options, async (request, call) => {
      const run = await this.#begin(request, call, []);
      refuseFeatures(run.phases);
      const denied = await this.#prepare(run);
      if (denied !== null) return denied;
      const { holding, scope, feature } = run;
      const input = scope.Input;
      return { ...heldBy(request, holding), input, ttl_ms: request.ttlMs ?? feature.ttl_ms };
    });
  }

  /** Charges what the caller's work used: see `FeatureCalls.commit`. */
  commit(given: FeatureCommitInput, options?: CallOptions): Promise<FeatureCommitted<Policy>> {
    return this.#pass("commit", given, options, async (request, call) => {
      const run = await this.#resume(request, call);
      return { ...heldBy(request, run.holding), ...(await finish(run, request.result)) };
    });
  }

  /** Renews the holds of a reservation: see `FeatureCalls.extend`. */
  extend(given: FeatureExtendInput, options?: CallOptions): Promise<FeatureHeld | FeatureDenied> {
    return this.#pass("extend", given, options, async (request, call) => {
      const { holding, feature } = await this.#resume(request, call);
      const ttl_ms = request.ttlMs ?? feature.ttl_ms;
      const results = await holding.settle("extend", { ttl_ms });
      const isDenied = results.some(({ allowed }) => !allowed);
      return isDenied ? deniedBy(request, results) : heldBy(request, { id: holding.id, results });
    });
  }

  /** Frees the holds of a reservation: see `FeatureCalls.release`. */
  release(given: FeatureReleaseInput, options?: CallOptions): Promise<FeatureHeld> {
    return this.#pass("release", given, options, async (request, call) => {
      const { holding } = await this.#resume(request, call);
      const results = await holding.settle("release", { reason: request.reason ?? undefined });
      return heldBy(request, { id: holding.id, results });
    });
  }

  /** Whether limits allow a feature at all: see `FeaturesCalls.isEnabled`. */
  isEnabled(given: FeatureEnabledInput, options?: CallOptions): Promise<boolean> {
    const { catalogue, settling } = this.#parts;
    return this.#pass("isEnabled", given, options, (request, call) =>
      isEnabled(
        request,
        (tag) => located(catalogue, { ...request, feature_tag: tag }),
        settling,
        call,
      ),
    );
  }

  async #pass<T>(
    name: CallName,
    given: unknown,
    options: CallOptions | undefined,
    work: (request: FeatureRequest, call: CallOptions) => Promise<T>,
  ): Promise<T> {
    const { gate, timeoutMs } = this.#parts;
    const call = parseCall(options, { timeoutMs });
    const request = parseFeatureRequest(name, given);
    return gate.pass(() => work(request, call), call);
  }

  async #run(
    request: FeatureRequest,
    call: CallOptions,
    above: readonly string[],
  ): Promise<FeatureAnswer<Policy>> {
    const begun = this.#begin(request, call, above);
    const run = begun instanceof Promise ? await begun : begun;
    const { holding } = run;
    const handler = this.#handlerOf(run);
    const denied = await this.#prepare(run);
    if (denied !== null) return denied;
    const result = await this.#work(run, handler);
    const done = await finish(run, result);
    const { product_tag, env, feature_tag } = request;
    const place = { product_tag, env, feature_tag };
    const quotas = holding.results;
    return { allowed: true, code: "OK", ...place, reservation: holding.id, quotas, ...done };
  }

  /** A usual run waits for nothing here. */
  #begin(
    request: FeatureRequest,
    call: CallOptions,
    above: readonly string[],
  ): Run<Policy> | Promise<Run<Policy>> {
    const { product_tag, env, feature_tag } = request;
    const feature = this.#parts.catalogue.findFeature(product_tag, env, feature_tag);
    if (feature === null || request.session !== null) return this.#meet(request, call, above);
    return this.#begun(request, feature, null, call, above);
  }

  /** A feature not seen before, or the token of a session. */
  async #meet(
    request: FeatureRequest,
    call: CallOptions,
    above: readonly string[],
  ): Promise<Run<Policy>> {
    const feature = await located(this.#parts.catalogue, request);
    return this.#begun(request, feature, await this.#sessionOf(request), call, above);
  }

  #begun(
    request: FeatureRequest,
    feature: FeatureBody,
    session: SessionData | null,
    call: CallOptions,
    above: readonly string[],
  ): Run<Policy> {
    const issues = new Issues();
    const input = inputLike(request.input, feature.input, issues);
    issues.throwAny();
    return this.#runOf(request, feature, session, input, call, above);
  }

  /** A run whose amounts an earlier call reserved. */
  async #resume(request: FeatureRequest, call: CallOptions): Promise<Run<Policy>> {
    const given = request.input !== undefined;
    const feature = await located(this.#parts.catalogue, request);
    const session = await this.#sessionOf(request);
    const issues = new Issues();
    const input = given ? inputLike(request.input, feature.input, issues) : {};
    issues.throwAny();
    const run = this.#runOf(request, feature, session, input, call, []);
    refuseFeatures(run.phases);
    run.holding.resume(run.phases.flatMap(({ uses }) => uses));
    return run;
  }

  #runOf(
    request: FeatureRequest,
    feature: FeatureBody,
    session: SessionData | null,
    input: Readonly<Record<string, unknown>>,
    call: CallOptions,
    above: readonly string[],
  ): Run<Policy> {
    const phases = this.#phases.get(feature) ?? phasesOf(feature);
    this.#phases.set(feature, phases);
    const holding = this.#holding(request, feature);
    const outputs = new Map<string, unknown>();
    const scope = new RunScope(input, session, request.subject, holding, outputs);
    return { request, feature, phases, holding, call, above, session, outputs, scope };
  }

  async #sessionOf({ product_tag, env, session }: FeatureRequest): Promise<SessionData | null> {
    if (session === null) return null;
    const { verifier } = this.#parts;
    return (await verifier.identify(product_tag, env, session.tag, session.token)).data;
  }

  #holding(request: FeatureRequest, { ttl_ms }: FeatureBody): Holding<Policy> {
    const { product_tag, env, session, subject, cache, reservation } = request;
    const asked = {
      product_tag,
      env,
      ...(session === null ? {} : { session }),
      ...(subject === null ? {} : { subject }),
      ...(cache === null ? {} : { cache }),
      ttlMs: request.ttlMs ?? ttl_ms,
    };
    return new Holding(this.#parts, asked, reservation ?? crypto.randomUUID());
  }

  /** Null if the features of its sequence are all its work. Throws `HANDLER_NOT_FOUND`. */
  #handlerOf({ request, feature, phases }: Run<Policy>): FeatureHandler | null {
    const { product_tag, feature_tag } = request;
    const handler = this.#parts.handlers.get(product_tag, feature_tag);
    if (handler !== undefined) return handler;
    if (feature.handler !== null) return this.#parts.http.handlerAt(feature.handler, request);
    if (runsFeatures(phases)) return null;
    const message =
      `feature_tag: feature ${show(feature_tag)} has no handler in this process and none at a ` +
      "URL; register one with features.handle, or do the work between reserve and commit";
    throw new NotFoundError("HANDLER_NOT_FOUND", message);
  }

  /** Reserves quotas and runs features, in order. Null: all admitted; else nothing is held. */
  async #prepare(run: Run<Policy>): Promise<FeatureDenied<Policy> | null> {
    const { phases, holding, call, request, scope } = run;
    try {
      for (const { uses, features } of phases) {
        const results = await holding.reserve(uses, scope, call);
        if (results !== null) {
          await holding.free();
          return deniedBy(request, results);
        }
        for (const event of features) {
          const answer = await this.#runEvent(run, event);
          if (answer.allowed) run.outputs.set(event.event, answer.output);
          else if (!event.allow_fail) {
            await holding.free();
            return { ...answer, feature_tag: request.feature_tag };
          }
        }
      }
      return null;
    } catch (error) {
      await holding.free();
      throw error;
    }
  }

  async #runEvent(run: Run<Policy>, event: PlacedEvent): Promise<FeatureAnswer<Policy>> {
    const { request, above, call } = run;
    const chain = [...above, request.feature_tag];
    const at = `${event.path}.event`;
    if (chain.includes(event.event)) throw refused(at, `${show(event.event)} runs itself`);
    if (chain.length >= DEPTH_MAX) throw refused(at, `expects at most ${DEPTH_MAX} levels`);
    const issues = new Issues();
    const input = filledIn(event.input, run.scope, `${event.path}.input`, issues);
    issues.throwAny();
    const inner = { ...request, feature_tag: event.event, input, reservation: null, ttlMs: null };
    return this.#run(inner, call, chain);
  }

  async #work(run: Run<Policy>, handler: FeatureHandler | null): Promise<unknown> {
    const { holding, scope, session, request, outputs, call } = run;
    const features = outputs.size === 0 ? NO_OUTPUTS : Object.fromEntries(outputs);
    if (handler === null) return features;
    const { subject } = request;
    const known = { input: scope.Input, session, subject, reservation: holding.id, features };
    holding.keepAlive();
    try {
      return await handler(this.#parts.handlers.workOf(call.signal, known));
    } catch (error) {
      await holding.free();
      throw error;
    } finally {
      holding.rest();
    }
  }
}

/** Charges what the work used. Throws {@link UncommittedError} if the store does not answer. */
async function finish<Policy extends OutagePolicy>(
  run: Run<Policy>,
  result: unknown,
): Promise<Pick<FeatureDone, "output" | "issues">> {
  const { holding, feature, scope } = run;
  const issues = new Issues();
  scope.Result = result;
  const outputNow = (): unknown =>
    feature.output === null ? result : filledIn(feature.output, scope, "output", issues);
  try {
    await holding.commit(scope, issues);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new UncommittedError(error, holding.id, outputNow());
  }
  const output = outputNow();
  return issues.list.length === 0 ? { output } : { output, issues: issues.list };
}

/** The feature of a call, even one that another process has just created. */
async function located(
  catalogue: Catalogue,
  { product_tag, env, feature_tag }: FeatureRequest,
): Promise<FeatureBody> {
  const known = catalogue.findFeature(product_tag, env, feature_tag);
  return known ?? catalogue.locateFeature(product_tag, env, feature_tag);
}

const runsFeatures = (phases: readonly Phase[]): boolean =>
  phases.some(({ features }) => features.length > 0);

function refuseFeatures(phases: readonly Phase[]): void {
  if (!runsFeatures(phases)) return;
  throw refused("feature_tag", "runs other features in its sequence; call feature.run instead");
}

const refused = (path: string, message: string): DuctapeError =>
  new ValidationError([{ path, message }]);
