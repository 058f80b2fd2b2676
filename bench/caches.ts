import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Ductape } from "ductape";
import { compare, type Contender } from "./measure.js";
import { clientOf } from "./shop.js";

const CALLS = 200_000;
const EXPIRY_MS = 60_000;

/** A `check` of one of `users`, in turn. */
function checks(
  ductape: Ductape,
  users: readonly string[],
  name: string,
  cache?: string,
): Contender {
  let i = 0;
  return {
    name,
    async run(calls) {
      for (let call = 0; call < calls; call++) {
        await ductape.processor.quota.run({
          env: "prd",
          product_tag: "shop",
          quota_tag: "q0",
          action: "check",
          amount: 1,
          subject: users[i++ % users.length],
          cache,
        });
      }
    },
  };
}

/** A cached `check` on `sqlite:` beside the same check on `memory:`. */
export async function benchCaches(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "ductape-bench-"));
  try {
    const memory = await clientOf("memory:");
    const sqlite = await clientOf(`sqlite:${join(folder, "cached.db")}`);
    await sqlite.product.caches.create("shop", { tag: "c", expiry: EXPIRY_MS });
    const lines: string[] = [];
    for (const count of [1, 1_000]) {
      const users = Array.from({ length: count }, (_, i) => `user-${i}`);
      for (const subject of users) {
        const input = { env: "prd", product_tag: "shop", quota_tag: "q0", subject } as const;
        for (const ductape of [memory, sqlite]) {
          await ductape.processor.quota.run({ ...input, action: "increment" });
        }
      }
      const rows = await compare(
        [checks(memory, users, "memory"), checks(sqlite, users, "cached", "c")],
        CALLS,
        11,
      );
      const ns = (name: string) => rows.get(name)?.medianNs ?? Number.NaN;
      const [ours, theirs] = [ns("cached"), ns("memory")];
      lines.push(
        `sqlite: cached check of ${count} counters | ${ours.toFixed(0)} ns | ` +
          `${theirs.toFixed(0)} ns (memory:) | ${(ours / theirs).toFixed(2)} x time`,
      );
    }
    await Promise.all([memory.close(), sqlite.close()]);
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
