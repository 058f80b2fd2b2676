import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, enhance } from "@photostructure/sqlite";
import { RateLimiterSQLite } from "rate-limiter-flexible";
import { compare, withCallers, type Contender } from "./measure.js";
import { clientOf } from "./shop.js";

const USERS = 10_000;

function openPeer(path: string): Promise<RateLimiterSQLite> {
  const db = enhance(new DatabaseSync(path));
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  return new Promise((resolve, reject) => {
    const limiter = new RateLimiterSQLite(
      {
        storeClient: db,
        storeType: "better-sqlite3",
        tableName: "limits",
        points: 1e9,
        duration: 2e6,
      },
      (error?: Error) => (error ? reject(error) : resolve(limiter)),
    );
  });
}

/**
 * `sqlite:` beside its peer, on the same binding, both synced before every answer, at three widths,
 * all counters in use.
 */
export async function benchSqlite(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "ductape-bench-"));
  try {
    const ductape = await clientOf(
      `sqlite:${join(folder, "ours.db")}?driver=@photostructure/sqlite`,
    );
    const limiter = await openPeer(join(folder, "peer.db"));
    const count = (subject: string) =>
      ductape.processor.quota.run({
        env: "prd",
        product_tag: "shop",
        quota_tag: "q0",
        action: "increment",
        subject,
      });
    const consume = (subject: string) => limiter.consume(subject, 1);
    await withCallers(1000, USERS, (i) => count(`user-${i}`));
    await withCallers(1000, USERS, (i) => consume(`user-${i}`));
    const lines: string[] = [];
    for (const { inFlight, ours, theirs } of WIDTHS) {
      const rows = await compare(
        [caller("ours", inFlight, ours, count), caller("peer", inFlight, theirs, consume)],
        1,
        7,
      );
      const [us, them] = [perSecond(rows, "ours", ours), perSecond(rows, "peer", theirs)];
      lines.push(
        `sqlite: c=${inFlight} | ${(us / 1e3).toFixed(1)} k/s | ${(them / 1e3).toFixed(1)} k/s | ` +
          `${(us / them).toFixed(1)} x speed`,
      );
    }
    await ductape.close();
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Requests in flight, and the calls of one round: about a third of a second each. */
const WIDTHS = [
  { inFlight: 1, ours: 2_000, theirs: 2_000 },
  { inFlight: 50, ours: 60_000, theirs: 2_000 },
  { inFlight: 1000, ours: 200_000, theirs: 3_000 },
];

/** One "call" of this contender is a round of `calls` with `inFlight` callers. */
function caller(
  name: string,
  inFlight: number,
  calls: number,
  call: (subject: string) => Promise<unknown>,
): Contender {
  let n = 0;
  return {
    name,
    run: () => withCallers(inFlight, calls, () => call(`user-${(n = (n + 7919) % USERS)}`)),
  };
}

function perSecond(rows: Map<string, { medianNs: number }>, name: string, calls: number): number {
  return (calls * 1e9) / (rows.get(name)?.medianNs ?? Number.NaN);
}
