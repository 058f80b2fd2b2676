// The room that holds take in the memory of one process.
import { describe, expect, it } from "vitest";
import type { Hold } from "../src/decide/hold.js";
import { MemoryHolds } from "../src/stores/memory/holds.js";
import { MemoryRoom } from "../src/stores/memory/room.js";
import { randomOf, seedOf } from "./support.js";

const SEED = seedOf();
const SPACE = "1/shop/prd/q//uid/";
const NOW_MS = Date.UTC(2026, 0, 15, 12);
const DAY_MS = 86_400_000;

/** A hold of one counter; settled, it has two answers. */
function holdAt(openedMs: number, status: Hold["status"]): Hold {
  const window = { startMs: openedMs, endMs: openedMs + DAY_MS };
  const reserved = {
    nowMs: openedMs,
    expiresMs: openedMs + 60_000,
    status: "done",
    fingerprint: "f",
    details: "[]",
    amount: 1,
    hold: null,
    checks: [],
  } as const;
  return {
    owners: '[["1/shop/prd/q/day/uid/","ada"]]',
    openedMs,
    expiresMs: openedMs + 60_000,
    status,
    held: 1,
    charged: 0,
    settled: 0,
    settledMs: status === "open" ? 0 : openedMs + 1,
    parts: [{ window, windowVersion: 1, endMs: openedMs + 60_000, edition: 0 }],
    reserved,
    settlement: status === "open" ? null : reserved,
  };
}

describe("holds in memory", () => {
  it("take less room once they are settled, and none once they are deleted", () => {
    const room = new MemoryRoom(1e9);
    const holds = new MemoryHolds(room);
    const sizeAfter = (name: string, hold: Hold): number => {
      holds.put(SPACE, name, hold, NOW_MS);
      return room.bytes;
    };
    const open = sizeAfter("a", holdAt(NOW_MS, "open"));
    expect(open).toBeGreaterThan(1_000);
    expect(sizeAfter("a", holdAt(NOW_MS, "open"))).toBe(open);
    const settled = sizeAfter("a", holdAt(NOW_MS, "released"));
    expect(settled).toBeLessThan(open / 2);
    expect(sizeAfter("b", holdAt(NOW_MS, "released"))).toBe(2 * settled);
    expect(sizeAfter("a", holdAt(NOW_MS + 9, "open"))).toBe(open + settled);
    holds.forget("1/shop/prd/q/");
    expect(room.bytes).toBe(0);
    expect(holds.get({ space: SPACE, name: "a" })).toBeUndefined();
  });

  it(`give their room back as they are forgotten; seed ${SEED}`, () => {
    const { below, pick } = randomOf(SEED);
    const room = new MemoryRoom(1e9);
    const holds = new MemoryHolds(room);
    let nowMs = NOW_MS;
    for (let i = 0; i < 5_000; i++) {
      nowMs += below(1_000);
      holds.put(SPACE, `h${below(300)}`, holdAt(nowMs, pick(["open", "committed"])), nowMs);
    }
    expect(room.bytes).toBeGreaterThan(0);
    nowMs += DAY_MS + 60_001;
    for (let visit = 0; visit < 400; visit++) holds.dropPast(nowMs);
    expect(room.bytes).toBe(0);
    expect([...holds.rows(nowMs)]).toEqual([]);
  });
});
