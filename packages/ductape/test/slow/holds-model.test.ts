import { deepStrictEqual } from "node:assert/strict";
import { afterAll, describe, it } from "vitest";
import type { Decision, Ductape, QuotaInput, RuleInput } from "ductape";
import { randomHoldInput, randomRule, type HoldInput } from "../hold-commands.js";
import { expectedDecision, shownDecision } from "../model-decision.js";
import type { Command } from "../model-holds.js";
import { Model } from "../model.js";
import { runSequences, type ReadClock } from "../sequences.js";
import { faultOf, randomOf, seedOf } from "../support.js";
import { testedStores } from "../tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const COMMANDS = 100;
const seed = seedOf();
const SUBJECTS = ["a", "b", "c"] as const;
type Random = ReturnType<typeof randomOf>;

/** The first answers to ids of holds, to keys and to what was taken back, each with its input. */
type Answers = Map<string, { readonly input: string; readonly decision: Decision }>;

/** One quota, its model, and what was answered so far. */
class Sequence {
  readonly #ductape: Ductape;
  readonly #clock: ReadClock;
  readonly #random: Random;
  readonly #tag: string;
  readonly #inputs: RuleInput[];
  readonly #model: Model;
  readonly #answers: Answers = new Map();
  /** The last input, for the message of a difference. */
  #asked = "";

  constructor(ductape: Ductape, clock: ReadClock, random: Random, tag: string) {
    this.#ductape = ductape;
    this.#clock = clock;
    this.#random = random;
    this.#tag = tag;
    const pairs = Array.from({ length: 1 + random.below(3) }, (_, i) =>
      randomRule(random, `r${i}`),
    );
    this.#inputs = pairs.map(([input]) => input);
    this.#model = new Model(pairs.map(([, rule]) => rule));
  }

  async run(): Promise<void> {
    const random = this.#random;
    await this.#ductape.product.quotas.create("shop", { tag: this.#tag, rules: this.#inputs });
    for (let command = 0; command < COMMANDS; command++) {
      this.#passTime();
      if (random.below(50) === 0) await this.#changeLimit();
      try {
        if (random.below(12) === 0) await this.#runAll();
        else await this.#one(randomHoldInput(random, this.#model.rules));
        if (random.below(10) === 0) await this.#sweep();
      } catch (error) {
        const at = new Date(this.#clock.nowMs).toISOString();
        throw new Error(`command ${command} at ${at}: ${this.#asked}`, { cause: error });
      }
    }
    await this.#sweep();
  }

  #passTime(): void {
    const random = this.#random;
    const steps = [0, 0, 0, 100, 100, 300, 900, 1_000, 7_000, 60_000, 400_000];
    this.#clock.nowMs += random.pick(steps);
    if (random.below(15) === 0) this.#clock.nowMs -= random.pick([100, 1_000, 7_000]);
  }

  #inputOf(input: HoldInput): QuotaInput {
    this.#asked = JSON.stringify(input);
    return { env: "prd", product_tag: "shop", quota_tag: this.#tag, ...input };
  }

  async #one(input: HoldInput): Promise<void> {
    const call = () => this.#ductape.processor.quota.run(this.#inputOf(input));
    const command = commandOf(input, this.#clock.nowMs);
    const told = this.#toldOf(input, command);
    if (told === "VALIDATION" || told === "RESERVATION_NOT_FOUND") return expectFault(call(), told);
    const name = onceName(input);
    const first = name === null ? undefined : this.#answers.get(name);
    const known = this.#model.known(command);
    if (known === "RESERVATION_NOT_FOUND") return expectFault(call(), known);
    if (known === "replayed" || first !== undefined) {
      if (first === undefined) throw new Error(`no answer to repeat for ${told}`);
      const isSettled = known === "replayed" && input.action !== "reserve";
      if (!isSettled && first.input !== told) return expectFault(call(), "IDEMPOTENCY_CONFLICT");
      const { amount } = input.of === undefined ? first.decision : this.#refundOf(command);
      const { action } = input;
      return deepStrictEqual(await call(), { ...first.decision, action, amount, replayed: true });
    }
    if (known !== null) return expectFault(call(), known);
    const decision = await call();
    const verdict = this.#model.run(command);
    deepStrictEqual(shownDecision(decision), expectedDecision(verdict, command, this.#model.rules));
    const keeps = decision.allowed || typeof input.idempotency_key === "string";
    if (name !== null && keeps) this.#answers.set(name, { input: told, decision });
  }

  /** The amount that a refund answers: what it was asked for, or all of its charge. */
  #refundOf({ of = "", amount, subject }: Command): { amount: number } {
    const refund = this.#model.refundOf(of, amount, subject);
    return { amount: amount ?? (typeof refund === "number" ? refund : 0) };
  }

  /** What makes an input the same as another; a fault, if it takes back what nobody counted. */
  #toldOf(input: HoldInput, { of, amount, subject }: Command): string {
    if (of === undefined) return JSON.stringify(input);
    const refund = this.#model.refundOf(of, amount, subject);
    return typeof refund === "number" ? `${of} ${refund}` : refund;
  }

