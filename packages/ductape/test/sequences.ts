import type { Ductape } from "ductape";
import { draws, type Budget } from "./draws.js";
import { clientWith } from "./support.js";

/** What the clock of a client reads, in epoch milliseconds. */
export interface ReadClock {
  nowMs: number;
}

/**
 * Runs random sequences, each on a quota `q<number>` of its own that is deleted afterwards. An
 * error names the sequence that differed and the seed that repeats it.
 */
export async function runSequences(
  store: string,
  seed: number,
  budget: Budget,
  runSequence: (ductape: Ductape, clock: ReadClock, number: number) => Promise<void>,
): Promise<void> {
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  await using ductape = await clientWith([], { store, clock: () => clock.nowMs });
  for (const number of draws("SEQUENCES", budget)) {
    try {
      await runSequence(ductape, clock, number);
    } catch (error) {
      throw new Error(`sequence ${number} of SEED=${seed} differs`, { cause: error });
    }
    await ductape.product.quotas.delete("shop", `q${number}`);
  }
}
