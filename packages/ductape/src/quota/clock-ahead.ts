import type { Catalogue } from "../define/catalogue.js";
import { latestMs, type Counter } from "../decide/counter.js";
import { isoOf } from "./window-text.js";
import { DuctapeError, show } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import { spaceParts } from "../base/key.js";
import type { StepOutcome } from "../decide/outcome.js";
import type { RuleCheck, Step } from "../decide/plan.js";
import type { Clock } from "../base/call.js";
import type { Store, StoreFact } from "../stores/store.js";

/**
 * A counter whose window begins later than this after now, in milliseconds, was written under a
 * fast clock. Right clocks differ by less.
 */
const AHEAD_MS = 60_000;

/** The most rules that one client warns about. */
const WARNINGS_MAX = 1_000;
/** The most counters that a fact names. */
const NAMED_MAX = 3;
const MEND = "once the clock is right, reset or set the counter (`ductape quota reset`)";

/** Warns, once for each rule, about a counter that a fast clock moved into the future. */
export class AheadWarnings {
  readonly #logger: Logger;
  readonly #warned = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Examines the counters that a step was decided on. */
  look({ checks }: Step, outcome: StepOutcome): void {
    for (let i = 0; i < checks.length; i++) {
      const [check, counter] = [checks[i], outcome.checks[i]?.counter];
      if (check === undefined || counter === undefined || counter === null) continue;
      if (isAhead(counter, outcome.nowMs)) this.#warn(check, counter, outcome.nowMs);
    }
  }

  #warn({ rule, subject }: RuleCheck, counter: Readonly<Counter>, nowMs: number): void {
    if (this.#warned.has(rule.space) || this.#warned.size >= WARNINGS_MAX) return;
    this.#warned.add(rule.space);
    const found = counterText(rule.space, subject, counter);
    this.#logger.warn(`${found}, but now is ${isoOf(nowMs)}: a clock was ahead; ${MEND}`);
  }
}

/**
 * Whether any counter's window begins later than now: a fact, with advice if one does. Reads all
 * counters in parts. Throws `STORE_UNAVAILABLE`.
 */
export async function aheadFact(parts: {
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
}): Promise<StoreFact> {
  const { store, catalogue, clock } = parts;
  let count = 0;
  const named: string[] = [];
  for await (const { space, subject, counter } of store.scan("")) {
    if (!isAhead(counter, clock()) || !(await isOfRule(space, catalogue))) continue;
    if (named.length < NAMED_MAX) named.push(counterText(space, subject, counter));
    count++;
  }
  const name = "windows";
  if (count === 0) return { name, value: "no counter begins later than now", advice: null };
  const rest = count > named.length ? `; ${count} in all` : "";
  return { name, value: `${named.join("; ")}${rest}`, advice: MEND };
}

function isAhead(counter: Readonly<Counter>, nowMs: number): boolean {
  return latestMs(counter) > nowMs + AHEAD_MS;
}

/** False for a counter that keeps the window of a history, and for one of a deleted rule. */
async function isOfRule(space: string, catalogue: Catalogue): Promise<boolean> {
  const { product, env, quota } = spaceParts(space);
  const named = { productTag: product, env, quotaTag: quota, cache: null };
  try {
    const { rules } = await catalogue.locate(named);
    return rules.some(({ terms }) => terms.space === space);
  } catch (error) {
    if (DuctapeError.is(error) && error.code !== "STORE_UNAVAILABLE") return false;
    throw error;
  }
}

function counterText(space: string, subject: string, counter: Readonly<Counter>): string {
  const { product, env, quota, rule } = spaceParts(space);
  const whose = subject === "" ? "the counter" : `the counter of ${show(subject)}`;
  const where = `product ${show(product)}, env ${show(env)}, quota ${show(quota)}`;
  return `${whose} (${where}, rule ${show(rule)}) begins ${isoOf(latestMs(counter))}`;
}
