import { deepStrictEqual, ok } from "node:assert/strict";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type Decision, type QuotaInput, type RuleInput } from "ductape";
import { manualClock, type ManualClock } from "ductape/testing";
import { openStore } from "../../src/stores/url.js";
import { countingStore } from "../caching.js";
import { Model, type ModelRule } from "../model.js";
import {
  contextOf,
  clientWith,
  inputOf,
  randomOf,
  seedOf,
  storeUrls,
  temporaryFolder,
} from "../support.js";
import { draws } from "../draws.js";

const folder = temporaryFolder();
afterAll(folder.remove);

describe.each(storeUrls(folder.path))("a hot cache on %s", (url) => {
  it("reads the store once in each expiry for a million checks", async () => {
    const clock = manualClock("2026-01-01T00:00:00Z");
    const store = countingStore(openStore(url, contextOf(clock)));
    const quota = { tag: "q", limit: 10, period: "month" } as const;
    await using ductape = await clientWith([quota], { store, clock });
    await ductape.product.caches.create("shop", { tag: "c", expiry: 1_000 });
    const input = inputOf({ action: "check", cache: "c" });
    const startMs = clock();
    let asked = 0;
    for (let i = 0; i < 1_000_000; i++) {
      if (i % 10 === 0) clock.advance(1);
      const result = await ductape.processor.quota.run(input);
      if (result.source === "store") asked++;
    }
    expect(asked).toBe(Math.ceil((clock() - startMs) / 1_000));
    expect(store.asked).toBe(asked);
  });
});

const COMMANDS = 150;
const seed = seedOf();
type Random = ReturnType<typeof randomOf>;
const SUBJECTS = ["a", "b"] as const;
const EXPIRIES = { short: 500, long: 3_000 } as const;
type CacheTag = keyof typeof EXPIRIES;

function randomRule(random: Random, name: string): [RuleInput, ModelRule] {
  const [period, lengthMs] = random.pick([
    ["second", 1_000],
    ["minute", 60_000],
  ] as const);
  const rolling = random.below(3) === 0;
  const soft = random.below(6) === 0;
  const bySubject = random.below(3) > 0;
  const limit = random.below(10);
  const rule = { name, bySubject, limit, lengthMs, rolling, soft, alerts: [] };
  const input: RuleInput = {
    name,
    limit,
    period,
    scope: bySubject ? "$Session{userId}" : "product",
    window: rolling ? "rolling" : "calendar",
    on_exceed: soft ? "allow" : "reject",
  };
  return [input, rule];
}

/** One change that the store admitted, by whom and when. */
interface Change {
  readonly client: number;
  readonly atMs: number;
  readonly input: Parameters<Model["run"]>[0];
}

/** Recounts a history from nothing. */
function replayed(rules: readonly ModelRule[], changes: readonly Change[]): Model {
  const model = new Model([...rules]);
  for (const { input } of changes) model.run(input);
  return model;
}

function numbersOf(decision: Decision): unknown[] {
  const rules = decision.rules ?? [{ ...decision, admits: decision.allowed }];
  return rules.map(({ rule, used, limit, admits, retry_after_ms }) => {
    return { rule, used, limit, admits, retryAfterMs: admits ? 0 : retry_after_ms };
  });
}

const expectedNumbers = ({ rules }: ReturnType<Model["run"]>): unknown[] =>
  rules.map(({ rule, used, limit, admits, retryAfterMs }) => {
    return { rule, used, limit, admits, retryAfterMs: admits ? 0 : retryAfterMs };
  });

/** Several clients, their history, and what each of them may answer. */
class Sequence {
  readonly #clients: readonly Ductape[];
  readonly #clock: ManualClock;
  readonly #rules: readonly ModelRule[];
  readonly #tag: string;
  readonly #changes: Change[] = [];
  /** Answers by who gave them. */
  readonly sources = { store: 0, cache: 0 };

  constructor(
    clients: readonly Ductape[],
    clock: ManualClock,
    rules: readonly ModelRule[],
    tag: string,
  ) {
    this.#clients = clients;
    this.#clock = clock;
    this.#rules = rules;
    this.#tag = tag;
  }

  async step(random: Random): Promise<void> {
    this.#clock.advance(random.pick([0, 0, 100, 100, 200, 400, 1_000, 3_000]));
    const client = random.below(this.#clients.length);
    const cache = random.pick([undefined, "short", "long", "long"] as const);
    const input = this.#randomInput(random, cache);
    const decision = await this.#run(client, input);
    this.sources[decision.source]++;
    if (decision.source === "cache") this.#expectAllowed(client, input, decision, cache);
    else this.#expectCurrent(client, input, decision);
  }

  /** Every admitted change is in the counter, whatever caches said. */
  async expectCounted(): Promise<void> {
    for (const subject of SUBJECTS) {
      const input = { ...this.#names(subject), action: "check", amount: 0 } as const;
      const decision = await this.#run(0, input);
      this.#expectCurrent(0, input, decision);
    }
  }

  #names(subject: string) {
    return { env: "prd", product_tag: "shop", quota_tag: this.#tag, subject };
  }

  #randomInput(random: Random, cache: CacheTag | undefined): QuotaInput {
    const names = { ...this.#names(random.pick(SUBJECTS)), cache };
    const amount = random.below(4);
    const action = random.pick(["check", "check", "increment", "increment", "other"]);
    if (action !== "other")
      return { ...names, action: action === "check" ? action : "increment", amount };
    if (random.below(2) === 0) return { ...names, action: "decrement", amount };
    const rule = this.#rules[random.below(this.#rules.length)]?.name ?? "*";
    if (random.below(2) === 0) return { ...names, action: "reset", rule };
    return { ...names, action: "set", amount, rule };
  }

  async #run(client: number, input: QuotaInput): Promise<Decision> {
    const decision = await this.#clients[client]?.processor.quota.run(input);
    if (decision === undefined) throw new Error("nobody answered");
    return decision;
  }

  #modelInput({ action, subject, amount, rule }: QuotaInput) {
    return {
      atMs: this.#clock(),
      subject: String(subject),
      action,
      amount: Number(amount ?? 0),
      rule: typeof rule === "string" ? rule : null,
    };
  }

