import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Ductape, type QuotaDefinition, type StoreMaker } from "ductape";
import { hasRedis } from "../redis.js";
import { clientWith, randomOf, seedOf, until } from "../support.js";
import { Load, type Told } from "../load.js";
import { usedOf } from "./processes.js";
import { Repeats } from "./repeats.js";
import { Shards, type Shard } from "./shards.js";
import { draws } from "../draws.js";

const seed = seedOf();
const LAG_MS = 50;
const TIMEOUT_MS = 1_000;
/** What a call may take beyond its time, on a machine that does much else. */
const SLACK_MS = 1_000;
const AGAIN_MS = 60_000;
const LIMIT = 100;
const logger = { warn: () => undefined };
const EXPECTED = new Set(["STORE_UNAVAILABLE", "TIMEOUT", "OUTCOME_UNKNOWN", "OVERLOADED"]);

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeAll(() => void process.on("unhandledRejection", onUnhandled));
afterEach(() => expect(unhandled).toEqual([]));
afterAll(() => void process.off("unhandledRejection", onUnhandled));

/** The quotas of one shard. */
interface Tags {
  readonly unlimited: string;
  /** Each subject of it may have `LIMIT`. */
  readonly limited: string;
  readonly keyed: string;
}

function quotasOf({ unlimited, limited, keyed }: Tags): QuotaDefinition[] {
  const period = "lifetime";
  const rules = [{ name: "user", scope: "$Session{userId}", limit: LIMIT, period }] as const;
  return [
    { tag: unlimited, limit: null, period },
    { tag: limited, rules },
    { tag: keyed, limit: null, period },
  ];
}

/** The answers for one subject of a limited quota that was filled across a failover. */
interface Round {
  readonly quota_tag: string;
  readonly subject: string;
  readonly told: Told;
}

