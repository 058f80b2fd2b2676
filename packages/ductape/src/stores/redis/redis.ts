import type { Outcome } from "../../decide/outcome.js";
import { redisFacts } from "./facts.js";
import { show, StoreError, ValidationError } from "../../base/errors.js";
import { spaceParts } from "../../base/key.js";
import { onlyReads, type Plan, type RuleTerms } from "../../decide/plan.js";
import type { CallOptions, Clock } from "../../base/call.js";
import type {
  CounterRow,
  Records,
  Store,
  StoreContext,
  StoreMaker,
  StoreChunk,
  StoreFact,
} from "../store.js";
import { Batching } from "../batching.js";
import { Batch, replyOf } from "./batch.js";
import { Checks } from "./checks.js";
import { ServerClock } from "./clock.js";
import { ClusterNodes } from "./cluster.js";
import { RedisDocuments } from "./documents.js";
import { Keyspace, slotOfRule } from "./keys.js";
import { dumpRedis, loadRedis, type DumpParts } from "./dump.js";
import { loadConnect, SingleNode, type Nodes } from "./nodes.js";
import { redisRecords } from "./records.js";
import { Runner, scriptOf } from "./runner.js";
import { scriptText } from "./scripts.js";
import {
  settingsOfClient,
  type RedisClient,
  type RedisSettings,
  type RedisStoreOptions,
} from "./settings.js";
import { scanCounters, Sweep } from "./sweep.js";

const BATCHING = { batchPlansMax: 500, queuePlansMax: 65_536, inFlightMax: 3 } as const;
/** The share of a command's time that replicas may take. */
const WAIT_SHARE = 0.8;

/** The parts of an open store. */
interface Engine {
  readonly nodes: Nodes;
  readonly runner: Runner;
  readonly sweep: Sweep;
}

/**
 * Counters and definitions on Redis or Valkey 6.2 or newer: one server, one behind sentinels, or a
 * cluster. A batch of plans is one script call for each slot, so it is decided atomically and in
 * order. A call resolves when the server has it and, with `durable`, when the required replicas
 * have it too; what that survives depends on the server's persistence.
 */
export class RedisStore implements Store {
  readonly guarantees = { name: "redis", durable: true, shared: "network" } as const;
  readonly documents: RedisDocuments;
  readonly records: Records;
  readonly clock: Clock | undefined;
  readonly #settings: RedisSettings;
  readonly #context: StoreContext;
  readonly #keyspace: Keyspace;
  readonly #checks: Checks;
  readonly #script = scriptOf(scriptText("apply"));
  readonly #serverClock = new ServerClock();
  readonly #batchings = new Map<number, Batching>();
  #engine: Engine | null = null;
  #isOpen = false;
  #isClosed = false;
  #opening: Promise<void> | null = null;

