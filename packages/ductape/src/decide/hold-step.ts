import { keptAnswer, repeatIf, repeatOf } from "./answer.js";
import type { Counters } from "./counters.js";
import { counts, extendsHold, reserves, settles, type Effect } from "./effect.js";
import { rememberedMs, type Hold, type HoldPart } from "./hold.js";
import { onGrid } from "./holds.js";
import type { Look } from "./look.js";
import type { HoldOutcome, StepOutcome } from "./outcome.js";
import type { HoldTerms, RuleCheck, Step } from "./plan.js";
import {
  finish,
  lookFor,
  lookOnly,
  outcomeOf,
  reportOnly,
  roomFor,
  statusOf,
  type Found,
} from "./step.js";

/** Decides a step that reserves, extends or settles a hold. */
export function decideHold(
  counters: Counters,
  step: Step,
  terms: HoldTerms,
  checks: readonly RuleCheck[],
  found: Found,
  nowMs: number,
): StepOutcome {
  const hold = rememberedHold(counters, terms, nowMs);
  if (hold === undefined) {
    if (step.action !== "reserve") return reportOnly(counters, step, checks, "unknown", nowMs);
    return reserve(counters, step, terms, checks, found, nowMs);
  }
  if (step.action === "reserve") {
    return repeatOf(hold.reserved, terms);
  }
  if (hold.owners !== terms.owners) return reportOnly(counters, step, checks, "unknown", nowMs);
  if (hold.settlement !== null) {
    return repeatIf(isSameSettlement(step, terms, hold), hold.settlement, terms);
  }
  return change(counters, step, terms, hold, checks, found, nowMs);
}

/**
 * True if a step was planned for the current windows of a hold that belongs to others, or from a
 * record that has been replaced: it has to be planned from the record.
 */
export function isHoldStale(
  counters: Counters,
  step: Step,
  terms: HoldTerms,
  nowMs: number,
): boolean {
  if (step.action === "reserve") return false;
  const hold = rememberedHold(counters, terms, nowMs);
  if (hold === undefined || hold.settlement !== null) return false;
  if (terms.openedMs !== 0) return terms.openedMs !== hold.openedMs;
  if (hold.owners !== terms.owners) return true;
  if (step.ledgers.length === 0) return false;
  for (let i = 0; i < step.checks.length; i++) {
    const check = step.checks[i];
    const part = hold.parts[i];
    if (check !== undefined && part !== undefined && isElsewhere(check, part)) return true;
  }
  return false;
}

/** True if a ledger for the check's window would not be that of the part. */
function isElsewhere({ rule, window }: RuleCheck, part: HoldPart): boolean {
  if (rule.rollingMs !== 0 || rule.isConcurrent) return false;
  if (part.windowVersion !== rule.windowVersion) return true;
  return part.window.startMs !== window.startMs || part.window.endMs !== window.endMs;
}

/** A hold that is still remembered. */
function rememberedHold(counters: Counters, terms: HoldTerms, nowMs: number): Hold | undefined {
  const hold = counters.findHold(terms);
  return hold !== undefined && nowMs < rememberedMs(hold) ? hold : undefined;
}

/** Releasing what is settled changes nothing; committing another amount would. */
function isSameSettlement({ action, amount }: Step, terms: HoldTerms, hold: Hold): boolean {
  if (action === "release") return true;
  if (action !== "commit" || !terms.isFinal) return false;
  return hold.settled === (terms.isWhole ? hold.held : amount);
}

function reserve(
  counters: Counters,
  step: Step,
  terms: HoldTerms,
  checks: readonly RuleCheck[],
  found: Found,
  nowMs: number,
): StepOutcome {
  const { atLeast } = step;
  const amount = atLeast === null ? step.amount : roomFor(step, atLeast, checks, found, nowMs);
  const expiresMs = onGrid(nowMs + terms.ttlMs, terms.ttlMs);
  const looks: Look[] = [];
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    if (check !== undefined) {
      const effect = reserves(check, amount, expiresMs, nowMs);
      looks.push(lookFor(step, check, found[i], effect, nowMs));
    }
  }
  const status = statusOf(step, looks);
  finish(counters, step, status, looks, nowMs);
  if (status !== "done") return outcomeOf(step, status, looks, amount, null, nowMs);
  const { name, owners } = terms;
  const isExpired = false;
  const told = { id: name, held: amount, charged: 0, excess: 0, isExpired, expiresMs };
  const outcome = outcomeOf(step, status, looks, amount, told, nowMs);
  counters.putHold(terms, {
    owners,
    openedMs: nowMs,
    expiresMs,
    status: "open",
    held: amount,
    charged: 0,
    settled: 0,
    settledMs: 0,
    parts: partsOf(looks, null, nowMs),
    reserved: keptAnswer(outcome, terms),
    settlement: null,
  });
  return outcome;
}

