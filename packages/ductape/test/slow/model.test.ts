import { deepStrictEqual } from "node:assert/strict";
import { afterAll, describe, expect, it } from "vitest";
import type { Decision, Ductape, QuotaInput, RuleInput } from "ductape";
import { Model, type ModelRule } from "../model.js";
import { randomOf, seedOf } from "../support.js";
import { runSequences } from "../sequences.js";
import { testedStores } from "../tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const COMMANDS = 100;
const seed = seedOf();
type Random = ReturnType<typeof randomOf>;

const PERIODS = [
  ["second", 1_000],
  ["minute", 60_000],
  ["hour", 3_600_000],
] as const;

function randomRule(random: Random, name: string): [RuleInput, ModelRule] {
  const [period, lengthMs] = random.pick(PERIODS);
  const rolling = random.below(3) === 0;
  const soft = random.below(4) === 0;
  const limit = random.below(8) === 0 ? null : random.below(12);
  const bySubject = random.below(3) > 0;
  const alerts = random.below(2) === 0 ? [] : [0.25, 0.5, 1];
  const input: RuleInput = {
    name,
    scope: bySubject ? "$Session{userId}" : "product",
    limit,
    period,
    window: rolling ? "rolling" : "calendar",
    on_exceed: soft ? "allow" : "reject",
    alerts,
  };
  return [input, { name, bySubject, limit, lengthMs, rolling, soft, alerts }];
}

const ACTIONS = ["increment", "increment", "increment", "increment", "check", "decrement"] as const;
const RULE_ACTIONS = ["set", "reset", "grant"] as const;

function randomInput(random: Random, tag: string, rules: readonly ModelRule[]): QuotaInput {
  const subject = random.pick(["a", "b", "c"]);
  const base = { env: "prd", product_tag: "shop", quota_tag: tag, subject };
  const key = random.below(6) === 0 ? { idempotency_key: `k${random.below(8)}` } : {};
  if (random.below(10) > 0) {
    return { ...base, ...key, action: random.pick(ACTIONS), amount: random.below(5) };
  }
  const rule = rules[random.below(rules.length)];
  const action = rule?.rolling === true ? random.pick(["set", "reset"]) : random.pick(RULE_ACTIONS);
  const named = { ...base, ...key, action, rule: rule?.name ?? "*" };
  return action === "reset" ? named : { ...named, amount: random.below(8) };
}

/** The rule in the result: the longest wait of those that denied, else the least left. */
function bindingOf(expected: ReturnType<Model["run"]>, spoken: string | null): string {
  const wait = (ms: number | null) => (ms === null ? Infinity : ms);
  const refused = expected.rules.filter(({ admits }) => !admits);
  if (refused.length > 0) {
    const longest = Math.max(...refused.map(({ retryAfterMs }) => wait(retryAfterMs)));
    return refused.find((rule) => wait(rule.retryAfterMs) === longest)?.rule ?? "";
  }
  const left = ({ used, limit }: { used: number; limit: number | null }) => {
    if (limit === null) return Number.MAX_VALUE;
    return limit === 0 ? -used : (limit - used) / limit;
  };
  const asked = expected.rules.filter(({ rule }) => spoken === null || rule === spoken);
  const least = Math.min(...asked.map(left));
  return asked.find((rule) => left(rule) === least)?.rule ?? "";
}

function expectSame(
  decision: Decision,
  expected: ReturnType<Model["run"]>,
  input: QuotaInput,
): void {
  const { allowed, exceeded, alerts = [] } = decision;
  const spoken = typeof input.rule === "string" ? input.rule : null;
  deepStrictEqual(
    { allowed, exceeded, alerts, action: decision.action, rule: decision.rule },
    {
      allowed: expected.allowed,
      exceeded: expected.exceeded,
      alerts: expected.alerts,
      action: input.action,
      rule: bindingOf(expected, spoken),
    },
  );
  for (const rule of decision.rules ?? [{ ...decision, admits: decision.allowed }]) {
    const wanted = expected.rules.find(({ rule: name }) => name === rule.rule);
    if (wanted === undefined) throw new Error(`the model has no rule ${rule.rule}`);
    const { used, limit, admits } = wanted;
    deepStrictEqual(
      {
        used: rule.used,
        limit: rule.limit,
        remaining: rule.remaining,
        admits: rule.admits,
        retry: rule.retry_after_ms,
        resets: Date.parse(rule.resets_at ?? ""),
      },
      {
        used,
        limit,
        remaining: limit === null ? null : Math.max(0, limit - used),
        admits,
        retry: admits ? 0 : wanted.retryAfterMs,
        resets: wanted.resetsAtMs,
      },
    );
  }
}

async function runSequence(ductape: Ductape, clock: { nowMs: number }, number: number) {
  const random = randomOf(seed + number);
  const tag = `q${number}`;
  const pairs = Array.from({ length: 1 + random.below(3) }, (_, i) => randomRule(random, `r${i}`));
  const inputs = pairs.map(([input]) => input);
  const model = new Model(pairs.map(([, rule]) => rule));
  await ductape.product.quotas.create("shop", { tag, rules: inputs });
  const answers = new Map<string, { input: string; decision: Decision }>();
  for (let command = 0; command < COMMANDS; command++) {
    clock.nowMs += random.pick([0, 0, 100, 100, 300, 900, 1_000, 7_000, 60_000, 400_000]);
    if (random.below(50) === 0) await changeLimit(ductape, random, tag, inputs, model);
    const input = randomInput(random, tag, model.rules);
    const key = input.idempotency_key;
    const told = { ...input, idempotency_key: undefined };
    const first = typeof key === "string" ? answers.get(key) : undefined;
    if (first !== undefined) {
      await expectReplay(ductape, input, JSON.stringify(told), first);
      continue;
    }
    const decision = await ductape.processor.quota.run(input);
    const { action } = input;
    const amount = typeof input.amount === "number" ? input.amount : 0;
    const rule = typeof input.rule === "string" ? input.rule : null;
    const subject = typeof input.subject === "string" ? input.subject : "";
    const expected = model.run({ atMs: clock.nowMs, subject, action, amount, rule });
    expectSame(decision, expected, input);
    if (typeof key === "string") answers.set(key, { input: JSON.stringify(told), decision });
  }
}

async function expectReplay(
  ductape: Ductape,
  input: QuotaInput,
  told: string,
  first: { input: string; decision: Decision },
): Promise<void> {
  if (first.input === told) {
    const again = await ductape.processor.quota.run(input);
    deepStrictEqual(again, { ...first.decision, replayed: true });
    return;
  }
  const conflict = ductape.processor.quota.run(input);
  await expect(conflict).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
}

async function changeLimit(
  ductape: Ductape,
  random: Random,
  tag: string,
  inputs: RuleInput[],
  model: Model,
): Promise<void> {
  const i = random.below(inputs.length);
  const [input, rule] = [inputs[i], model.rules[i]];
  if (input === undefined || rule === undefined) return;
  rule.limit = random.below(12);
  inputs[i] = { ...input, limit: rule.limit };
  await ductape.product.quotas.update("shop", tag, { rules: inputs });
}

describe.each(stores)("the naive model and $name", ({ url }) => {
  const store = url("model");

  it(`agree on random sequences of ${COMMANDS} commands (SEED=${seed})`, async () => {
    await runSequences(store, seed, { least: 40, seconds: 12 }, runSequence);
  }, 3_600_000);
});
