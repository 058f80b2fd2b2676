import { apply } from "../decide/apply.js";
import type { Catalogue } from "../define/catalogue.js";
import { limitWith, type Counter } from "../decide/counter.js";
import type { Counters } from "../decide/counters.js";
import {
  countCounters,
  parseCountersInput,
  type CountersInput,
  type KeptCounters,
} from "./counters.js";
import { isoOf, windowText } from "../quota/window-text.js";
import type { CompiledQuota, CompiledRule } from "../define/quota.js";
import { show, StoreError, ValidationError } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import { parseHistoryInput, readHistory, type HistoryInput, type UsageHistory } from "./history.js";
import { lastEnded, usedIn, type UsageWindow } from "./last.js";
import type { Span } from "../decide/period.js";
import { planNothing } from "../quota/plan.js";
import {
  limitKnown,
  numbersOf,
  parseTarget,
  ruleNamed,
  USAGE_FIELDS,
  type UsageTarget,
} from "./target.js";
import type { Clock } from "../base/call.js";
import type { Store } from "../stores/store.js";
import type { Gate } from "../base/gate.js";

/** The input of `usage.subjects`. */
export interface SubjectsInput extends UsageTarget {
  /** The most subjects on a page, 1..1000. Default 100. */
  readonly limit?: number | Empty | undefined;
  /** `next` from the previous page. */
  readonly after?: string | Empty | undefined;
  /**
   * `last` lists everybody who used anything in the last window that ended, for rules with
   * calendar windows of a day or longer. Default `now`: the current windows.
   */
  readonly window?: UsageWindow | Empty | undefined;
}

/** One counter, in the units of the quota. */
export interface SubjectUsage {
  /** Whose counter it is; null: the whole product's. */
  readonly subject: string | null;
  readonly used: number;
  /** Reserved, not yet used; for a concurrency limit, how many holds are open. */
  readonly held: number;
  /**
   * Includes grants. A limit by plan is that of the plan at the last change, or the default if
   * none is known. Null: none.
   */
  readonly limit: number | null;
  /** `limit - used - held`, never below 0; null if unlimited. */
  readonly remaining: number | null;
  /** Null for a concurrency limit. */
  readonly window: { readonly start: string; readonly end: string | null } | null;
  /** When it last changed, ISO 8601 in UTC; a denial changes nothing. */
  readonly last_seen: string;
}

/** A page of subjects, most used first (of a concurrency limit: most held), then by subject. */
export interface SubjectsPage {
  readonly subjects: readonly SubjectUsage[];
  /** Pass it as `after` to get the next page; null at the end. */
  readonly next: string | null;
}

/** What {@link Usage} depends on. */
interface UsageParts {
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
  readonly gate: Gate;
}

const FIELDS = [...USAGE_FIELDS, "limit", "after", "window"];
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
const READS_MAX = 20;

/** The read side: `ductape.usage`. It reads the counters that decide, so the two cannot differ. */
export class Usage {
  readonly #parts: UsageParts;

  constructor(parts: UsageParts) {
    this.#parts = parts;
  }

  /**
   * Who has used how much of a quota in the current windows, or in the last one that ended.
   * Counters in any other window are left out. Reads all counters of the rule in parts; a counter
   * that changes between two pages may appear on both or on neither. Throws `VALIDATION`,
   * `*_NOT_FOUND`, `ENVIRONMENT_INACTIVE`, `STORE_UNAVAILABLE`.
   */
  async subjects(input: SubjectsInput): Promise<SubjectsPage> {
    const asked = parseInput(input);
    return this.#parts.gate.pass(() => this.#page(asked));
  }

  /**
   * What was used in the current window and in the earlier ones that the rule keeps, all read at
   * one moment. Throws `VALIDATION`, `SUBJECT_REQUIRED`, `*_NOT_FOUND`, `ENVIRONMENT_INACTIVE`,
   * `STORE_UNAVAILABLE`, `TIMEOUT`.
   */
  async history(input: HistoryInput): Promise<UsageHistory> {
    const asked = parseHistoryInput(input);
    return this.#parts.gate.pass(() => readHistory(asked, this.#parts));
  }

