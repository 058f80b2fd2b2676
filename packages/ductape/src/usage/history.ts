import { limitWith } from "../decide/counter.js";
import type { CheckOutcome, StepOutcome } from "../decide/outcome.js";
import type { Catalogue } from "../define/catalogue.js";
import { isoOf, windowText } from "../quota/window-text.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { show, StoreError, ValidationError } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import { isRecord } from "../base/json.js";
import { planHistory } from "../quota/plan.js";
import { subjectIssues } from "../quota/input-fields.js";
import { type SubjectInput, pickSubject } from "../define/subject.js";
import {
  keptLimit,
  limitKnown,
  numbersOf,
  parseTarget,
  ruleNamed,
  USAGE_FIELDS,
  type UsageTarget,
} from "./target.js";
import type { Clock } from "../base/call.js";
import type { Store } from "../stores/store.js";

/** The input of `usage.history`. */
export interface HistoryInput extends UsageTarget {
  /**
   * Whose windows: a subject as `usage.subjects` lists it, or an object that fits the rule's
   * selector. Null or left out for the whole product.
   */
  readonly subject?: SubjectInput | null | Empty | undefined;
}

/** What was used in one window, in the units of the quota. */
export interface WindowUsage {
  /** ISO 8601 in UTC; `end` is null for a lifetime. */
  readonly start: string;
  readonly end: string | null;
  readonly used: number;
  /** What open holds set aside in the current window; 0 in one that has ended. */
  readonly held: number;
  /**
   * The limit of the last count in the window, including its grants; if nothing was counted,
   * today's. Null: none.
   */
  readonly limit: number | null;
  /** `limit - used - held`, never below 0; null if unlimited. */
  readonly remaining: number | null;
}

/** The windows of one counter. */
export interface UsageHistory {
  readonly rule: string;
  /** Null for the counter of the whole product. */
  readonly subject: string | null;
  /** How many ended windows the rule keeps: its `history`. */
  readonly keeps: number;
  /**
   * When one of the windows last changed, ISO 8601 in UTC. Null if there is no counter, because
   * nothing was ever counted or the counter is already deleted.
   */
  readonly last_seen: string | null;
  /**
   * The current window, then those before it without a gap, back to the first kept one in which
   * something was counted.
   */
  readonly windows: readonly WindowUsage[];
}

interface HistoryParts {
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
}

const FIELDS = [...USAGE_FIELDS, "subject"];
const READS_MAX = 20;

/** Reads the windows that {@link HistoryInput} names, all at one moment. */
export async function readHistory(
  input: ReturnType<typeof parseHistoryInput>,
  { store, catalogue, clock }: HistoryParts,
): Promise<UsageHistory> {
  let fromMs = 0;
  for (let reads = 0; reads < READS_MAX; reads++) {
    await catalogue.refresh();
    const quota = await catalogue.locate(input);
    const rule = ruleNamed(quota, input.rule);
    refuseHolds(rule);
    const subject = subjectFor(rule, input.subject);
    const step = planHistory(rule, subject, Math.max(fromMs, clock()));
    const outcome = await store.apply([step]);
    if (outcome === "stale") continue;
    const { startMs } = outcome[0].checks[0].window;
    if (startMs <= step.checks[0].window.startMs || rule.terms.rollingMs !== 0) {
      return viewOf(outcome[0], rule, quota);
    }
    // The clock stepped back over a boundary: the counter is in a later window.
    fromMs = startMs;
  }
  throw new StoreError("STORE_UNAVAILABLE", "the rule or its window kept changing; try again");
}

/** Parses the input of `usage.history`. Throws `VALIDATION`. */
export function parseHistoryInput(input: HistoryInput) {
  const issues = new Issues();
  const fields = new Fields(input, "input", FIELDS, issues, "");
  const target = parseTarget(fields);
  const subject = fields.get("subject") ?? null;
  if (subject !== null)
    for (const { path, message } of subjectIssues(subject)) issues.add(path, message);
  issues.throwAny();
  return { ...target, subject: typeof subject === "string" || isRecord(subject) ? subject : null };
}

function refuseHolds({ terms: { isConcurrent, name } }: CompiledRule): void {
  if (!isConcurrent) return;
  const message = `rule ${show(name)} counts open holds, which have no windows`;
  throw new ValidationError([{ path: "rule", message: `${message}: see quota.reservations` }]);
}

function subjectFor({ scope, terms }: CompiledRule, subject: SubjectInput | null): string {
  const rule = `rule ${show(terms.name)}`;
  if (scope === null) {
    if (subject === null) return "";
    const message = `has no meaning, as ${rule} counts the whole product; got ${show(subject)}`;
    throw new ValidationError([{ path: "subject", message }]);
  }
  return typeof subject === "string" ? subject : pickSubject(scope, subject, rule, "subject");
}

function viewOf(
  { checks, ledgers }: StepOutcome,
  rule: CompiledRule,
  { scale }: CompiledQuota,
): UsageHistory {
  const [now] = checks;
  const kept = [now, ...ledgers];
  const limit = limitNow(kept, rule);
  const windows: WindowUsage[] = [];
  let seenMs = 0;
  let listed = 1;
  let { endMs } = now.window;
  for (const each of kept) {
    const { startMs } = each.window;
    const limitThen = each === now ? limit : keptLimit(each.counter, limit);
    const held = each === now ? each.held : 0;
    const numbers = numbersOf(each.used, held, limitWith(limitThen, each.granted), scale);
    windows.push({ ...windowText({ startMs, endMs }), ...numbers });
    if (each.counter !== null) {
      listed = windows.length;
      seenMs = Math.max(seenMs, each.counter.seenMs);
    }
    // A ledger's window lasts as long as it is kept; there is no gap between windows.
    endMs = startMs;
  }
  return {
    rule: rule.terms.name,
    subject: now.check.subject === "" ? null : now.check.subject,
    keeps: rule.ledger?.windows ?? 0,
    last_seen: seenMs === 0 ? null : isoOf(seenMs),
    windows: windows.slice(0, listed),
  };
}

/** Where the counter is gone, its limit is that of the last window that was counted in. */
function limitNow(kept: readonly CheckOutcome[], rule: CompiledRule): number | null {
  const counted = kept.find(({ counter }) => counter !== null);
  return limitKnown(rule, counted?.counter ?? null);
}
