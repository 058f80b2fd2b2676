import type { Redis } from "ioredis";
import type { StoreFact } from "../store.js";
import { clockFact, fact } from "../facts.js";
import { configOf, fieldOf } from "./checks.js";
import { unavailable } from "./errors.js";
import type { RedisSettings } from "./settings.js";

/** The facts about each server. */
export async function redisFacts(
  servers: readonly Redis[],
  settings: RedisSettings,
): Promise<StoreFact[]> {
  const all = servers.map(async (redis) => {
    try {
      return await factsOf(redis, settings, servers.length > 1);
    } catch (error) {
      throw unavailable(settings.name, error);
    }
  });
  return (await Promise.all(all)).flat();
}

async function factsOf(
  redis: Redis,
  { durability }: RedisSettings,
  isOneOfSeveral: boolean,
): Promise<StoreFact[]> {
  const { host = "", port = "" } = redis.options;
  const named = (name: string): string => (isOneOfSeveral ? `${host}:${port} ${name}` : name);
  const sentMs = Date.now();
  const [seconds, microseconds] = await redis.time();
  const answeredMs = Date.now();
  const info = await redis.info();
  const policy = fieldOf(info, "maxmemory_policy");
  const hasLog = fieldOf(info, "aof_enabled") === "1";
  const sync = hasLog ? await configOf(redis, "appendfsync") : null;
  const logAdvice = hasLog ? null : "a restart loses counts: set appendonly yes";
  const isLoose = durability === "durable" && sync !== null && sync !== "always";
  return [
    fact(named("version"), fieldOf(info, "redis_version")),
    fact(named("durability"), durability),
    fact(named("appendonly"), hasLog ? "yes" : "no", logAdvice),
    ...(sync === null
      ? []
      : [fact(named("appendfsync"), sync, isLoose ? "set it to always to be durable" : null)]),
    fact(
      named("maxmemory-policy"),
      policy,
      policy === "noeviction" ? null : "counters may be dropped: set it to noeviction",
    ),
    clockFact(
      named("clock"),
      Number(seconds) * 1_000 + Number(microseconds) / 1_000,
      sentMs,
      answeredMs,
    ),
  ];
}