  constructor(settings: RedisSettings, context: StoreContext) {
    this.#settings = settings;
    this.#context = context;
    this.#keyspace = new Keyspace(settings.prefix);
    this.#checks = new Checks(settings, context.logger);
    this.clock = context.clock === undefined ? this.#serverClock.now : undefined;
    this.documents = new RedisDocuments({
      keyspace: this.#keyspace,
      opened: () => this.#opened(),
      now: () => this.#givenNow(),
      learn: (nowMs, sentMs) => this.#serverClock.learn(nowMs, sentMs),
      lost: () => this.#lose(),
      forgotten: () => this.#engine?.sweep.start(),
    });
    this.records = redisRecords({
      keyspace: this.#keyspace,
      name: settings.name,
      nodes: () => this.#opened().nodes,
      now: context.clock ?? this.#serverClock.now,
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(): Promise<void> {
    if (this.#isOpen) return Promise.resolve();
    this.#opening ??= this.#openNow().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  apply(plan: Plan, options?: CallOptions): Promise<Outcome> {
    if (this.#isClosed || this.#engine === null) return Promise.reject(this.#notOpen());
    if (!this.#engine.nodes.isCluster) return this.#batchingOf(0).submit(plan, options);
    const slot = slotOfRule(plan[0].checks[0].rule);
    const fault = apartFault(plan, slot);
    return fault === null ? this.#batchingOf(slot).submit(plan, options) : Promise.reject(fault);
  }

  scan(prefix: string): AsyncIterable<CounterRow> {
    const { nodes } = this.#opened();
    return scanCounters(nodes, this.#keyspace, prefix, this.#settings.name);
  }

  dump(): AsyncIterable<StoreChunk> {
    return dumpRedis(this.#dumpParts());
  }

  load(chunk: StoreChunk, shardKeyOf: (key: string) => string): Promise<void> {
    return loadRedis(this.#dumpParts(), chunk, shardKeyOf);
  }

  #dumpParts(): DumpParts {
    const { nodes } = this.#opened();
    const { clock = this.#serverClock.now } = this.#context;
    const { name } = this.#settings;
    const shared = { keyspace: this.#keyspace, documents: this.documents, name };
    return { ...shared, nodes, nowMs: clock(), isGivenClock: this.#context.clock !== undefined };
  }

  facts(): Promise<readonly StoreFact[]> {
    const { nodes } = this.#opened();
    return redisFacts(nodes.masters(), this.#settings);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => undefined);
    await Promise.all([...this.#batchings.values()].map((batching) => batching.drain()));
    await this.#engine?.sweep.stop();
    this.#engine?.nodes.close();
    this.#engine = null;
    this.#isOpen = false;
  }

  async #openNow(): Promise<void> {
    this.#isClosed = false;
    this.#engine ??= await this.#connect();
    const { nodes, sweep } = this.#engine;
    await nodes.open();
    await this.#checks.check(nodes.masters().filter(({ status }) => status === "ready"));
    this.#isOpen = true;
    sweep.start();
  }

  async #connect(): Promise<Engine> {
    const settings = this.#settings;
    const { timeoutMs } = this.#context;
    const connect = await loadConnect(settings, timeoutMs);
    const nodes =
      settings.seeds === null
        ? new SingleNode(settings, connect, timeoutMs, () => this.#lose())
        : new ClusterNodes(settings, connect, timeoutMs);
    const { name, replicas } = settings;
    const waitMs = Math.ceil(timeoutMs * WAIT_SHARE);
    const runner = new Runner(name, nodes, { replicas, waitMs });
    return { nodes, runner, sweep: new Sweep(this.#keyspace, nodes) };
  }

  /** Plans that are batched together share a server or, on a cluster, a slot. */
  #batchingOf(slot: number): Batching {
    const known = this.#batchings.get(slot);
    if (known !== undefined) return known;
    const { timeoutMs } = this.#context;
    const batching = new Batching((plans) => this.#flush(plans, slot), { ...BATCHING, timeoutMs });
    this.#batchings.set(slot, batching);
    return batching;
  }

  async #flush(plans: readonly Plan[], slot: number): Promise<readonly (Outcome | Error)[]> {
    const { runner } = this.#opened();
    const batch = new Batch(plans, this.#keyspace);
    const { keys, counterCount, text } = batch;
    const args = [this.#givenNow(), counterCount, text, batch.isCopied ? 0 : 1];
    const sentMs = performance.now();
    const isRead = plans.every(onlyReads);
    const reply = await runner.run({ script: this.#script, slot, keys, args, onlyReads: isRead });
    const { nowMs, outcomes } = batch.decide(replyOf(reply));
    this.#serverClock.learn(nowMs, sentMs);
    return outcomes;
  }

  #givenNow(): number {
    return this.#context.clock?.() ?? 0;
  }

  /** Earlier reads may be outdated: the next call opens the store and reads everything again. */
  #lose(): void {
    this.#isOpen = false;
  }

  #opened(): Engine {
    if (this.#engine !== null) return this.#engine;
    throw this.#notOpen();
  }

  #notOpen(): StoreError {
    const why = this.#isClosed ? "is closed" : "is not open";
    const message = `the store ${this.#settings.name} ${why}`;
    return new StoreError("STORE_UNAVAILABLE", message, { retryable: !this.#isClosed });
  }
}

/**
 * A store on the servers of an ioredis client, `Redis` or `Cluster`, with the client's options but
 * its own connections. Throws `VALIDATION`.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): StoreMaker {
  const settings = settingsOfClient(client, options);
  return (context) => new RedisStore(settings, context);
}

/** The fault of a plan whose counters are in several slots of a cluster; null: they share one. */
function apartFault(plan: Plan, slot: number): ValidationError | null {
  for (const [i, { checks }] of plan.entries()) {
    const { rule } = checks[0];
    if (slotOfRule(rule) === slot) continue;
    const [first, second] = [plan[0].checks[0].rule, rule].map(quotaOf);
    const message =
      `quota ${second} and quota ${first} of inputs[0] are in different slots of the cluster; ` +
      "create their product with co_locate, or decide them separately";
    return new ValidationError([{ path: `inputs[${i}].quota_tag`, message }]);
  }
  return null;
}

function quotaOf({ space }: RuleTerms): string {
  return show(spaceParts(space).quota);
}
