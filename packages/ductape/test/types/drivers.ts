// A program of a user with drivers of its own, compiled and never run: see results.ts.
import { Redis } from "ioredis";
import { Pool } from "pg";
import { Ductape, postgresStore, redisStore, type CallOptions } from "ductape";

export function aPoolAndAClientOfOnesOwnAreTaken(): readonly Ductape[] {
  const pool = new Pool({ max: 4 });
  const client = new Redis({ lazyConnect: true });
  // @ts-expect-error: there is no such option
  void redisStore(client, { keyPrefix: "a" });
  // @ts-expect-error: that is no pool
  void postgresStore("postgres://localhost");
  return [
    new Ductape({ store: postgresStore(pool, { schema: "quotas" }) }),
    new Ductape({ store: redisStore(client, { durability: "durable" }) }),
  ];
}

export const theSignalOfTheRuntimeIsTaken: CallOptions = { signal: AbortSignal.timeout(1_000) };
