// The naive model's counter: a plain list of all that ever happened to it, counted again for every
// question.

/** A rule as the model knows it: fixed lengths in UTC, so windows are plain division. */
export interface ModelRule {
  name: string;
  bySubject: boolean;
  limit: number | null;
  lengthMs: number;
  rolling: boolean;
  soft: boolean;
  alerts: number[];
  /** Counts open holds; its length means nothing. */
  concurrent?: boolean;
}

/** One thing that happened to one counter. */
export type Happening = { readonly atMs: number } & (
  | { readonly what: "increment" | "set"; readonly amount: number; readonly limit: number | null }
  | { readonly what: "decrement" | "grant"; readonly amount: number }
  | { readonly what: "reset" }
  /** Something that belongs to a window that has ended. */
  | { readonly what: "late" }
  /** A hold sets aside this much from now on; 0: it is over. */
  | HoldHappening
  /** Committed by a hold, counted from when it was reserved. Negative: taken back. */
  | {
      readonly what: "charge";
      readonly sinceMs: number;
      readonly amount: number;
      readonly limit: number | null;
    }
);

interface HoldHappening {
  readonly what: "hold";
  readonly id: string;
  readonly amount: number;
  readonly untilMs: number;
}

/** What a counter says at some moment. */
export interface Count {
  /** The start of its window; -1: nothing happened yet. */
  windowMs: number;
  used: number;
  granted: number;
  fired: Set<number>;
  /** Rolling: each amount with its instant, in the order of instants. */
  amounts: { atMs: number; amount: number }[];
  /** What each hold sets aside, and until when. */
  parts: Map<string, { amount: number; untilMs: number }>;
}

/** The start of the window of an instant. */
export const windowOf = ({ lengthMs }: ModelRule, atMs: number): number =>
  Math.floor(atMs / lengthMs) * lengthMs;

/** What is held of a count. */
export const heldOf = ({ parts }: Count): number =>
  [...parts.values()].reduce((sum, { amount }) => sum + amount, 0);

/** The limit of a count's window; null: none. */
export const limitOf = ({ limit }: ModelRule, { granted }: Count): number | null =>
  limit === null ? null : limit + granted;

/** What is left of a limit. */
export function roomOf(rule: ModelRule, count: Count): number {
  const limit = limitOf(rule, count);
  return limit === null ? Infinity : limit - count.used - heldOf(count);
}

/** True if a limit has room; nothing always fits. */
export const fits = (rule: ModelRule, count: Count, asks: number): boolean =>
  asks === 0 || asks <= roomOf(rule, count);

/** Counts everything again, as it stands at `nowMs`. */
export function recount(rule: ModelRule, all: readonly Happening[], nowMs: number): Count {
  const count: Count = {
    windowMs: -1,
    used: 0,
    granted: 0,
    fired: new Set(),
    amounts: [],
    parts: new Map(),
  };
  for (const each of all) {
    enter(count, rule, each.atMs, each.what === "set" || each.what === "reset");
    if (rule.rolling) roll(count, rule, each);
    else tally(count, each);
    if (each.what === "hold") keepHold(count, each);
    fire(count, rule, each);
  }
  enter(count, rule, nowMs, false);
  if (rule.rolling) leave(count, rule, nowMs);
  return count;
}

/** Rolls into the window of an instant; only `set` and `reset` go back. Ended parts are over. */
function enter(count: Count, rule: ModelRule, atMs: number, goesBack: boolean): void {
  for (const [id, { untilMs }] of count.parts) if (untilMs <= atMs) count.parts.delete(id);
  if (rule.rolling || rule.concurrent === true) return;
  const windowMs = windowOf(rule, atMs);
  if (windowMs === count.windowMs || (windowMs < count.windowMs && !goesBack)) return;
  // Holds stay where a clock that ran ahead is set right.
  if (windowMs > count.windowMs) count.parts.clear();
  count.windowMs = windowMs;
  count.used = 0;
  count.granted = 0;
  count.fired.clear();
}

function keepHold(count: Count, { id, amount, untilMs }: HoldHappening): void {
  if (amount === 0) count.parts.delete(id);
  else count.parts.set(id, { amount, untilMs });
}

function tally(count: Count, each: Happening): void {
  if (each.what === "increment" || each.what === "charge") count.used += each.amount;
  if (each.what === "decrement") count.used -= each.amount;
  if (each.what === "set") count.used = each.amount;
  if (each.what === "reset") count.used = 0;
  if (each.what === "grant") count.granted += each.amount;
  count.used = Math.max(0, count.used);
}

