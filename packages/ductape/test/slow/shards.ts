// A Redis Cluster whose replicas lag, for tests that let its masters fail.
import { Cluster } from "ioredis";
import { redisStore, type StoreMaker } from "ductape";
import { spacePrefix } from "../../src/base/key.js";
import { slotOfShardKey } from "../../src/stores/redis/keys.js";
import type { RedisStoreOptions } from "../../src/stores/redis/settings.js";
import { Proxy } from "../proxy.js";
import { startCluster, type RedisServer } from "../redis.js";
import { until } from "../support.js";

/** A master and its replica, and the slots that they own. */
export interface Shard {
  master: RedisServer;
  replica: RedisServer;
  readonly from: number;
  readonly to: number;
}

const WAIT_MS = 60_000;

/**
 * Three shards. What a master sends to its replica arrives `lagMs` later, or, where the master is
 * killed meanwhile, never. Clients reach the servers themselves.
 */
export class Shards {
  readonly #cluster: Awaited<ReturnType<typeof startCluster>>;
  readonly #proxies: readonly Proxy[];
  readonly shards: readonly Shard[];

  private constructor(
    cluster: Awaited<ReturnType<typeof startCluster>>,
    proxies: readonly Proxy[],
    shards: readonly Shard[],
  ) {
    this.#cluster = cluster;
    this.#proxies = proxies;
    this.shards = shards;
  }

  /** Starts six servers, which sync every change. */
  static async start(lagMs: number): Promise<Shards> {
    const proxies: Proxy[] = [];
    const configOf = async (port: number) => {
      const proxy = await Proxy.start(port);
      proxy.delayMs = lagMs;
      proxies.push(proxy);
      return {
        appendonly: "yes",
        appendfsync: "always",
        "cluster-announce-port": String(proxy.port),
        "cluster-announce-bus-port": String(port + 10_000),
      };
    };
    const cluster = await startCluster(configOf, 1);
    const serverBehind = (port: unknown): RedisServer => {
      const server = cluster.servers[proxies.findIndex((proxy) => proxy.port === port)];
      if (server === undefined) throw new Error(`no server announces port ${String(port)}`);
      return server;
    };
    const slots = await slotsOf(cluster.servers);
    const shards = slots.map(([from, to, master, replica]) => ({
      master: serverBehind(arrayOf(master)[1]),
      replica: serverBehind(arrayOf(replica)[1]),
      from: Number(from),
      to: Number(to),
    }));
    const started = new Shards(cluster, proxies, shards);
    for (const shard of shards) await started.#inSync(shard);
    return started;
  }

  /** A store on the cluster. */
  store(options: RedisStoreOptions): StoreMaker {
    const { servers } = this.#cluster;
    const natMap = Object.fromEntries(
      this.#proxies.map((proxy, i) => {
        const port = servers[i]?.port ?? 0;
        return [`127.0.0.1:${proxy.port}`, { host: "127.0.0.1", port }];
      }),
    );
    const ports = servers.map(({ port }) => port);
    return redisStore(new Cluster(ports, { lazyConnect: true, natMap }), options);
  }

  /** The first tag with this beginning whose quota, in product `shop`, lies in a shard. */
  tagIn({ from, to }: Shard, beginning: string): string {
    for (let n = 0; ; n++) {
      const slot = slotOfShardKey(spacePrefix("shop", "prd", `${beginning}${n}`));
      if (slot >= from && slot <= to) return `${beginning}${n}`;
    }
  }

  /** Kills the master of a shard; resolves when its replica has taken its place. */
  async fail(shard: Shard): Promise<void> {
    const { master, replica } = shard;
    await master.kill();
    await until(async () => (await roleOf(replica))[0] === "master", WAIT_MS);
    shard.master = replica;
    shard.replica = master;
  }

  /** Starts what was killed; resolves when it is the replica of the new master, and in sync. */
  async mend(shard: Shard): Promise<void> {
    await shard.replica.restart();
    await this.#inSync(shard);
  }

  async remove(): Promise<void> {
    await this.#cluster.remove();
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()));
  }

  async #inSync({ master, replica }: Shard): Promise<void> {
    await until(async () => {
      const [role, , , state] = await roleOf(replica);
      if (role !== "slave" || state !== "connected") return false;
      const [, , replicas] = await roleOf(master);
      return arrayOf(replicas).length === 1;
    }, WAIT_MS);
    for (const server of this.#cluster.servers) await until(() => isWhole(server), WAIT_MS);
  }
}

/** The answer to CLUSTER SLOTS as soon as every master has a replica. */
async function slotsOf([server]: readonly RedisServer[]): Promise<readonly (readonly unknown[])[]> {
  let ranges: readonly (readonly unknown[])[] = [];
  await until(async () => {
    if (server !== undefined) ranges = arrayOf(await ask(server, "CLUSTER", "SLOTS")).map(arrayOf);
    return ranges.length === 3 && ranges.every((range) => range.length === 4);
  }, WAIT_MS);
  return ranges;
}

async function isWhole(server: RedisServer): Promise<boolean> {
  return String(await ask(server, "CLUSTER", "INFO")).includes("cluster_state:ok");
}

/** The answer to ROLE; [] if the server does not answer. */
async function roleOf(server: RedisServer): Promise<readonly unknown[]> {
  return arrayOf(await ask(server, "ROLE"));
}

const admins = new WeakMap<RedisServer, ReturnType<RedisServer["admin"]>>();

function ask(server: RedisServer, command: string, ...args: string[]): Promise<unknown> {
  const admin = admins.get(server) ?? server.admin();
  admins.set(server, admin);
  return admin.call(command, ...args).catch(() => null);
}

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