  /** An answer of the store is that of the whole history. */
  #expectCurrent(client: number, input: QuotaInput, decision: Decision): void {
    const asked = this.#modelInput(input);
    const expected = replayed(this.#rules, this.#changes).run(asked);
    deepStrictEqual(numbersOf(decision), expectedNumbers(expected));
    deepStrictEqual([decision.allowed, decision.age_ms], [expected.allowed, 0]);
    if (!expected.allowed || input.action === "check") return;
    this.#changes.push({ client, atMs: asked.atMs, input: asked });
  }

  /**
   * An answer of a cache is that of a history as it was within the expiry, with every change of the
   * same client; and it is a check or a refusal.
   */
  #expectAllowed(
    client: number,
    input: QuotaInput,
    decision: Decision,
    cache: CacheTag | undefined,
  ): void {
    ok(cache !== undefined, "an answer of a cache that was not named");
    ok(input.action === "check" || !decision.allowed, "an admitted change from a cache");
    const { age_ms } = decision;
    ok(age_ms >= 0 && age_ms < EXPIRIES[cache], `${age_ms} ms old`);
    const asked = this.#modelInput(input);
    const aged = this.#changes.findIndex(({ atMs }) => atMs >= asked.atMs - age_ms);
    const told = numbersOf(decision);
    const rules = decision.rules ?? [{ admits: decision.allowed }];
    deepStrictEqual(
      decision.allowed,
      rules.every(({ admits }) => admits),
    );
    // Each rule's counter was read at an instant of its own, none before the oldest.
    for (const [i, rule] of this.#rules.entries()) {
      const own = this.#lastOwn(client, rule, asked.subject);
      const possible = new Set<string>();
      const oldest = Math.max(own, aged === -1 ? this.#changes.length : aged);
      for (let known = oldest; known <= this.#changes.length; known++) {
        const model = replayed(this.#rules, this.#changes.slice(0, known));
        // A denial reports a rule's counter unchanged, like a check.
        const expected = model.run({ ...asked, action: "check" });
        possible.add(JSON.stringify(expectedNumbers(expected)[i]));
      }
      const each = JSON.stringify(told[i]);
      ok(possible.has(each), `${each} is none of ${[...possible].join(" ")}`);
    }
  }

  /** How many changes there were when the client itself changed that counter last. */
  #lastOwn(client: number, { bySubject }: ModelRule, subject: string): number {
    const isOwn = (change: Change) =>
      change.client === client && (!bySubject || change.input.subject === subject);
    return this.#changes.findLastIndex(isOwn) + 1;
  }
}

describe.each(storeUrls(folder.path))("clients with caches on %s", (url) => {
  const connect = url === "memory:" ? 1 : 2;
  it(`agree with a recount on random sequences (SEED=${seed})`, async () => {
    const clock = manualClock("2026-01-01T00:00:00Z");
    const store = url.replace("store.db", "model.db");
    await using first = await clientWith([], { store, clock });
    for (const [tag, expiry] of Object.entries(EXPIRIES)) {
      await first.product.caches.create("shop", { tag, expiry });
    }
    await using second = new Ductape({ store, clock });
    const clients = [first, second].slice(0, connect);
    const sources = { store: 0, cache: 0 };
    let sequences = 0;
    for (const number of draws("SEQUENCES", { least: 20, seconds: 8 })) {
      sequences++;
      const random = randomOf(seed + number);
      const count = 1 + random.below(2);
      const pairs = Array.from({ length: count }, (_, i) => randomRule(random, `r${i}`));
      const tag = `q${number}`;
      await first.product.quotas.create("shop", { tag, rules: pairs.map(([input]) => input) });
      const rules = pairs.map(([, rule]) => rule);
      const sequence = new Sequence(clients, clock, rules, tag);
      try {
        for (let command = 0; command < COMMANDS; command++) await sequence.step(random);
        await sequence.expectCounted();
      } catch (error) {
        throw new Error(`sequence ${number} of SEED=${seed} differs`, { cause: error });
      }
      sources.store += sequence.sources.store;
      sources.cache += sequence.sources.cache;
      await first.product.quotas.delete("shop", tag);
    }
    // Both are tried in earnest.
    expect(sources.cache).toBeGreaterThan((sequences * COMMANDS) / 10);
    expect(sources.store).toBeGreaterThan((sequences * COMMANDS) / 10);
  }, 600_000);
});
