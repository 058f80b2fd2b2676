import {
  fits,
  heldOf,
  limitOf,
  onGrid,
  partEnd,
  recount,
  roomOf,
  waitFor,
  windowOf,
  type Count,
  type Happening,
  type ModelRule,
} from "./model-counter.js";
import {
  holdAfter,
  isOver,
  lateOf,
  newHold,
  tryHold,
  trySettle,
  TTL_MS,
  type Command,
  type Decided,
  type ExpectedHold,
  type Hold,
  type Try,
} from "./model-holds.js";

export type { ModelRule } from "./model-counter.js";

/** What the model expects of one rule. */
export interface Expected {
  rule: string;
  admits: boolean;
  used: number;
  held: number;
  limit: number | null;
  retryAfterMs: number | null;
  /** Null on a rule that counts open holds. */
  resetsAtMs: number | null;
}

/** What the model expects of a command. */
export interface Verdict {
  allowed: boolean;
  amount: number;
  rules: Expected[];
  exceeded: boolean;
  alerts: { rule: string; fraction: number }[];
  hold: ExpectedHold | null;
}

/** No such hold, or one that is settled otherwise: nothing changes. */
export type ModelFault = "RESERVATION_NOT_FOUND" | "IDEMPOTENCY_CONFLICT";

/** What was counted under a key or by a hold, and in which window of each rule. */
interface Charge {
  readonly subject: string;
  readonly atMs: number;
  readonly amount: number;
  readonly windows: ReadonlyMap<string, number>;
}

/**
 * The naive model: it keeps nothing but lists of what was applied and counts all of it again for
 * every question. Slow, short and unlike the engine.
 */
export class Model {
  readonly rules: ModelRule[];
  readonly #counters = new Map<string, Happening[]>();
  readonly #holds = new Map<string, Hold>();
  readonly #charges = new Map<string, Charge>();

  constructor(rules: ModelRule[]) {
    this.rules = rules;
  }

