// What the naive model knows of holds: what a command on one would do to each counter.
import type { Action } from "ductape";
import { onGrid, partEnd, type Count, type Happening, type ModelRule } from "./model-counter.js";

/** What a caller asks, at the instant of the store's clock. */
export interface Command {
  readonly atMs: number;
  readonly subject: string;
  readonly action: Action;
  /** Null: none is given. */
  readonly amount: number | null;
  /** The one rule that `set`, `reset` and `grant` speak to; null: all. */
  readonly rule: string | null;
  /** The id of a hold. */
  readonly id?: string | undefined;
  readonly ttlMs?: number | undefined;
  readonly atLeast?: number | undefined;
  readonly isFinal?: boolean | undefined;
  readonly onExceed?: "allow" | "reject" | undefined;
  /** The key under which an increment is counted, so that it can be taken back. */
  readonly key?: string | undefined;
  /** What a `decrement` takes back: such a key, or the id of a hold. */
  readonly of?: string | undefined;
}

/** What the model expects of a hold. */
export interface ExpectedHold {
  held: number;
  charged: number;
  excess: number;
  expired: boolean;
  expiresMs: number;
}

/** Where a hold was admitted, and until when that counter counts it. */
export interface Part {
  readonly windowMs: number;
  untilMs: number;
}

/** What is remembered of a hold. */
export interface Hold {
  readonly subject: string;
  readonly openedMs: number;
  expiresMs: number;
  held: number;
  charged: number;
  /** What was committed as it was settled; null: it is open. */
  settled: number | null;
  readonly parts: Map<string, Part>;
}

/** What a command would do to one counter. */
export interface Try {
  readonly rule: ModelRule;
  readonly before: Count;
  /** What the limit must have room for. */
  readonly asks: number;
  /** True if it is denied where there is no room. */
  readonly isHard: boolean;
  readonly happens: readonly Happening[];
  /** What the hold sets aside here is over, in a window that goes on. */
  readonly isLost: boolean;
}

/** A command whose amount is known, and what it finds of its hold. */
export interface Decided extends Command {
  readonly amount: number;
  readonly hold: Hold | undefined;
}

const DAY_MS = 86_400_000;
/** How long a hold lasts by default, in milliseconds. */
export const TTL_MS = 600_000;

/** The hold that a `reserve` makes, if every counter admits it. */
export function newHold(
  { subject, atMs, amount, ttlMs = TTL_MS }: Decided,
  tries: readonly Try[],
): Hold {
  const expiresMs = onGrid(atMs + ttlMs, ttlMs);
  const parts = tries.map(({ rule, before }) => {
    const windowMs = rule.rolling ? atMs : before.windowMs;
    return [rule.name, { windowMs, untilMs: partEnd(rule, expiresMs, atMs) }] as const;
  });
  const open = { expiresMs, held: amount, charged: 0, settled: null, parts: new Map(parts) };
  return { subject, openedMs: atMs, ...open };
}

/** What a `reserve` or an `extend` would do to a counter. */
export function tryHold(none: Try, { atMs, amount, id = "", ttlMs = TTL_MS, hold }: Decided): Try {
  const { rule, before } = none;
  const own = ownOf(none, id, hold, atMs);
  // A window that has ended admits nothing more.
  if (hold !== undefined && own === null && isOver(rule, before, hold, atMs)) return none;
  const holds = rule.concurrent === true ? 1 : amount;
  const untilMs = partEnd(rule, onGrid(atMs + ttlMs, ttlMs), hold?.openedMs ?? atMs);
  const isNothing = holds === 0 && (own ?? 0) === 0;
  return {
    ...none,
    asks: Math.max(0, holds - (own ?? 0)),
    isHard: !rule.soft,
    happens: isNothing ? [] : [{ what: "hold", atMs, id, amount: holds, untilMs }],
    isLost: hold !== undefined && own === null,
  };
}

/** What a `commit` or a `release` would do to a counter. */
export function trySettle(none: Try, command: Decided): Try {
  const { rule, before } = none;
  const { atMs, action, amount, id = "", isFinal = true, onExceed, hold } = command;
  const own = ownOf(none, id, hold, atMs);
  const use = rule.concurrent === true ? 0 : amount;
  if (hold === undefined) return none;
  const held = own ?? 0;
  const rest = isFinal || action === "release" ? 0 : Math.max(0, held - use);
  const untilMs = hold.parts.get(rule.name)?.untilMs ?? 0;
  const happens: Happening[] = [];
  if (rest !== held) happens.push({ what: "hold", atMs, id, amount: rest, untilMs });
  // On a rolling rule a part may be held a little longer than the use that it stands for.
  if (isOver(rule, before, hold, atMs) && (own === null || rule.rolling)) {
    return { ...none, happens: happens.length > 0 ? happens : lateOf(rule, atMs) };
  }
  const sinceMs = hold.openedMs;
  if (use > 0) happens.push({ what: "charge", atMs, sinceMs, amount: use, limit: rule.limit });
  const isHard = onExceed === "reject" && !rule.soft;
  return { ...none, asks: Math.max(0, use - held), isHard, happens, isLost: own === null };
}

/** What a hold sets aside on a counter; null: nothing any more. One of 0 may live on. */
function ownOf({ rule, before }: Try, id: string, hold: Hold | undefined, nowMs: number) {
  if (hold === undefined || nowMs >= (hold.parts.get(rule.name)?.untilMs ?? 0)) return null;
  const part = before.parts.get(id);
  if (part !== undefined) return part.amount;
  const isEmpty = hold.held === 0 && rule.concurrent !== true;
  return isEmpty && !isOver(rule, before, hold, nowMs) ? 0 : null;
}

/** True if the window that admitted a hold has ended. */
export function isOver(rule: ModelRule, count: Count, hold: Hold, nowMs: number): boolean {
  const part = hold.parts.get(rule.name);
  if (part === undefined || rule.concurrent === true) return false;
  return rule.rolling ? nowMs >= part.windowMs + rule.lengthMs : part.windowMs < count.windowMs;
}

/** Whatever comes late changes only what a counter of days remembers of its last window. */
export const lateOf = ({ lengthMs, rolling }: ModelRule, atMs: number): Happening[] =>
  lengthMs < DAY_MS || rolling ? [] : [{ what: "late", atMs }];

/** What a command answers of its hold. */
export function holdAfter(command: Decided, tries: readonly Try[]): ExpectedHold {
  const { action, atMs, amount, ttlMs = TTL_MS, hold } = command;
  const expired = hold !== undefined && (atMs >= hold.expiresMs || tries.some((t) => t.isLost));
  const held = hold === undefined || expired ? 0 : hold.held;
  const renews = action === "reserve" || action === "extend";
  return {
    held: renews ? amount : held,
    charged: action === "commit" ? amount : 0,
    excess: action === "commit" ? Math.max(0, amount - held) : 0,
    expired,
    expiresMs: renews ? onGrid(atMs + ttlMs, ttlMs) : (hold?.expiresMs ?? 0),
  };
}
