import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ductape } from "ductape";
import { POSTGRES_BIN, startPostgres } from "../packages/ductape/test/postgres.js";
import { hasRedis, startRedis } from "../packages/ductape/test/redis.js";
import { withCallers } from "./measure.js";
import { define, INCREMENT } from "./shop.js";

/** Enough that what a store takes at once for many rows is spread over them. */
const COUNT = 10_000;
const CALLERS = 50;
const TIMEOUT_MS = 60_000;
const SESSION = { product: "shop", env: "prd", tag: "user" };

/** A place for a store, and how many bytes it takes there now. */
interface Place {
  readonly store: string;
  bytes(): Promise<number>;
}

const heldBy = (i: number) => ({
  subject: `user-${i % 100}`,
  reservation: `2f1b6a4e-8c1d-4b7e-9f00-${String(i).padStart(12, "0")}`,
});
const reserveOf = (i: number) => ({ ...INCREMENT, action: "reserve", ...heldBy(i) }) as const;

/** What callers can make many of, by its number. */
const KINDS: readonly (readonly [string, (ductape: Ductape, i: number) => Promise<unknown>])[] = [
  ["subject", ({ processor }, i) => processor.quota.run({ ...INCREMENT, subject: `user-${i}` })],
  [
    "idempotency key",
    ({ processor }, i) =>
      processor.quota.run({
        ...INCREMENT,
        subject: `user-${i % 100}`,
        idempotency_key: `2f1b6a4e-8c1d-4b7e-9f00-${String(i).padStart(12, "0")}`,
      }),
  ],
  ["open hold", ({ processor }, i) => processor.quota.run(reserveOf(i))],
  [
    "settled hold",
    async ({ processor }, i) => {
      await processor.quota.run(reserveOf(i));
      return processor.quota.run({ ...INCREMENT, action: "commit", ...heldBy(i) });
    },
  ],
  [
    "session",
    ({ processor }, i) => processor.sessions.start({ ...SESSION, data: { userId: `user-${i}` } }),
  ],
];

/** Bytes of a subject, a key, a hold and a session on each store. */
export async function benchRoom(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "ductape-room-"));
  const lines = [
    await rowOf("memory:", () => Promise.resolve(memoryPlace())),
    await rowOf("sqlite:", (kind) => Promise.resolve(sqlitePlace(join(folder, kind)))),
  ];
  rmSync(folder, { recursive: true });
  if (POSTGRES_BIN !== null) {
    const server = await startPostgres();
    const placeOf = (kind: string): Place => {
      const schema = `room_${kind.replaceAll(" ", "_")}`;
      const sql = `SELECT coalesce(sum(pg_total_relation_size(oid)), 0) AS n FROM pg_class
        WHERE relkind = 'r' AND relnamespace = '${schema}'::regnamespace`;
      const bytes = async () => Number((await server.run(sql)).rows[0]?.["n"]);
      return { store: `${server.url()}?schema=${schema}`, bytes };
    };
    lines.push(await rowOf("postgres:", (kind) => Promise.resolve(placeOf(kind))));
    await server.stop();
  }
  if (hasRedis("the room of a key")) {
    const server = await startRedis();
    const redis = server.admin();
    const bytes = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info("memory"))?.[1]);
    lines.push(
      await rowOf("redis:", async () => {
        await redis.flushall();
        return { store: server.url, bytes };
      }),
    );
    await server.remove();
  }
  return lines;
}

async function rowOf(name: string, placeOf: (kind: string) => Promise<Place>): Promise<string> {
  const figures: string[] = [];
  for (const [kind, make] of KINDS) {
    const { store, bytes } = await placeOf(kind);
    await using ductape = new Ductape({ store, timeoutMs: TIMEOUT_MS });
    await define(ductape);
    const user = { tag: "user", selector: "$Session{userId}", expiry: 7, period: "hours" } as const;
    await ductape.product.sessions.create("shop", { ...user, schema: { userId: "u" } });
    for (let i = 0; i < 100; i++) await make(ductape, i);
    const before = await bytes();
    await withCallers(CALLERS, COUNT, (i) => make(ductape, 100 + i));
    figures.push(`${kind} ${Math.round(((await bytes()) - before) / COUNT)}`);
  }
  return `room, ${name} bytes | ${figures.join(", ")} | | `;
}

function memoryPlace(): Place {
  const bytes = () => {
    globalThis.gc?.();
    return Promise.resolve(process.memoryUsage().heapUsed);
  };
  return { store: "memory:", bytes };
}

/** The file with its log: what was not yet moved from there is overwritten later. */
function sqlitePlace(path: string): Place {
  const bytes = () => Promise.resolve(statSync(path).size);
  return { store: `sqlite:${path}`, bytes };
}
