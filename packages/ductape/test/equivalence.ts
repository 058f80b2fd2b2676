// Drives decide/apply.ts in JavaScript, and the script made of it on a real server, with the same
// random plans, and compares.
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { apply } from "../src/decide/apply.js";
import { canonical } from "../src/base/json.js";
import { answerKeyOf, readAnswer } from "../src/decide/answer.js";
import type { Counter } from "../src/decide/counter.js";
import type { Counters } from "../src/decide/counters.js";
import type { Outcome } from "../src/decide/outcome.js";
import type { Hold } from "../src/decide/hold.js";
import type { AnswerKey, RuleCheck } from "../src/decide/plan.js";
import { addAmount, dropLeft } from "../src/decide/rolling.js";
import { Batch, replyOf } from "../src/stores/redis/batch.js";
import { holdText, readHold } from "../src/stores/hold-record.js";
import { Keyspace } from "../src/stores/redis/keys.js";
import { readCounter } from "../src/stores/redis/packed.js";
import { RandomPlans } from "./random-plans.js";
import { randomOf } from "./support.js";

/** Counters and answers in a plain map: the specification's side. */
class PlainCounters implements Counters {
  readonly counters = new Map<string, Counter>();
  readonly answers = new Map<string, string>();
  readonly holds = new Map<string, Hold>();
  nowMs = 0;
  readonly #keyspace: Keyspace;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  find(check: RuleCheck): Counter | undefined {
    return this.counters.get(this.#keyspace.counter(check.rule, check.subject));
  }

  changed(): void {}

