import { afterAll, describe, expect, it } from "vitest";
import { Ductape, DuctapeError, type QuotaInput } from "ductape";
import { clientWith, inputOf, randomOf, seedOf, temporaryFolder } from "../support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const SEED = seedOf();
// So many that some are not counted again before their count is folded.
const SUBJECTS = 10_000;
const DAY_MS = 86_400_000;

/** What each subject has used in the day of `nowMs`, counted without the engine. */
class Expected {
  nowMs = Date.UTC(2026, 0, 1);
  readonly #days = new Map<string, { day: number; used: number }>();

  apply({ subject, action, amount }: QuotaInput): number {
    const day = Math.floor(this.nowMs / DAY_MS);
    const known = this.#days.get(String(subject));
    const before = known?.day === day ? known.used : 0;
    const by = typeof amount === "number" ? amount : 0;
    const used =
      action === "increment"
        ? before + by
        : action === "decrement"
          ? Math.max(0, before - by)
          : action === "set"
            ? by
            : action === "reset"
              ? 0
              : before;
    if (action !== "check") this.#days.set(String(subject), { day, used });
    return used;
  }
}

describe("several connections to one file", () => {
  it(`see each count of the others, though it was folded long ago (SEED=${SEED})`, async () => {
    const random = randomOf(SEED);
    const expected = new Expected();
    const store = `sqlite:${folder.path}/log.db`;
    const options = { store, clock: () => expected.nowMs };
    const quota = { tag: "q", limit: null, period: "day", scope: "$Session{userId}" } as const;
    const first = await clientWith([quota], options);
    const clients = [first, new Ductape(options), new Ductape(options)] as const;
    const inputNow = (): QuotaInput => {
      const action = random.pick(["increment", "decrement", "set", "reset", "check"] as const);
      const weighed = random.below(7) < 4 ? "increment" : action;
      const subject = `user-${random.below(SUBJECTS)}`;
      if (weighed === "reset") return inputOf({ action: weighed, subject });
      return inputOf({ action: weighed, subject, amount: random.below(9) });
    };
    const wrong: string[] = [];
    // The third client sleeps through stretches longer than the log is.
    for (let turn = 0; turn < 9_000; turn++) {
      const sleeps = turn % 3_000 < 2_600;
      const client = sleeps ? random.pick([clients[0], clients[1]]) : random.pick(clients);
      const inputs = Array.from({ length: turn % 50 === 0 ? 300 : 1 + random.below(9) }, inputNow);
      const wanted = inputs.map((input) => expected.apply(input));
      const results = await client.processor.quota.runAll(inputs);
      results.forEach((result, i) => {
        const used = DuctapeError.is(result) || result.used;
        if (used !== wanted[i]) wrong.push(`turn ${turn}: ${used}, expected ${wanted[i]}`);
      });
      if (turn === 6_500) expected.nowMs += DAY_MS;
    }
    expect(wrong.slice(0, 5)).toEqual([]);
    await Promise.all(clients.map((client) => client.close()));
    await using later = new Ductape(options);
    for (let i = 0; i < SUBJECTS; i++) {
      const input = inputOf({ action: "check", subject: `user-${i}` });
      const result = await later.processor.quota.run(input);
      expect(result).toMatchObject({ used: expected.apply(input) });
    }
  });
});
