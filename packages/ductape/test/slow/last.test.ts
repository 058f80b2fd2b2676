import { deepStrictEqual } from "node:assert/strict";
import { afterAll, describe, it } from "vitest";
import type { Ductape, Period, RuleInput } from "ductape";
import { Model, type ModelRule } from "../model.js";
import { randomOf, seedOf } from "../support.js";
import { runSequences } from "../sequences.js";
import { testedStores } from "../tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);

const COMMANDS = 60;
const seed = seedOf();
const HOUR_MS = 3_600_000;
const PERIODS: readonly (readonly [Period, number])[] = [
  ["day", 24 * HOUR_MS],
  [{ every: 2, unit: "day" }, 48 * HOUR_MS],
  [{ every: 36, unit: "hour" }, 36 * HOUR_MS],
];
const STEPS_MS = [0, 0, 1, HOUR_MS, 5 * HOUR_MS, 12 * HOUR_MS, 24 * HOUR_MS, 49 * HOUR_MS];
const ACTIONS = [
  "increment",
  "increment",
  "increment",
  "decrement",
  "set",
  "reset",
  "grant",
] as const;

type Random = ReturnType<typeof randomOf>;

function randomRule(random: Random, name: string): [RuleInput, ModelRule] {
  const [period, lengthMs] = random.pick(PERIODS) ?? ["day", 24 * HOUR_MS];
  const bySubject = random.below(4) > 0;
  const limit = random.below(4) === 0 ? null : 3 + random.below(9);
  const scope = bySubject ? "$Session{userId}" : "product";
  const rest = { rolling: false, soft: false, alerts: [] };
  return [
    { name, scope, limit, period },
    { name, bySubject, limit, lengthMs, ...rest },
  ];
}

async function lastOf(ductape: Ductape, quota_tag: string, rule: string) {
  const asked = { product_tag: "shop", env: "prd", quota_tag, rule, window: "last" } as const;
  const { subjects } = await ductape.usage.subjects(asked);
  return new Map(subjects.map(({ subject, used }) => [subject ?? "", used]));
}

async function runSequence(ductape: Ductape, clock: { nowMs: number }, number: number) {
  const random = randomOf(seed + number);
  const quota_tag = `q${number}`;
  const pairs = Array.from({ length: 1 + random.below(2) }, (_, i) => randomRule(random, `r${i}`));
  const model = new Model(pairs.map(([, rule]) => rule));
  const { quotas } = ductape.product;
  await quotas.create("shop", { tag: quota_tag, rules: pairs.map(([rule]) => rule) });
  for (let command = 0; command < COMMANDS; command++) {
    clock.nowMs += random.pick(STEPS_MS) ?? 0;
    const subject = random.pick(["a", "b", "c"]);
    const action = random.pick(ACTIONS);
    const named = ["set", "reset", "grant"].includes(action) ? random.pick(model.rules) : null;
    const rule = named?.name ?? null;
    const amount = action === "reset" ? 0 : random.below(6);
    const input = { env: "prd", product_tag: "shop", quota_tag, action, subject, amount };
    await ductape.processor.quota.run(rule === null ? input : { ...input, rule });
    model.run({ atMs: clock.nowMs, subject, action, amount, rule });
    for (const each of model.rules) {
      const told = await lastOf(ductape, quota_tag, each.name);
      const wanted = model.lastUsed(each, clock.nowMs);
      deepStrictEqual(new Map([...told].sort()), new Map([...wanted].sort()));
    }
  }
}

describe.each(stores)("the window that ended last, by the naive model and $name", ({ url }) => {
  const store = url("last");

  it(`is the same after each of ${COMMANDS} random commands (SEED=${seed})`, async () => {
    await runSequences(store, seed, { least: 10, seconds: 8 }, runSequence);
  }, 3_600_000);
});