  /**
   * How many counters a product, an environment, a quota or a rule has: what a deletion would
   * remove. Reads them all in parts. Throws `VALIDATION`, `*_NOT_FOUND`, `STORE_UNAVAILABLE`.
   */
  async counters(input: CountersInput): Promise<KeptCounters> {
    const asked = parseCountersInput(input);
    return this.#parts.gate.pass(() => countCounters(asked, this.#parts));
  }

  async #page(asked: ReturnType<typeof parseInput>): Promise<SubjectsPage> {
    const { catalogue } = this.#parts;
    for (let reads = 0; reads < READS_MAX; reads++) {
      await catalogue.refresh();
      const quota = await catalogue.locate(asked);
      const rule = ruleNamed(quota, asked.rule);
      const ended = asked.isLast ? lastEnded(rule, this.#parts.clock()) : null;
      refuseOtherWindow(asked.after, ended);
      const page = new Page(asked.limit + 1, asked.after);
      if (await this.#read(rule, ended, page)) return pageOf(page, rule, asked, quota, ended);
    }
    throw new StoreError("STORE_UNAVAILABLE", "the rule kept changing; try again");
  }

  /** Adds the numbers of each counter; false if one has a window version not known here yet. */
  async #read(rule: CompiledRule, ended: Span | null, page: Page): Promise<boolean> {
    const { store, clock } = this.#parts;
    for await (const { space, subject, counter } of store.scan(rule.terms.space)) {
      if (space !== rule.terms.space) continue;
      if (counter.windowVersion > rule.terms.windowVersion) return false;
      const entry =
        ended === null
          ? numbersNow(rule, subject, counter, clock())
          : numbersLast(rule, subject, counter, ended);
      if (entry !== null) page.add(entry);
    }
    return true;
  }
}

function pageOf(
  { entries }: Page,
  rule: CompiledRule,
  { limit }: ReturnType<typeof parseInput>,
  { scale }: CompiledQuota,
  ended: Span | null,
): SubjectsPage {
  const found = entries.toSorted(order);
  const listed = found.slice(0, limit);
  const last = found.length > limit ? listed.at(-1) : undefined;
  return {
    subjects: listed.map((entry) => viewOf(entry, rule.terms.isConcurrent ? null : scale)),
    next: last === undefined ? null : placeText(last, ended),
  };
}

/** A counter's numbers at an instant, scaled; null if its window has ended. */
interface SubjectNumbers {
  readonly subject: string;
  /** By which it is listed: what was used or, for a concurrency limit, the open holds. */
  readonly rank: number;
  readonly used: number;
  readonly held: number;
  readonly limit: number | null;
  readonly startMs: number;
  readonly endMs: number;
  readonly seenMs: number;
}

/** Decided as a check of 0, so that a counter is read by the rules it is decided by. */
function numbersNow(
  rule: CompiledRule,
  subject: string,
  counter: Counter,
  nowMs: number,
): SubjectNumbers | null {
  if (counter.window.endMs <= nowMs) return null;
  const limit = limitKnown(rule, counter);
  const step = planNothing("check", rule, subject, limit, nowMs);
  const outcome = apply(new OneCounter(counter), [step], nowMs);
  if (outcome === "stale") return null;
  const { used, held, granted, window } = outcome[0].checks[0];
  return {
    subject,
    rank: rule.terms.isConcurrent ? held : used,
    used,
    held,
    limit: limitWith(limit, granted),
    startMs: window.startMs,
    endMs: window.endMs,
    seenMs: counter.seenMs,
  };
}

function numbersLast(
  rule: CompiledRule,
  subject: string,
  counter: Counter,
  ended: Span,
): SubjectNumbers | null {
  const found = usedIn(ended, rule, counter);
  if (found === null) return null;
  const { used, limit } = found;
  const { startMs, endMs } = ended;
  return { subject, rank: used, used, held: 0, limit, startMs, endMs, seenMs: counter.seenMs };
}

