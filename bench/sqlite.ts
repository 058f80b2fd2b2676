import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { RateLimiterSQLite } from "rate-limiter-flexible";
import { compare, withCallers, type Contender } from "./measure.js";
import { clientOf } from "./memory.js";

const USERS = 10_000;

function openPeer(path: string): Promise<RateLimiterSQLite> {
  const db = new Database(path);
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

/** `sqlite:` beside its peer, both synced before every answer, at three widths. */
export async function benchSqlite(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "ductape-bench-"));
  try {
    const ductape = await clientOf(`sqlite:${join(folder, "ours.db")}`);
    const limiter = await openPeer(join(folder, "peer.db"));
    const lines: string[] = [];
    for (const inFlight of [1, 50, 1000]) {
      let n = 0;
      const calls = inFlight === 1 ? 2_000 : 3_000;
      const factor = inFlight === 1 ? 1 : 20;
      const ours: Contender = {
        name: "ours",
        run: (count) =>
          withCallers(inFlight, count * factor, () =>
            ductape.processor.quota.run({
              env: "prd",
              product_tag: "shop",
              quota_tag: "q0",
              action: "increment",
              subject: `user-${(n = (n + 7919) % USERS)}`,
            }),
          ),
      };
      const peer: Contender = {
        name: "peer",
        run: (count) =>
          withCallers(inFlight, count, () =>
            limiter.consume(`user-${(n = (n + 7919) % USERS)}`, 1),
          ),
      };
      const rows = await compare([ours, peer], calls, 5);
      const oursPerS = (1e9 / (rows.get("ours")?.medianNs ?? 0)) * factor;
      const peerPerS = 1e9 / (rows.get("peer")?.medianNs ?? 0);
      const [us, them] = [(oursPerS / 1e3).toFixed(1), (peerPerS / 1e3).toFixed(1)];
      lines.push(
        `sqlite: c=${inFlight} | ${us} k/s | ${them} k/s | ${(oursPerS / peerPerS).toFixed(1)} x speed`,
      );
    }
    await ductape.close();
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