  /**
   * What a settled or unknown hold answers at once: a fault, or the answer of before. Null: the
   * command is decided.
   */
  known({ action, id, subject, amount, isFinal }: Command): ModelFault | "replayed" | null {
    if (id === undefined) return null;
    const hold = this.#holds.get(id);
    if (action === "reserve") return hold === undefined ? null : "replayed";
    if (hold === undefined || !this.#isOf(hold, subject)) return "RESERVATION_NOT_FOUND";
    if (hold.settled === null) return null;
    if (action === "release") return "replayed";
    if (action === "extend" || isFinal === false) return "IDEMPOTENCY_CONFLICT";
    return (amount ?? hold.held) === hold.settled ? "replayed" : "IDEMPOTENCY_CONFLICT";
  }

  /** How much a refund takes back: at most its charge. A fault: there is nothing to take back. */
  refundOf(of: string, amount: number | null, subject: string): number | ModelFault | "VALIDATION" {
    const hold = this.#holds.get(of);
    if (hold?.settled === null) return "VALIDATION";
    const charge = this.#charges.get(of);
    if (charge === undefined || !this.#isOf(charge, subject)) return "RESERVATION_NOT_FOUND";
    return Math.min(amount ?? charge.amount, charge.amount);
  }

  /** True unless a rule counts another subject. */
  #isOf(owned: { readonly subject: string }, subject: string): boolean {
    return owned.subject === subject || !this.rules.some(({ bySubject }) => bySubject);
  }

  /** Decides several commands as one, each after those before it: all of them or none. */
  runAll(commands: readonly Command[]): { allowed: boolean; verdicts: Verdict[] } {
    const counters = [...this.#counters].map(([key, all]) => [key, [...all]] as const);
    const [holds, charges] = [structuredClone(this.#holds), [...this.#charges]];
    const verdicts = commands.map((command) => this.run(command));
    const allowed = verdicts.every((each) => each.allowed);
    if (!allowed) {
      refill(this.#counters, counters);
      refill(this.#holds, [...holds]);
      refill(this.#charges, charges);
    }
    return { allowed, verdicts };
  }

  /** Decides a command; applies it where every rule admits it. */
  run(command: Command): Verdict {
    const { atMs, subject, id } = command;
    const hold = id === undefined ? undefined : this.#holds.get(id);
    const decided = { ...command, amount: this.#amountOf(command, hold), hold };
    const tries = this.rules.map((rule) => this.#try(rule, decided));
    const allowed = tries.every((each) => !each.isHard || hasRoom(each));
    const told = id === undefined ? null : holdAfter(decided, tries);
    if (allowed) this.#apply(decided, tries);
    const after = this.rules.map((rule) => this.#count(rule, subject, atMs));
    const rules = tries.map((each, i) => {
      return expectedOf(each, after[i] ?? each.before, atMs, hold !== undefined);
    });
    const isPassed = rules.some(({ used, held, limit }, i) => {
      return limit !== null && (this.rules[i]?.concurrent === true ? held : used) > limit;
    });
    const alerts = tries.flatMap(({ rule, before }, i) => {
      const { fired = new Set(), windowMs } = after[i] ?? {};
      // Another window, if a clock that ran ahead is set right, has fired none.
      const earlier = before.windowMs === windowMs ? before.fired : new Set();
      return rule.alerts
        .filter((fraction) => fired.has(fraction) && !earlier.has(fraction))
        .map((fraction) => ({ rule: rule.name, fraction }));
    });
    const exceeded = isPassed || tries.some((each) => !hasRoom(each));
    // A refund takes at most its charge, and answers the amount that it was asked for.
    const amount = command.of === undefined ? decided.amount : (command.amount ?? decided.amount);
    return { allowed, amount, rules, exceeded, alerts, hold: told };
  }

  /** What each subject used in the window before that of `nowMs`, where that is anything. */
  lastUsed(rule: ModelRule, nowMs: number): Map<string, number> {
    const startMs = windowOf(rule, nowMs);
    const used = new Map<string, number>();
    for (const [key, all] of this.#counters) {
      const [name, subject = ""] = key.split("\n");
      const before = all.filter(({ atMs }) => atMs < startMs);
      const count = recount(rule, before, startMs - 1);
      if (name === rule.name && count.used > 0) used.set(subject, count.used);
    }
    return used;
  }

  /** What is asked for, or what is left of it if the caller takes less. */
  #amountOf({ action, amount, of, atLeast, subject, atMs }: Command, hold?: Hold): number {
    if (action === "release" || action === "reset") return 0;
    if (of !== undefined) {
      const charged = this.#charges.get(of)?.amount ?? 0;
      return Math.min(amount ?? charged, charged);
    }
    const asked = amount ?? hold?.held ?? 1;
    if (atLeast === undefined) return asked;
    const rooms = this.rules
      .filter(({ soft, concurrent }) => !soft && concurrent !== true)
      .map((rule) => roomOf(rule, this.#count(rule, subject, atMs)));
    return Math.max(atLeast, Math.min(asked, ...rooms));
  }

  #count(rule: ModelRule, subject: string, nowMs: number): Count {
    return recount(rule, this.#happenings(rule, subject), nowMs);
  }

  #happenings(rule: ModelRule, subject: string): Happening[] {
    const key = `${rule.name}\n${rule.bySubject ? subject : ""}`;
    const all = this.#counters.get(key) ?? [];
    this.#counters.set(key, all);
    return all;
  }

  #try(rule: ModelRule, command: Decided): Try {
    const { atMs, subject, action, amount } = command;
    const before = this.#count(rule, subject, atMs);
    const none = { rule, before, asks: 0, isHard: false, happens: [], isLost: false };
    if (command.rule !== null && command.rule !== rule.name) return none;
    if (action === "reserve" || action === "extend") return tryHold(none, command);
    if (command.id !== undefined) return trySettle(none, command);
    if (command.of !== undefined) return this.#tryRefund(none, command);
    if (rule.concurrent === true) {
      const asks = action === "check" && amount > 0 ? 1 : 0;
      return { ...none, asks, isHard: !rule.soft };
    }
    const asks = action === "increment" || action === "check" ? amount : 0;
    const isHard = !rule.soft && command.onExceed !== "allow";
    return { ...none, asks, isHard, happens: happeningsOf(rule, command) };
  }

  #tryRefund(none: Try, { atMs, amount, of = "" }: Decided): Try {
    const { rule, before } = none;
    const charge = this.#charges.get(of);
    if (charge === undefined || rule.concurrent === true) return none;
    const windowMs = charge.windows.get(rule.name) ?? 0;
    const hasEnded = rule.rolling ? windowMs + rule.lengthMs <= atMs : windowMs < before.windowMs;
    if (hasEnded) return { ...none, happens: lateOf(rule, atMs) };
    if (amount === 0) return none;
    const back = { what: "charge", sinceMs: charge.atMs, amount: -amount, limit: null } as const;
    return { ...none, happens: [{ atMs, ...back }] };
  }

  #apply(command: Decided, tries: readonly Try[]): void {
    const { subject, atMs, action, amount, id, key, ttlMs = TTL_MS } = command;
    for (const { rule, happens } of tries) this.#happenings(rule, subject).push(...happens);
    const { hold } = command;
    if (key !== undefined && action === "increment") {
      const windows = tries.map(({ rule, before }) => {
        return [rule.name, rule.rolling ? atMs : before.windowMs] as const;
      });
      this.#charges.set(key, { subject, atMs, amount, windows: new Map(windows) });
    }
    if (id === undefined) return;
    if (hold === undefined) this.#holds.set(id, newHold(command, tries));
    else if (action === "extend") {
      hold.held = amount;
      hold.expiresMs = onGrid(atMs + ttlMs, ttlMs);
      for (const { rule, before } of tries) {
        const part = hold.parts.get(rule.name);
        if (part === undefined || isOver(rule, before, hold, atMs)) continue;
        part.untilMs = partEnd(rule, hold.expiresMs, hold.openedMs);
      }
    } else if (command.isFinal === false) {
      hold.held = Math.max(0, hold.held - amount);
      hold.charged += amount;
    } else {
      hold.settled = amount;
      hold.charged += amount;
      const windows = [...hold.parts].map(([name, { windowMs }]) => [name, windowMs] as const);
      const charge = { subject: hold.subject, atMs: hold.openedMs, amount: hold.charged };
      this.#charges.set(id, { ...charge, windows: new Map(windows) });
    }
  }
}

function refill<V>(map: Map<string, V>, entries: readonly (readonly [string, V])[]): void {
  map.clear();
  for (const [key, value] of entries) map.set(key, value);
}

const hasRoom = ({ rule, before, asks }: Try): boolean => fits(rule, before, asks);

function happeningsOf(rule: ModelRule, { action, atMs, amount }: Decided): Happening[] {
  if (action === "reset") return [{ what: "reset", atMs }];
  if (action === "increment" && amount === 0) return [];
  if (action === "increment" || action === "set") {
    return [{ what: action, atMs, amount, limit: rule.limit }];
  }
  return action === "decrement" || action === "grant" ? [{ what: action, atMs, amount }] : [];
}

function expectedOf(
  { rule, before, asks, isHard }: Try,
  after: Count,
  nowMs: number,
  isFree: boolean,
): Expected {
  const oldestMs = after.amounts.map(({ atMs }) => atMs + rule.lengthMs).toSorted((a, b) => a - b);
  const resetsAtMs = rule.rolling ? (oldestMs[0] ?? nowMs) : after.windowMs + rule.lengthMs;
  return {
    rule: rule.name,
    admits: !isHard || fits(rule, before, asks),
    used: after.used,
    held: heldOf(after),
    limit: limitOf(rule, after),
    retryAfterMs: waitFor(rule, before, asks, nowMs, isFree),
    resetsAtMs: rule.concurrent === true ? null : resetsAtMs,
  };
}
