import { deepStrictEqual } from "node:assert/strict";
import { afterAll, describe, it } from "vitest";
import type { Decision, Ductape, QuotaInput } from "ductape";
import { runSequences, type ReadClock } from "../sequences.js";
import { inputOf, randomOf, seedOf } from "../support.js";
import { testedStores } from "../tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const seed = seedOf();
const COMMANDS = 80;
const MINUTE_MS = 60_000;
const WINDOWS = 30;
const SUBJECTS = ["a", "b"] as const;
type Random = ReturnType<typeof randomOf>;

/** Something that was counted in one window, and may be taken back once. */
interface Charge {
  readonly subject: string;
  readonly of: string;
  readonly windowMs: number;
  readonly amount: number;
}

/** One quota whose windows are kept, and the sum of all acknowledged answers for each window. */
class Ledger {
  readonly #ductape: Ductape;
  readonly #clock: ReadClock;
  readonly #random: Random;
  readonly #tag: string;
  readonly #sums = new Map<string, number>();
  /** Open holds: whose, and in which window they were admitted. */
  readonly #open = new Map<string, { subject: string; windowMs: number; charged: number }>();
  readonly #charges: Charge[] = [];
  #names = 0;

  constructor(ductape: Ductape, clock: ReadClock, random: Random, tag: string) {
    this.#ductape = ductape;
    this.#clock = clock;
    this.#random = random;
    this.#tag = tag;
  }

  async run(): Promise<void> {
    const rules = [
      { name: "kept", scope: "$Session{userId}", limit: 40, period: "minute", history: WINDOWS },
      { name: "burst", limit: 30, period: "second", window: "rolling" },
      { name: "slots", limit: 6, window: "concurrent" },
    ] as const;
    await this.#ductape.product.quotas.create("shop", { tag: this.#tag, rules });
    for (let command = 0; command < COMMANDS; command++) {
      this.#clock.nowMs += this.#random.pick([0, 100, 500, 3_000, 20_000, 60_000]);
      await this.#one();
    }
    await this.#compare();
  }

  get #windowMs(): number {
    return Math.floor(this.#clock.nowMs / MINUTE_MS) * MINUTE_MS;
  }

  #add(subject: string, windowMs: number, amount: number): void {
    const key = `${subject} ${windowMs}`;
    this.#sums.set(key, (this.#sums.get(key) ?? 0) + amount);
  }

  async #ask(input: Partial<QuotaInput>): Promise<Decision> {
    return await this.#ductape.processor.quota.run(inputOf({ quota_tag: this.#tag, ...input }));
  }

  async #one(): Promise<void> {
    const random = this.#random;
    const kind = random.below(10);
    const subject = random.pick(SUBJECTS);
    if (kind < 2) return this.#increment(subject);
    if (kind < 5) return this.#reserve(subject);
    if (kind < 9) return this.#settle();
    return this.#takeBack();
  }

  async #increment(subject: string): Promise<void> {
    const of = `key-${this.#names++}`;
    const amount = this.#random.below(5);
    const given = { action: "increment", subject, amount, idempotency_key: of } as const;
    const { allowed } = await this.#ask(given);
    if (!allowed) return;
    const windowMs = this.#windowMs;
    this.#add(subject, windowMs, amount);
    this.#charges.push({ subject, of, windowMs, amount });
  }

  async #reserve(subject: string): Promise<void> {
    const reservation = `job-${this.#names++}`;
    const amount = this.#random.below(9);
    const ttl_ms = this.#random.pick([1_000, 30_000, 300_000]);
    const { allowed } = await this.#ask({
      action: "reserve",
      subject,
      reservation,
      amount,
      ttl_ms,
    });
    if (!allowed) return;
    this.#open.set(reservation, { subject, windowMs: this.#windowMs, charged: 0 });
  }

  async #settle(): Promise<void> {
    const random = this.#random;
    const [reservation = "", hold] = [...this.#open][random.below(this.#open.size)] ?? [];
    if (hold === undefined) return;
    const { subject, windowMs } = hold;
    if (random.below(5) === 0) {
      await this.#ask({ action: "extend", subject, reservation, amount: random.below(9) });
      return;
    }
    const final = random.below(3) > 0;
    const isReleased = final && random.below(4) === 0;
    const amount = isReleased ? 0 : random.below(12);
    const { allowed } = isReleased
      ? await this.#ask({ action: "release", subject, reservation })
      : await this.#ask({ action: "commit", subject, reservation, amount, final });
    if (!allowed) return;
    this.#add(subject, windowMs, amount);
    hold.charged += amount;
    if (!final) return;
    this.#open.delete(reservation);
    this.#charges.push({ subject, of: reservation, windowMs, amount: hold.charged });
  }

  async #takeBack(): Promise<void> {
    const at = this.#random.below(this.#charges.length);
    const [charge] = this.#charges.splice(at, 1);
    if (charge === undefined) return;
    const { subject, of, windowMs } = charge;
    const amount = Math.min(charge.amount, this.#random.below(9));
    await this.#ask({ action: "decrement", subject, of, amount });
    this.#add(subject, windowMs, -amount);
  }

  async #compare(): Promise<void> {
    for (const subject of SUBJECTS) {
      const place = { product_tag: "shop", env: "prd", quota_tag: this.#tag, rule: "kept" };
      const { windows } = await this.#ductape.usage.history({ ...place, subject });
      const kept = windows.map(({ start, used }) => [start, used]);
      const wanted = windows.map(({ start }) => {
        return [start, this.#sums.get(`${subject} ${Date.parse(start)}`) ?? 0];
      });
      deepStrictEqual(kept, wanted);
    }
  }
}

describe.each(stores)("the history of a quota with holds on $name", ({ url }) => {
  const store = url("history");

  it(`is the sum of all that was counted in each window (SEED=${seed})`, async () => {
    await runSequences(store, seed, { least: 20, seconds: 5 }, async (ductape, clock, number) => {
      await new Ledger(ductape, clock, randomOf(seed + number), `q${number}`).run();
    });
  }, 3_600_000);
});