  put(check: RuleCheck, counter: Counter): void {
    this.counters.set(this.#keyspace.counter(check.rule, check.subject), counter);
  }

  findAnswer(key: AnswerKey): string | undefined {
    return this.answers.get(answerKeyOf(key));
  }

  putAnswer(key: AnswerKey, text: string): void {
    this.answers.set(answerKeyOf(key), text);
  }

  findHold(key: AnswerKey): Hold | undefined {
    return this.holds.get(answerKeyOf(key));
  }

  putHold(key: AnswerKey, hold: Hold): void {
    // As a text keeps it: without alerts that did not fire.
    this.holds.set(answerKeyOf(key), readHold(holdText(hold)));
  }
}

/** What is compared of one plan: all of its outcome but the counters, which change later. */
function comparable(outcome: Outcome | Error | undefined): unknown {
  if (outcome === undefined || outcome === "stale" || outcome instanceof Error) {
    return [String(outcome)];
  }
  return outcome.map(({ status, nowMs, isReplayed, amount, hold, checks }) => {
    const inner = { counter: null, holds: null, effect: null };
    const numbers = checks.map((check) => ({ ...check, ...inner }));
    return [status, nowMs, isReplayed, amount, hold, numbers];
  });
}

/**
 * Where the two differ first, in words; null where `planCount` plans differ in nothing. `specials`:
 * see `RandomPlans`.
 */
export async function firstDifference(
  redis: Redis,
  script: string,
  seed: number,
  planCount: number,
  specials = 2,
): Promise<string | null> {
  const random = randomOf(seed);
  const keyspace = new Keyspace(`e${seed}`);
  const world = new RandomPlans(random, specials);
  const plain = new PlainCounters(keyspace);
  const sha = createHash("sha1").update(script).digest("hex");
  await redis.script("LOAD", script);
  await redis.flushdb();
  for (let done = 0; done < planCount;) {
    const count = random.pick([1, 1, 2, 5, 9]);
    const plans = Array.from({ length: count }, () => world.next());
    // The plans of one batch are decided at one instant, though each was planned at its own.
    const { nowMs } = world;
    done += count;
    plain.nowMs = Math.max(plain.nowMs, nowMs);
    const wanted = plans.map((plan) => comparable(apply(plain, plan, nowMs)));
    const batch = new Batch(plans, keyspace);
    const args = [nowMs, batch.counterCount, batch.text, random.below(2)] as const;
    let got: readonly unknown[] = [];
    try {
      const reply = replyOf(
        await redis.callBuffer("EVALSHA", sha, batch.keys.length, ...batch.keys, ...args),
      );
      got = batch.decide(reply).outcomes.map(comparable);
    } catch (error) {
      return `after ${done} plans: ${String(error)}`;
    }
    for (let i = 0; i < count; i++) {
      const [spec, told] = [textOf(wanted[i]), textOf(got[i])];
      if (spec !== told) return `plan ${done - count + i}: wanted ${spec}, got ${told}`;
    }
    const difference = await storedDifference(redis, batch, plain).catch(String);
    if (difference !== null) return `after ${done} plans: ${difference}`;
  }
  return null;
}

async function storedDifference(redis: Redis, batch: Batch, plain: PlainCounters) {
  const texts = await redis.mgetBuffer(batch.keys);
  for (const [i, key] of batch.keys.entries()) {
    const bytes = texts[i] ?? null;
    const isCounter = i < batch.counterCount;
    const got = isCounter ? readCounter(bytes) : answerOf(bytes?.toString());
    const answerKey = key.slice(key.indexOf("}") + 1);
    if (answerKey.includes(HOLD)) {
      const different = await holdDifference(redis, key, answerKey, bytes, plain);
      if (different !== null) return different;
      continue;
    }
    const wanted = isCounter ? plain.counters.get(key) : answerOf(plain.answers.get(answerKey));
    const [spec, stored] = [JSON.stringify(wanted), JSON.stringify(got)];
    if (spec !== stored) return `${key}: wanted ${spec}, stored ${stored}`;
  }
  return null;
}

/** In the keys of holds, and at the end of those of the lists of open ones. */
const HOLD = "\0";

async function holdDifference(
  redis: Redis,
  key: string,
  holdKey: string,
  bytes: Buffer | null,
  { holds, nowMs }: PlainCounters,
): Promise<string | null> {
  if (!holdKey.endsWith(HOLD)) {
    const hold = holds.get(holdKey.replace(HOLD, ""));
    const spec = hold === undefined ? "none" : holdText(hold);
    const stored = bytes === null ? "none" : holdText(readHold(bytes.toString()));
    return spec === stored ? null : `${key}: wanted ${spec}, stored ${stored}`;
  }
  const space = holdKey.slice(0, holdKey.indexOf(HOLD));
  const listed = new Set(await redis.zrange(key, "0", "-1"));
  for (const [name, hold] of holds) {
    if (!name.startsWith(space)) continue;
    const isListed = listed.delete(name.slice(space.length));
    const mustBe = hold.status === "open" && hold.expiresMs > nowMs;
    if (mustBe && !isListed) return `${key}: does not list ${name}`;
    if (hold.status !== "open" && isListed) return `${key}: lists ${name}, which is settled`;
  }
  return listed.size === 0 ? null : `${key}: lists ${[...listed].join()}`;
}

function answerOf(text: string | undefined) {
  return text === undefined ? undefined : readAnswer(text);
}

/** A script of that alone, which keeps amounts and returns what is left of them. */
const keeping = (rollingLua: string) => `
${rollingLua}
local entries, periodMs = {}, tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local nowMs = tonumber(ARGV[i])
  dropLeft(entries, nowMs - periodMs)
  addAmount(entries, tonumber(ARGV[i + 1]), periodMs, nowMs)
end
for i = 1, #entries do entries[i] = string.format('%.0f', entries[i]) end
return entries
`;

/**
 * The first difference between the entries kept by Lua and by JavaScript; null if there is none.
 */
export async function firstRollingDifference(
  redis: Redis,
  rollingLua: string,
  seed: number,
  traffics: number,
): Promise<string | null> {
  const random = randomOf(seed);
  const script = keeping(rollingLua);
  for (let traffic = 0; traffic < traffics; traffic++) {
    const periodMs = random.pick([1_000, 2_000, 60_000, 86_400_000]);
    const stepMs = Math.max(1, Math.floor(periodMs / random.pick([60, 120, 400, 3_000])));
    const amountMost = random.pick([1, 3, 100, 2 ** 44]);
    const calls: number[] = [];
    const wanted: number[] = [];
    let nowMs = 1_700_000_000_000;
    for (let i = 0; i < 300; i++) {
      nowMs += (random.below(20) === 0 ? -3 : random.below(4)) * stepMs;
      const amount = 1 + random.below(amountMost);
      calls.push(nowMs, amount);
      dropLeft(wanted, nowMs - periodMs);
      addAmount(wanted, amount, periodMs, nowMs);
    }
    const got = await redis.eval(script, 0, periodMs, ...calls);
    const [spec, told] = [JSON.stringify(wanted.map(String)), JSON.stringify(got)];
    if (spec !== told) return `traffic ${traffic}: wanted ${spec}, got ${told}`;
  }
  return null;
}

const textOf = (value: unknown): string => JSON.stringify(canonical(value));
