import { POSTGRES_BIN, startPostgres, type TestServer } from "../postgres.js";
import { hasRedis, startRedis } from "../redis.js";
import type { Network, Server } from "./network.js";

const redis: Network = {
  name: "redis",
  async start(): Promise<Server> {
    const config = { appendonly: "yes", appendfsync: "always" };
    const server = await startRedis(config);
    const signal = (name: NodeJS.Signals) => void process.kill(server.pid(), name);
    return {
      port: server.port,
      kill: () => server.kill(),
      restart: () => server.restart(),
      pause: () => signal("SIGSTOP"),
      resume: () => signal("SIGCONT"),
      remove: () => server.remove(),
    };
  },
  url: (_, port) => `redis://127.0.0.1:${port}?durability=durable&replicas=0`,
};

const postgres: Network = {
  name: "postgres",
  async start(): Promise<Server> {
    const server: TestServer = await startPostgres();
    return {
      port: server.port,
      kill: () => server.kill(),
      restart: () => server.start(),
      pause: () => server.signal("SIGSTOP"),
      resume: () => server.signal("SIGCONT"),
      remove: () => server.stop(),
    };
  },
  url: (_, port) => `postgres://tester@127.0.0.1:${port}/postgres?schema=quotas`,
};

/** The stores whose servers this machine has; missing ones are reported loudly. */
export const NETWORKS: readonly Network[] = [
  ...(hasRedis("the faults of networks on Redis") ? [redis] : []),
  ...(POSTGRES_BIN === null ? [] : [postgres]),
];