function expectFaultsOf(told: Told): void {
  expect([...told.faults.keys()].filter((code) => !EXPECTED.has(code))).toEqual([]);
  expect(told.longestMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
}

/** Acknowledged, unknown and counted calls, and how many of the acknowledged are missing. */
class Sums {
  acknowledged = 0;
  unknown = 0;
  counted = 0;
  lost = 0;

  add({ acknowledged, unknown }: Pick<Told, "acknowledged" | "unknown">, used: number): void {
    expect(used).toBeLessThanOrEqual(acknowledged + unknown);
    this.acknowledged += acknowledged;
    this.unknown += unknown;
    this.counted += used;
    this.lost += Math.max(0, acknowledged - used);
  }

  get text(): string {
    const { acknowledged, unknown, counted, lost } = this;
    return `${acknowledged} acknowledged, ${unknown} unknown, ${counted} counted, ${lost} lost`;
  }
}

/** Kills masters under load, one after the other. */
class Failovers {
  readonly #shards: Shards;
  readonly #client: Ductape;
  readonly #isDurable: boolean;
  readonly #loads: Map<Shard, Load>;
  readonly #random = randomOf(seed);

  constructor(shards: Shards, client: Ductape, isDurable: boolean, loads: Map<Shard, Load>) {
    this.#shards = shards;
    this.#client = client;
    this.#isDurable = isDurable;
    this.#loads = loads;
  }

  async one(round: number, tags: ReadonlyMap<Shard, Tags>): Promise<Round> {
    const shard = this.#shards.shards[this.#random.below(3)];
    const [load, quota_tag] = [shard && this.#loads.get(shard), shard && tags.get(shard)?.limited];
    if (!shard || !load || quota_tag === undefined) throw new Error("there is no such shard");
    const input = { quota_tag, subject: `round-${round}` };
    const limited = new Load(this.#client, { callers: 10, timeoutMs: TIMEOUT_MS, input });
    // At another moment of a batch each time.
    await limited.admits(1 + this.#random.below(LIMIT / 2));
    await this.#shards.fail(shard);
    // One that waits for a replica has none until the killed server is one.
    if (!this.#isDurable) await admits(load);
    await this.#shards.mend(shard);
    await admits(load);
    await until(() => limited.told.denied > 0, AGAIN_MS);
    return { quota_tag, subject: input.subject, told: await limited.stop() };
  }
}

async function admits({ told }: Load): Promise<void> {
  const before = told.acknowledged;
  await until(() => told.acknowledged > before, AGAIN_MS);
}

async function endure(shards: Shards, store: StoreMaker, isDurable: boolean) {
  const tags = new Map<Shard, Tags>();
  for (const shard of shards.shards) {
    const [unlimited, limited, keyed] = ["u", "l", "k"].map((each) => shards.tagIn(shard, each));
    if (unlimited && limited && keyed) tags.set(shard, { unlimited, limited, keyed });
  }
  const quotas = [...tags.values()].flatMap(quotasOf);
  await using client = await clientWith(quotas, { store, timeoutMs: TIMEOUT_MS, logger });
  // Definitions that never reached a replica may be lost as well: no load would be left.
  await delay(20 * LAG_MS);
  const loads = new Map<Shard, Load>();
  const repeats = new Map<Tags, Repeats>();
  for (const [shard, each] of tags) {
    const input = { quota_tag: each.unlimited };
    loads.set(shard, new Load(client, { callers: 16, timeoutMs: TIMEOUT_MS, input }));
    repeats.set(each, new Repeats(client, each.keyed, { timeoutMs: TIMEOUT_MS }));
  }
  const failovers = new Failovers(shards, client, isDurable, loads);
  const rounds: Round[] = [];
  for (const n of draws("FAILOVERS", { least: 3, seconds: 20 })) {
    rounds.push(await failovers.one(n, tags));
  }
  await Promise.all([...loads.values(), ...repeats.values()].map((each) => each.stop()));

  await using reader = new Ductape({ store, timeoutMs: TIMEOUT_MS, logger });
  const [unlimited, limited, keyed] = [new Sums(), new Sums(), new Sums()];
  let [outageMs, overLimit] = [0, 0];
  for (const [shard, { told }] of loads) {
    expectFaultsOf(told);
    unlimited.add(told, await usedOf(reader, tags.get(shard)?.unlimited ?? "", "u"));
    outageMs = Math.max(outageMs, told.longestOutageMs);
  }
  for (const { quota_tag, subject, told } of rounds) {
    expectFaultsOf(told);
    const used = await usedOf(reader, quota_tag, subject);
    expect(used).toBeLessThanOrEqual(LIMIT);
    limited.add(told, used);
    overLimit += Math.max(0, told.acknowledged - LIMIT);
  }
  for (const [each, { answered }] of repeats) {
    const told = { acknowledged: answered, unknown: 0 };
    keyed.add(told, await usedOf(reader, each.keyed, "u"));
  }
  return { failovers: rounds.length, unlimited, limited, keyed, outageMs, overLimit };
}

describe.runIf(hasRedis("failovers in a cluster"))("a cluster of three masters", () => {
  let shards: Shards | undefined;
  beforeAll(async () => {
    shards = await Shards.start(LAG_MS);
  });
  afterAll(() => shards?.remove());

  it.each(["durable", "fast"] as const)(
    `whose masters are killed loses what %s allows (SEED=${seed})`,
    async (durability) => {
      if (shards === undefined) throw new Error("there is no cluster");
      const store = shards.store({ durability, prefix: durability });
      const isDurable = durability === "durable";
      const { failovers, unlimited, limited, keyed, outageMs, overLimit } = await endure(
        shards,
        store,
        isDurable,
      );
      console.warn(
        `redis cluster, ${durability}: ${failovers} failovers, ${unlimited.text}, ` +
          `longest outage ${Math.round(outageMs)} ms; of limits: ${limited.text}, ` +
          `${overLimit} beyond; repeated by key: ${keyed.text}`,
      );
      if (!isDurable) return;
      expect([unlimited.lost, limited.lost, keyed.lost, overLimit]).toEqual([0, 0, 0, 0]);
    },
    3_600_000,
  );
});
