import type { Action } from "ductape";

/** A rule as the model knows it: fixed lengths in UTC, so windows are plain division. */
export interface ModelRule {
  name: string;
  bySubject: boolean;
  limit: number | null;
  lengthMs: number;
  rolling: boolean;
  soft: boolean;
  alerts: number[];
}

/** One applied command, with the limits that held when it was applied. */
interface Event {
  atMs: number;
  subject: string;
  action: Action;
  amount: number;
  rule: string | null;
  limits: Map<string, number | null>;
}

interface Count {
  used: number;
  granted: number;
  fired: Set<number>;
  /** Rolling: each amount with its instant. */
  amounts: { atMs: number; amount: number }[];
}

/** What the model expects of one rule. */
export interface Expected {
  rule: string;
  admits: boolean;
  used: number;
  limit: number | null;
  retryAfterMs: number | null;
  resetsAtMs: number;
}

/**
 * The naive model: it keeps nothing but the history of what was applied and counts all of it again
 * for every question. Slow, short and unlike the engine.
 */
export class Model {
  readonly #history: Event[] = [];
  readonly rules: ModelRule[];

  constructor(rules: ModelRule[]) {
    this.rules = rules;
  }

  /** Decides a command at `nowMs`; applies it where every rule admits it. */
  run(command: Omit<Event, "limits">) {
    const { atMs, subject, action, amount } = command;
    const before = this.rules.map((rule) => this.#count(rule, subject, atMs));
    const tries = this.rules.map((rule, i) => fits(rule, before[i], action, amount));
    const allowed = tries.every((fit, i) => fit || this.rules[i]?.soft === true);
    if (allowed && action !== "check" && !(action === "increment" && amount === 0)) {
      const limits = new Map(this.rules.map(({ name, limit }) => [name, limit]));
      this.#history.push({ ...command, limits });
    }
    const after = this.rules.map((rule) => this.#count(rule, subject, atMs));
    const rules = this.rules.map((rule, i) => ({
      ...this.#expected(rule, before[i], after[i], command),
      admits: tries[i] === true || rule.soft,
    }));
    const passed = rules.some(({ used, limit }) => limit !== null && used > limit);
    const alerts = this.rules.flatMap((rule, i) =>
      rule.alerts
        .filter((fraction) => after[i]?.fired.has(fraction) && !before[i]?.fired.has(fraction))
        .map((fraction) => ({ rule: rule.name, fraction })),
    );
    return { allowed, rules, exceeded: passed || tries.includes(false), alerts };
  }

  /** What each subject used in the window before that of `nowMs`, where that is anything. */
  lastUsed(rule: ModelRule, nowMs: number): Map<string, number> {
    const windowOf = (atMs: number) => Math.floor(atMs / rule.lengthMs);
    const counts = new Map<string, Count>();
    for (const event of this.#history) {
      if (event.rule !== null && event.rule !== rule.name) continue;
      if (windowOf(event.atMs) !== windowOf(nowMs) - 1) continue;
      const subject = rule.bySubject ? event.subject : "";
      const count = counts.get(subject) ?? newCount();
      counts.set(subject, count);
      tally(count, event);
    }
    const used = [...counts].map(([subject, count]) => [subject, count.used] as const);
    return new Map(used.filter(([, each]) => each > 0));
  }

  #expected(
    rule: ModelRule,
    before: Count | undefined,
    after: Count | undefined,
    { atMs, amount }: Omit<Event, "limits">,
  ) {
    const used = after?.used ?? 0;
    const limit = rule.limit === null ? null : rule.limit + (after?.granted ?? 0);
    const endMs = Math.floor(atMs / rule.lengthMs) * rule.lengthMs + rule.lengthMs;
    const never = rule.limit === null || amount > rule.limit;
    if (!rule.rolling) {
      const retryAfterMs = never ? null : endMs - atMs;
      return { rule: rule.name, used, limit, retryAfterMs, resetsAtMs: endMs };
    }
    const leaves = (after?.amounts ?? []).map(({ atMs: sinceMs }) => sinceMs + rule.lengthMs);
    const resetsAtMs = leaves.length === 0 ? atMs : Math.min(...leaves);
    const retryAfterMs = never ? null : waitFor(before, rule, amount) - atMs;
    return { rule: rule.name, used, limit, retryAfterMs, resetsAtMs };
  }

  #count(rule: ModelRule, subject: string, nowMs: number): Count {
    const count = newCount();
    const startMs = Math.floor(nowMs / rule.lengthMs) * rule.lengthMs;
    for (const event of this.#history) {
      if (event.rule !== null && event.rule !== rule.name) continue;
      if (rule.bySubject && event.subject !== subject) continue;
      if (rule.rolling) roll(count, rule, event);
      else if (event.atMs >= startMs) tally(count, event);
      else continue;
      fire(count, rule, event);
    }
    if (rule.rolling) leave(count, rule, nowMs);
    return count;
  }
}

const newCount = (): Count => ({ used: 0, granted: 0, fired: new Set(), amounts: [] });

function fits(rule: ModelRule, count: Count | undefined, action: Action, amount: number): boolean {
  if (rule.limit === null || amount === 0) return true;
  if (action !== "increment" && action !== "check") return true;
  return (count?.used ?? 0) + amount <= rule.limit + (count?.granted ?? 0);
}

function waitFor(count: Count | undefined, rule: ModelRule, amount: number): number {
  let left = count?.used ?? 0;
  for (const each of count?.amounts ?? []) {
    left -= each.amount;
    if (left + amount <= (rule.limit ?? 0)) return each.atMs + rule.lengthMs;
  }
  return Number.NaN;
}

function tally(count: Count, { action, amount }: Event): void {
  if (action === "increment") count.used += amount;
  if (action === "decrement") count.used = Math.max(0, count.used - amount);
  if (action === "set") count.used = amount;
  if (action === "reset") count.used = 0;
  if (action === "grant") count.granted += amount;
}

/** Of so many instants a counter keeps its amounts apart; no sequence comes to more. */
const INSTANTS_MAX = 64;

function roll(count: Count, rule: ModelRule, { atMs, action, amount }: Event): void {
  leave(count, rule, atMs);
  if (action === "reset" || action === "set") count.amounts = [];
  if (action === "increment" || action === "set") count.amounts.push({ atMs, amount });
  let rest = action === "decrement" ? amount : 0;
  for (const each of count.amounts.toReversed()) {
    const taken = Math.min(rest, each.amount);
    each.amount -= taken;
    rest -= taken;
  }
  count.amounts = count.amounts.filter((each) => each.amount > 0);
  const instants = new Set(count.amounts.map((each) => each.atMs));
  if (instants.size > INSTANTS_MAX) throw new Error("the model knows no joined amounts");
  count.used = count.amounts.reduce((sum, each) => sum + each.amount, 0);
}

function leave(count: Count, rule: ModelRule, nowMs: number): void {
  count.amounts = count.amounts.filter(({ atMs }) => atMs + rule.lengthMs > nowMs);
  count.used = count.amounts.reduce((sum, { amount }) => sum + amount, 0);
  if (count.used === 0) count.fired.clear();
}

function fire(count: Count, rule: ModelRule, { action, limits }: Event): void {
  if (action === "reset") count.fired.clear();
  const base = limits.get(rule.name) ?? null;
  if (base === null || count.used === 0 || (action !== "increment" && action !== "set")) return;
  for (const fraction of rule.alerts) {
    // Fractions of the test are quarters, so the product is exact.
    if (count.used >= fraction * (base + count.granted)) count.fired.add(fraction);
  }
}