/** Where the counters of a hold keep it; `before`: where they did. */
function partsOf(
  looks: readonly Look[],
  before: readonly HoldPart[] | null,
  nowMs: number,
): HoldPart[] {
  const parts: HoldPart[] = [];
  for (let i = 0; i < looks.length; i++) {
    const seen = looks[i];
    const part = before === null ? undefined : before[i];
    if (seen !== undefined) parts.push(partOf(seen, part, nowMs));
  }
  return parts;
}

function partOf(seen: Look, before: HoldPart | undefined, nowMs: number): HoldPart {
  const { effect, counter } = seen;
  const { rollingMs, windowVersion } = seen.check.rule;
  const holds = counter === null ? null : counter.holds;
  const isHeld = effect !== null && effect.addsUntilMs !== 0;
  if (before !== undefined && !isHeld) return before;
  const own = rollingMs === 0 ? seen.window : { startMs: nowMs, endMs: nowMs + rollingMs };
  return {
    window: before === undefined ? own : before.window,
    windowVersion: before === undefined ? windowVersion : before.windowVersion,
    endMs: effect === null ? nowMs : effect.addsUntilMs,
    edition: holds === null ? 0 : holds.edition,
  };
}

/** Extends, commits or releases a hold that is not settled. */
function change(
  counters: Counters,
  step: Step,
  terms: HoldTerms,
  hold: Hold,
  checks: readonly RuleCheck[],
  found: Found,
  nowMs: number,
): StepOutcome {
  const isExtend = step.action === "extend";
  const isRelease = step.action === "release";
  const isOver = isRelease || (!isExtend && terms.isFinal);
  const amount = isRelease ? 0 : terms.isWhole ? hold.held : step.amount;
  const expiresMs = isExtend ? onGrid(nowMs + terms.ttlMs, terms.ttlMs) : hold.expiresMs;
  const looks: Look[] = [];
  let isExpired = nowMs >= hold.expiresMs;
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    const part = hold.parts[i];
    if (check !== undefined) {
      const seen = lookOnly(check, found[i], nowMs);
      let effect: Effect;
      if (part === undefined) effect = counts(amount, nowMs);
      else if (isExtend) {
        effect = extendsHold(check, hold, part, seen, amount, expiresMs, nowMs);
      } else effect = settles(check, hold, part, seen, amount, isOver, nowMs);
      if (effect.isExpired) isExpired = true;
      looks.push(lookFor(step, check, found[i], effect, nowMs));
    }
  }
  const status = statusOf(step, looks);
  finish(counters, step, status, looks, nowMs);
  if (status !== "done") return outcomeOf(step, status, looks, amount, null, nowMs);
  const before = isExpired ? 0 : hold.held;
  const charged = isExtend ? 0 : amount;
  const told: HoldOutcome = {
    id: terms.name,
    held: isExtend ? amount : before,
    charged,
    excess: Math.max(0, charged - before),
    isExpired,
    expiresMs,
  };
  const outcome = outcomeOf(step, status, looks, amount, told, nowMs);
  const left = Math.max(0, hold.held - charged);
  counters.putHold(terms, {
    owners: hold.owners,
    openedMs: hold.openedMs,
    expiresMs,
    status: isOver ? (isRelease ? "released" : "committed") : "open",
    held: isExtend ? amount : isOver ? hold.held : left,
    charged: hold.charged + charged,
    settled: isOver ? charged : 0,
    settledMs: isOver ? nowMs : 0,
    parts: isExtend ? partsOf(looks, hold.parts, nowMs) : hold.parts,
    reserved: hold.reserved,
    settlement: isOver ? keptAnswer(outcome, terms) : null,
  });
  return outcome;
}