  /** Several commands as one: all of them, or none. */
  async #runAll(): Promise<void> {
    const random = this.#random;
    const names = new Set<string>();
    const inputs = Array.from({ length: 2 + random.below(2) }, () => {
      return randomHoldInput(random, this.#model.rules);
    }).filter((input) => {
      const name = input.reservation ?? input.of ?? input.idempotency_key;
      const isKnown = this.#model.known(commandOf(input, this.#clock.nowMs)) !== null;
      const once = onceName(input);
      if (isKnown || (once !== null && this.#answers.has(once))) return false;
      if (input.of !== undefined || (name !== undefined && names.has(name))) return false;
      if (name !== undefined) names.add(name);
      return true;
    });
    if (inputs.length < 2) return;
    const all = inputs.map((input) => this.#inputOf(input));
    this.#asked = JSON.stringify(inputs);
    const decisions = await this.#ductape.processor.quota.runAll(all, { atomic: true });
    const commands = inputs.map((input) => commandOf(input, this.#clock.nowMs));
    const { allowed, verdicts } = this.#model.runAll(commands);
    const codes = verdicts.map((each) =>
      allowed ? "OK" : each.allowed ? "NOT_APPLIED" : "QUOTA_EXCEEDED",
    );
    deepStrictEqual(
      decisions.map(({ code }) => code),
      codes,
    );
    for (const [i, input] of inputs.entries()) {
      const [decision, verdict, command] = [decisions[i], verdicts[i], commands[i]];
      if (decision === undefined || verdict === undefined || command === undefined) continue;
      const name = onceName(input);
      const keeps = allowed || typeof input.idempotency_key === "string";
      if (name !== null && keeps) {
        this.#answers.set(name, { input: JSON.stringify(input), decision });
      }
      if (!allowed) continue;
      const wanted = expectedDecision(verdict, command, this.#model.rules);
      deepStrictEqual(shownDecision(decision), wanted);
    }
  }

  /** Every counter is what a recount of all holds and charges says. */
  async #sweep(): Promise<void> {
    for (const subject of SUBJECTS) await this.#one({ action: "check", amount: 0, subject });
  }

  async #changeLimit(): Promise<void> {
    const random = this.#random;
    const i = random.below(this.#inputs.length);
    const [input, rule] = [this.#inputs[i], this.#model.rules[i]];
    if (input === undefined || rule === undefined) return;
    rule.limit = random.below(12);
    this.#inputs[i] = { ...input, limit: rule.limit };
    await this.#ductape.product.quotas.update("shop", this.#tag, { rules: this.#inputs });
  }
}

/** The name under which an answer is remembered; null: it is not. */
function onceName(input: HoldInput): string | null {
  const { action, reservation, idempotency_key, of, final } = input;
  if (action === "reserve") return `reserve ${reservation}`;
  if (of !== undefined) return `of ${of}`;
  if (action === "release" || (action === "commit" && final !== false)) {
    return `settle ${reservation}`;
  }
  return idempotency_key === undefined ? null : `key ${idempotency_key}`;
}

function commandOf(input: HoldInput, atMs: number): Command {
  const { subject, action, amount = null, rule = null, reservation: id, ttl_ms: ttlMs } = input;
  const {
    at_least: atLeast,
    final: isFinal,
    on_exceed: onExceed,
    idempotency_key: key,
    of,
  } = input;
  return { atMs, subject, action, amount, rule, id, ttlMs, atLeast, isFinal, onExceed, key, of };
}

async function expectFault(call: Promise<unknown>, code: string): Promise<void> {
  const fault = await faultOf(call);
  if (fault.code !== code) throw new Error(`expected ${code}`, { cause: fault });
}

describe.each(stores)("the naive model and $name, with holds,", ({ url }) => {
  const store = url("holds");

  it(`agree on random sequences of ${COMMANDS} commands (SEED=${seed})`, async () => {
    await runSequences(store, seed, { least: 40, seconds: 12 }, async (ductape, clock, number) => {
      await new Sequence(ductape, clock, randomOf(seed + number), `q${number}`).run();
    });
  }, 3_600_000);
});