/** A counter to look at. */
class OneCounter implements Counters {
  readonly #counter: Counter;

  constructor(counter: Counter) {
    this.#counter = counter;
  }

  find(): Counter {
    return this.#counter;
  }

  changed(): void {}

  put(): void {}

  findAnswer(): undefined {
    return undefined;
  }

  putAnswer(): void {}

  findHold(): undefined {
    return undefined;
  }

  putHold(): void {}
}

/** The first entries after a place, in order, with never more than a page of them in memory. */
class Page {
  entries: SubjectNumbers[] = [];
  readonly #size: number;
  readonly #after: Place | null;

  constructor(size: number, after: Place | null) {
    this.#size = size;
    this.#after = after;
  }

  add(entry: SubjectNumbers): void {
    if (this.#after !== null && order(this.#after, entry) >= 0) return;
    this.entries.push(entry);
    if (this.entries.length < this.#size * 2) return;
    this.entries = this.entries.toSorted(order).slice(0, this.#size);
  }
}

/** Where a page ended; `startMs` is of the ended window that it was of. */
type Place = Pick<SubjectNumbers, "rank" | "subject"> & { readonly startMs?: number | undefined };

function placeText({ rank, subject }: Place, ended: Span | null): string {
  return JSON.stringify(ended === null ? [rank, subject] : [rank, subject, ended.startMs]);
}

/** All pages of a list cover one window, or a bill would mix two. */
function refuseOtherWindow(after: Place | null, ended: Span | null): void {
  if (after === null || after.startMs === ended?.startMs) return;
  const message = "expects `next` from a page of the same window; start again with the first page";
  throw new ValidationError([{ path: "after", message }]);
}

function order(a: Place, b: Place): number {
  if (a.rank !== b.rank) return b.rank - a.rank;
  return a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0;
}

/** `scale`: null for a concurrency limit, which has no window and counts holds as one each. */
function viewOf(
  { subject, used, held, limit, startMs, endMs, seenMs }: SubjectNumbers,
  scale: number | null,
) {
  return {
    subject: subject === "" ? null : subject,
    ...numbersOf(used, held, limit, scale ?? 1),
    window: scale === null ? null : { ...windowText({ startMs, endMs }) },
    last_seen: isoOf(seenMs),
  };
}

function parseInput(input: SubjectsInput) {
  const issues = new Issues();
  const fields = new Fields(input, "input", FIELDS, issues, "");
  const target = parseTarget(fields);
  const given = fields.get("limit");
  const limit = given === undefined ? PAGE_DEFAULT : given;
  const isLimit = typeof limit === "number" && Number.isInteger(limit);
  if (!isLimit || limit < 1 || limit > PAGE_MAX) {
    fields.refuse("limit", `expects an integer from 1 to ${PAGE_MAX}, got ${show(limit)}`);
  }
  const after = parseAfter(fields);
  const window = fields.get("window") ?? "now";
  if (window !== "now" && window !== "last") {
    fields.refuse("window", `expects now or last, got ${show(window)}`);
  }
  issues.throwAny();
  return { ...target, limit: Number(limit), after, isLast: window === "last" };
}

function parseAfter(fields: Fields): Place | null {
  const value = fields.get("after");
  if (value === undefined) return null;
  try {
    const place: unknown = typeof value === "string" ? JSON.parse(value) : null;
    if (Array.isArray(place) && place.length <= 3) {
      const [rank, subject, startMs = undefined]: unknown[] = place;
      const isStart = startMs === undefined || Number.isSafeInteger(startMs);
      if (Number.isSafeInteger(rank) && typeof subject === "string" && isStart) {
        const start = startMs === undefined ? undefined : Number(startMs);
        return { rank: Number(rank), subject, startMs: start };
      }
    }
  } catch {
    // Reported below, like any other invalid text.
  }
  fields.refuse("after", `expects \`next\` from a previous page, got ${show(value)}`);
  return null;
}
