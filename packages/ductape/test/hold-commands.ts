// Random rules, and random commands on holds and counts, for the naive model.
import type { Action, RuleInput } from "ductape";
import type { ModelRule } from "./model.js";
import type { randomOf } from "./support.js";

type Random = ReturnType<typeof randomOf>;

/** The fields of an input besides its quota, without the ways to leave one out. */
export interface HoldInput {
  readonly action: Action;
  readonly subject: string;
  readonly amount?: number;
  readonly rule?: string;
  readonly idempotency_key?: string;
  readonly reservation?: string;
  readonly ttl_ms?: number;
  readonly at_least?: number;
  readonly final?: boolean;
  readonly on_exceed?: "allow" | "reject";
  readonly of?: string;
}

const PERIODS = [
  ["second", 1_000],
  ["minute", 60_000],
  ["hour", 3_600_000],
] as const;
const SUBJECTS = ["a", "b", "c"] as const;
/** So few that most commands find a hold, and so many that some stay open. */
const IDS = 12;
const KEYS = 8;
const TTLS_MS = [1_000, 1_500, 7_000, 60_000, 61_234, 600_000] as const;

/** A rule as it is defined and as the model knows it. */
export function randomRule(random: Random, name: string): [RuleInput, ModelRule] {
  const [period, lengthMs] = random.pick(PERIODS);
  const bySubject = random.below(3) > 0;
  const soft = random.below(4) === 0;
  const limit = random.below(8) === 0 ? null : random.below(12);
  const scope = bySubject ? "$Session{userId}" : "product";
  const counts = { name, bySubject, soft, limit, lengthMs };
  const on_exceed = soft ? "allow" : "reject";
  if (random.below(4) === 0) {
    const concurrent = { ...counts, rolling: false, alerts: [], concurrent: true };
    return [{ name, scope, limit, window: "concurrent", on_exceed }, concurrent];
  }
  const rolling = random.below(3) === 0;
  const alerts = random.below(2) === 0 ? [] : [0.25, 0.5, 1];
  const window = rolling ? "rolling" : "calendar";
  const input: RuleInput = { name, scope, limit, period, window, on_exceed, alerts };
  return [input, { ...counts, rolling, alerts }];
}

/** A command that is no `VALIDATION` for these rules. */
export function randomHoldInput(random: Random, rules: readonly ModelRule[]): HoldInput {
  const subject = random.pick(SUBJECTS);
  const kind = random.below(100);
  const counted = rules.filter(({ concurrent }) => concurrent !== true);
  if (kind < 26 || counted.length === 0) return randomReserve(random, subject);
  if (kind < 60) return randomSettle(random, subject);
  if (kind < 64) return { action: "decrement", subject, ...randomRefund(random) };
  if (kind < 72) return { action: "check", subject, amount: random.below(5) };
  if (kind < 76) return { action: "decrement", subject, amount: random.below(5) };
  if (kind < 82) return randomForRule(random, subject, counted);
  return randomIncrement(random, subject);
}

const idOf = (random: Random, subject: string): string => {
  // Now and then that of another subject.
  const whose = random.below(30) === 0 ? random.pick(SUBJECTS) : subject;
  return `${whose}${random.below(IDS)}`;
};

function randomReserve(random: Random, subject: string): HoldInput {
  if (random.below(4) === 0) return randomSettle(random, subject);
  const amount = random.below(6);
  const rest = random.below(4) === 0 ? { at_least: random.below(amount + 1) } : {};
  const reservation = idOf(random, subject);
  return { action: "reserve", subject, reservation, amount, ttl_ms: random.pick(TTLS_MS), ...rest };
}

function randomSettle(random: Random, subject: string): HoldInput {
  const named = { subject, reservation: idOf(random, subject) };
  const given = random.below(3) === 0 ? {} : { amount: random.below(7) };
  const kind = random.below(8);
  if (kind < 2) {
    return { action: "extend", ...named, ...given, ttl_ms: random.pick(TTLS_MS) };
  }
  if (kind < 3) return { action: "release", ...named };
  const final = kind < 5 ? { final: false } : {};
  const exceed = random.below(3) === 0 ? { on_exceed: "reject" as const } : {};
  return { action: "commit", ...named, ...given, ...final, ...exceed };
}

function randomRefund(random: Random): Pick<HoldInput, "of" | "amount"> {
  const id = `${random.pick(SUBJECTS)}${random.below(IDS)}`;
  const of = random.below(2) === 0 ? `k${random.below(KEYS)}` : id;
  return random.below(2) === 0 ? { of } : { of, amount: random.below(4) };
}

function randomForRule(random: Random, subject: string, counted: readonly ModelRule[]): HoldInput {
  const rule = counted[random.below(counted.length)];
  const isRolling = rule?.rolling === true;
  const action = random.pick(isRolling ? ["set", "reset"] : ["set", "reset", "grant"]);
  const named = { action, subject, rule: rule?.name ?? "*" };
  return action === "reset" ? named : { ...named, amount: random.below(8) };
}

function randomIncrement(random: Random, subject: string): HoldInput {
  const amount = random.below(5);
  const base = { action: "increment", subject, amount } as const;
  const kind = random.below(10);
  if (kind < 1) return { ...base, on_exceed: "allow" };
  if (kind < 3) return { ...base, at_least: random.below(amount + 1) };
  return kind < 5 ? { ...base, idempotency_key: `k${random.below(KEYS)}` } : base;
}
