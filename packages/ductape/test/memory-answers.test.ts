import { describe, expect, it } from "vitest";
import { MemoryAnswers } from "../src/stores/memory/answers.js";
import { MemoryRoom } from "../src/stores/memory/room.js";

const SPACE = "1/shop/prd/q//uid/";
const DAY_MS = 86_400_000;

/** As `answerText` begins. */
const textOf = (nowMs: number, ttlMs: number): string => `${nowMs},${ttlMs},0\n[]\n[]`;

function open() {
  const room = new MemoryRoom(1e9);
  const answers = new MemoryAnswers(room);
  const put = (name: string, nowMs: number, ttlMs: number, space = SPACE): void =>
    answers.put(space, name, textOf(nowMs, ttlMs), nowMs + ttlMs, nowMs);
  /** How many are in memory, whether expired or not. */
  const count = (): number => [...answers.rows(0)].length;
  const get = (name: string) =>
    answers.get({ space: SPACE, name, ttlMs: 0, fingerprint: "", caller: "", details: "" });
  return { answers, put, count, get, room };
}

describe("answers in memory", () => {
  it("are kept for their whole time, and for at most a quarter longer", () => {
    for (const ttlMs of [1_000, 1_001, 15_000, DAY_MS]) {
      const { put, count, get } = open();
      put("k", 7, ttlMs);
      put("other", 7 + ttlMs - 1, 1_000, "1/shop/dev/q//uid/");
      expect(get("k"), `${ttlMs} ms`).toBe(textOf(7, ttlMs));
      put("other", 7 + ttlMs * 1.25, 1_000, "1/shop/dev/q//uid/");
      expect([get("k"), count()], `${ttlMs} ms`).toEqual([undefined, 1]);
    }
  });

  it("go with the next two that are kept, also those of another quota", () => {
    const { put, count } = open();
    for (let i = 0; i < 10_000; i++) put(`old-${i}`, i, 15_000);
    put("new", 60_000, 15_000, "1/shop/prd/other//uid/");
    expect(count()).toBe(1);
  });

  it("of short lives are as many as are made in one, beside those of a day", () => {
    const { put, count } = open();
    for (let i = 0; i < 100; i++) put(`user-${i}`, i, DAY_MS);
    let most = 0;
    for (let i = 0; i < 100_000; i++) {
      put(`client-${i}`, i * 10, 15_000);
      if (i % 100 === 0) most = Math.max(most, count());
    }
    expect(most).toBeLessThanOrEqual(100 + 1_500 * 1.25);
  });

  it("of a clock that was years ahead go a day after it is right", () => {
    const { put, count } = open();
    const aheadMs = 10 * 365 * DAY_MS;
    put("ahead", aheadMs, DAY_MS);
    put("now", 0, 1_000);
    put("later", DAY_MS * 1.25, 1_000);
    expect(count()).toBe(1);
  });

  it("take the place of an expired one of the same key", () => {
    const { put, count, get } = open();
    put("k", 0, DAY_MS);
    put("k", DAY_MS, 1_000);
    expect([get("k"), count()]).toEqual([textOf(DAY_MS, 1_000), 1]);
  });
});
