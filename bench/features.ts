import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Ductape } from "ductape";
import { compare, withCallers, type Contender } from "./measure.js";
import { clientOf, INCREMENT } from "./shop.js";

/** Each run leaves holds that are remembered for a day, so more calls would measure the heap. */
const CALLS = 4_000;

const { action: _, quota_tag, ...where } = INCREMENT;
const RUN = { ...where, feature_tag: "f", input: { n: 3 } } as const;

/** One run of a feature after another: one quota, an empty handler. */
function runs({ processor }: Ductape, inFlight: number): Contender {
  return {
    name: "feature",
    run: (calls) =>
      withCallers(inFlight, calls, (i) =>
        processor.feature.run({ ...RUN, subject: `user-${i % 1_000}` }),
      ),
  };
}

/** What the feature does to its quota, by hand. */
function holds({ processor }: Ductape, inFlight: number): Contender {
  return {
    name: "by hand",
    run: (calls) =>
      withCallers(inFlight, calls, async (i) => {
        const reservation = crypto.randomUUID();
        const place = { ...where, quota_tag, reservation };
        const who = { subject: `user-${i % 1_000}`, ttl_ms: 60_000 };
        await processor.quota.run({ ...place, ...who, action: "reserve", amount: 6 });
        await processor.quota.run({ ...place, action: "commit", amount: 3 });
      }),
  };
}

/** A run of a feature with an empty handler, beside its `reserve` and `commit` by hand. */
export async function benchFeatures(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "ductape-bench-"));
  try {
    const lines: string[] = [];
    for (const [store, inFlight] of [
      ["memory:", 1],
      [`sqlite:${join(folder, "one.db")}`, 1],
      [`sqlite:${join(folder, "many.db")}`, 50],
    ] as const) {
      await using ductape = await clientOf(store);
      await ductape.product.features.create("shop", {
        tag: "f",
        input: { n: { type: "integer" } },
        quotas: [{ quota: quota_tag, amount: "$Input{n} * 2", settle: "$Result{n}" }],
      });
      ductape.features.handle("shop", "f", ({ input }) => input);
      const rows = await compare([runs(ductape, inFlight), holds(ductape, inFlight)], CALLS);
      const us = (name: string) => (rows.get(name)?.medianNs ?? Number.NaN) / 1_000;
      const [ours, theirs] = [us("feature"), us("by hand")];
      lines.push(
        `${store.replace(/:.*/, "")}: feature.run, c=${inFlight} | ${ours.toFixed(1)} us | ` +
          `${theirs.toFixed(1)} us (reserve + commit) | ${(ours / theirs).toFixed(2)} x time`,
      );
    }
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