/** Of so many instants a counter keeps its amounts apart; no sequence comes to more. */
const INSTANTS_MAX = 64;

function roll(count: Count, rule: ModelRule, each: Happening): void {
  leave(count, rule, each.atMs);
  const { amounts } = count;
  if (each.what === "reset" || each.what === "set") amounts.length = 0;
  if (each.what === "increment" || each.what === "set") add(amounts, each.amount, each.atMs);
  if (each.what === "charge" && each.amount > 0) {
    if (each.sinceMs >= each.atMs) add(amounts, each.amount, each.atMs);
    else amounts.push({ atMs: each.sinceMs, amount: each.amount });
  }
  amounts.sort((a, b) => a.atMs - b.atMs);
  if (each.what === "decrement") take(amounts.toReversed(), each.amount);
  if (each.what === "charge" && each.amount < 0) {
    // At its own instant, or at a later one if the clock had stepped back as it was counted.
    const first = amounts.find(({ atMs }) => atMs >= each.sinceMs)?.atMs;
    const own = amounts.filter(({ atMs }) => atMs === first);
    take(own, -each.amount);
  }
  count.amounts = amounts.filter(({ amount }) => amount > 0);
  if (new Set(count.amounts.map(({ atMs }) => atMs)).size > INSTANTS_MAX) {
    throw new Error("the model knows no joined amounts");
  }
  leave(count, rule, each.atMs);
}

/** A clock that stepped back dates an amount at the newest one. */
function add(amounts: Count["amounts"], amount: number, nowMs: number): void {
  amounts.push({ atMs: Math.max(nowMs, ...amounts.map(({ atMs }) => atMs)), amount });
}

/** Takes from the amounts, in this order. */
function take(amounts: readonly { amount: number }[], amount: number): void {
  let rest = amount;
  for (const each of amounts) {
    const taken = Math.min(rest, each.amount);
    each.amount -= taken;
    rest -= taken;
  }
}

function leave(count: Count, rule: ModelRule, nowMs: number): void {
  count.amounts = count.amounts.filter(({ atMs }) => atMs + rule.lengthMs > nowMs);
  count.used = count.amounts.reduce((sum, { amount }) => sum + amount, 0);
  if (count.used === 0) count.fired.clear();
}

function fire(count: Count, rule: ModelRule, each: Happening): void {
  if (each.what === "reset") count.fired.clear();
  if (each.what !== "increment" && each.what !== "set" && each.what !== "charge") return;
  if (each.limit === null || count.used === 0 || each.amount <= 0) return;
  for (const fraction of rule.alerts) {
    // Fractions of the test are quarters, so the product is exact.
    if (count.used >= fraction * (each.limit + count.granted)) count.fired.add(fraction);
  }
}

/**
 * How long until an amount fits, as holds end, amounts leave and the window ends; null: never. What
 * a hold asks for after its window `isFree`: it counts there, and is never refused.
 */
export function waitFor(
  rule: ModelRule,
  count: Count,
  asks: number,
  nowMs: number,
  isFree: boolean,
): number | null {
  if (rule.limit === null) return null;
  const isCalendar = !rule.rolling && rule.concurrent !== true;
  const endMs = count.windowMs + rule.lengthMs;
  const ends = [...count.parts.values()].map(({ untilMs, amount }) => [untilMs, amount] as const);
  const leaves = count.amounts.map(({ atMs, amount }) => [atMs + rule.lengthMs, amount] as const);
  let room = roomOf(rule, count);
  for (const [atMs, amount] of [...ends, ...leaves].toSorted(([a], [b]) => a - b)) {
    if (isCalendar && atMs >= endMs) break;
    room += amount;
    if (asks <= room) return atMs - nowMs;
  }
  return isCalendar && (isFree || asks <= rule.limit) ? endMs - nowMs : null;
}

/** The first instant, on a grid of the largest power of two of at most 1/60 of a length. */
export function onGrid(atMs: number, lengthMs: number): number {
  let gridMs = 1;
  while (gridMs * 2 <= lengthMs / 60) gridMs *= 2;
  return Math.ceil(atMs / gridMs) * gridMs;
}

/** When a part of a hold ends: with the hold, or as it leaves a rolling window. */
export function partEnd(rule: ModelRule, expiresMs: number, sinceMs: number): number {
  if (!rule.rolling) return expiresMs;
  return Math.min(expiresMs, onGrid(sinceMs + rule.lengthMs, rule.lengthMs));
}
