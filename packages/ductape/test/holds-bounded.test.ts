import { describe, expect, it } from "vitest";
import { dropEnded, heldAt, onGrid, withPart, type Holds } from "../src/decide/holds.js";
import { randomOf, seedOf } from "./support.js";

const SEED = seedOf();
const HOLDS = 100_000;
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 86_400_000;
/** As the source promises it, for holds of every length together. */
const PARTS_MAX = 1_100;
const NUMBERS_PER_PART = 3;
const START_MS = Date.UTC(2026, 0, 1);

describe("what a counter carries for its holds", () => {
  it(`is bounded, however many are open and however long (SEED=${SEED})`, () => {
    const random = randomOf(SEED);
    let holds: Holds | null = null;
    /** What is open, by when it ends. */
    const open = new Map<number, number>();
    let nowMs = START_MS;
    let [most, sum] = [0, 0];
    for (let hold = 0; hold < HOLDS; hold++) {
      // As many short ones as long ones, over two days.
      nowMs += random.below(3_456);
      const ttlMs = Math.round(TTL_MS_MIN * (TTL_MS_MAX / TTL_MS_MIN) ** random.next());
      const endMs = onGrid(nowMs + ttlMs, ttlMs);
      const amount = 1 + random.below(9);
      if (holds !== null) holds = dropEnded(holds, nowMs);
      holds = withPart(holds, endMs, amount);
      open.set(endMs, (open.get(endMs) ?? 0) + amount);
      most = Math.max(most, holds.parts.length / NUMBERS_PER_PART);
      if (hold % 1_000 > 0) continue;
      for (const each of open.keys()) if (each <= nowMs) open.delete(each);
      sum = [...open.values()].reduce((total, each) => total + each, 0);
      expect(heldAt(holds, nowMs)).toBe(sum);
    }
    expect(sum).toBeGreaterThan(HOLDS / 10);
    expect(most).toBeLessThanOrEqual(PARTS_MAX);
  });

  it.each([TTL_MS_MIN, 1_919, 1_920, 60_000, 600_000, 3_599_999, TTL_MS_MAX])(
    "ends no earlier than its %s ms, and at most 1/60 of them later",
    (ttlMs) => {
      for (let nowMs = START_MS; nowMs < START_MS + 5_000; nowMs += 7) {
        const endMs = onGrid(nowMs + ttlMs, ttlMs);
        expect(endMs).toBeGreaterThanOrEqual(nowMs + ttlMs);
        expect(endMs).toBeLessThanOrEqual(nowMs + ttlMs + ttlMs / 60);
        // On the grid of any shorter hold, too: an instant is never split.
        expect(onGrid(endMs, TTL_MS_MIN)).toBe(endMs);
      }
    },
  );
});
