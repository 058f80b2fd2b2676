import type { Clock } from "../base/call.js";
import { show } from "../base/errors.js";
import { Fields, Issues, type Empty } from "../base/field.js";
import type { Catalogue } from "../define/catalogue.js";
import type { CompiledQuota } from "../define/quota.js";
import type { HoldRow, RecordPlace, Store } from "../stores/store.js";
import { countedOf } from "./settlement.js";
import { isoOf } from "./window-text.js";

/** The input of `quota.reservations`. */
export interface ReservationsInput {
  readonly product_tag: string;
  readonly env: string;
  /** Default: all quotas. */
  readonly quota_tag?: string | Empty | undefined;
  /** Lists the holds on a counter of this subject. Default: all. */
  readonly subject?: string | Empty | undefined;
  /** Lists those reserved at least so many milliseconds ago. Default 0: all. */
  readonly older_than_ms?: number | Empty | undefined;
  /** The most holds on a page, 1..1000. Default 100. */
  readonly limit?: number | Empty | undefined;
  /** `next` from the previous page. */
  readonly after?: string | Empty | undefined;
}

/** An open hold, in the units of its quota. */
export interface OpenReservation {
  readonly quota_tag: string;
  readonly id: string;
  /** The first of {@link subjects}; null: only the whole product's counters hold it. */
  readonly subject: string | null;
  /** Whose counters hold it, besides those of the whole product. */
  readonly subjects: readonly string[];
  /** What was reserved. */
  readonly amount: number;
  /** What is still set aside: less after a commit of a part, other after an `extend`. */
  readonly held: number;
  /** When it was reserved, ISO 8601 in UTC. */
  readonly opened_at: string;
  readonly expires_at: string;
  readonly age_ms: number;
  readonly state: "open";
}

/** A page of open holds, the oldest first. */
export interface ReservationsPage {
  readonly reservations: readonly OpenReservation[];
  /** Pass it as `after` to get the next page; null at the end. */
  readonly next: string | null;
}

interface ReservationsParts {
  readonly store: Pick<Store, "records">;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
}

const FIELDS = [
  "product_tag",
  "env",
  "quota_tag",
  "subject",
  "older_than_ms",
  "limit",
  "after",
] as const;
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;

/** Where a page ended. */
interface Place {
  readonly openedMs: number;
  readonly quotaTag: string;
  readonly id: string;
}

/** A hold and its quota. */
interface Found extends HoldRow {
  readonly quota: CompiledQuota;
}

/** A page of the open holds that an input selects. Throws the faults of the store. */
export async function listReservations(
  asked: ReturnType<typeof parseReservations>,
  { store, catalogue, clock }: ReservationsParts,
): Promise<ReservationsPage> {
  await catalogue.refresh();
  const quotas = await quotasOf(asked, catalogue);
  const nowMs = clock();
  const found: Found[] = [];
  for (const quota of quotas) found.push(...(await holdsOf(quota, asked, nowMs, store)));
  const listed = found.toSorted(order).slice(0, asked.limit);
  const last = found.length > asked.limit ? listed.at(-1) : undefined;
  return {
    reservations: listed.map((each) => viewOf(each, nowMs)),
    next: last === undefined ? null : placeText(last),
  };
}

/** Parses the input of `quota.reservations`. Throws `VALIDATION`. */
export function parseReservations(input: ReservationsInput) {
  const issues = new Issues();
  const fields = new Fields(input, "input", FIELDS, issues, "");
  const optional = (name: string) => (fields.get(name) === undefined ? null : fields.tag(name));
  const parsed = {
    productTag: fields.tag("product_tag"),
    env: fields.tag("env"),
    quotaTag: optional("quota_tag"),
    subject: optional("subject"),
    olderThanMs: parseCount(fields, "older_than_ms", 0, 0, Number.MAX_SAFE_INTEGER),
    limit: parseCount(fields, "limit", PAGE_DEFAULT, 1, PAGE_MAX),
    after: parseAfter(fields),
  };
  issues.throwAny();
  return parsed;
}

function parseCount(
  fields: Fields,
  name: string,
  otherwise: number,
  least: number,
  most: number,
): number {
  const value = fields.get(name);
  if (value === undefined) return otherwise;
  const isCount = typeof value === "number" && Number.isInteger(value);
  if (isCount && value >= least && value <= most) return value;
  fields.refuse(name, `expects an integer from ${least} to ${most}, got ${show(value)}`);
  return otherwise;
}

function parseAfter(fields: Fields): Place | null {
  const value = fields.get("after");
  if (value === undefined) return null;
  const place = typeof value === "string" ? partsOf(value) : [];
  const [openedMs, quotaTag, id] = place;
  const isInstant = typeof openedMs === "number" && Number.isSafeInteger(openedMs);
  if (isInstant && typeof quotaTag === "string" && typeof id === "string") {
    return { openedMs, quotaTag, id };
  }
  fields.refuse("after", `expects \`next\` from a previous page, got ${show(value)}`);
  return null;
}

function partsOf(text: string): readonly unknown[] {
  try {
    const parts: unknown = JSON.parse(text);
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

const placeText = ({ hold, quota, name }: Found): string =>
  JSON.stringify([hold.openedMs, quota.tag, name]);

async function quotasOf(
  { productTag, env, quotaTag }: ReturnType<typeof parseReservations>,
  catalogue: Catalogue,
): Promise<CompiledQuota[]> {
  const named = { productTag, env, cache: null };
  if (quotaTag !== null) return [await catalogue.locate({ ...named, quotaTag })];
  const all = catalogue.entry(productTag).quotas.readable();
  if (all.length === 0) catalogue.entry(productTag).environments.find(productTag, env);
  return Promise.all(all.map(({ body }) => catalogue.locate({ ...named, quotaTag: body.tag })));
}

/** One more than fit on the page, so that it is known whether there is another. */
async function holdsOf(
  quota: CompiledQuota,
  { subject, olderThanMs, limit, after: from }: ReturnType<typeof parseReservations>,
  nowMs: number,
  { records }: Pick<Store, "records">,
): Promise<Found[]> {
  const place: RecordPlace = { space: quota.answerSpace, shardKey: quota.rules[0].terms.shardKey };
  const found: Found[] = [];
  let after = from === null ? null : startIn(quota, from);
  while (found.length <= limit) {
    const rows = await records.openHolds(place, { after, limit: PAGE_MAX });
    for (const row of rows) {
      if (nowMs - row.hold.openedMs < olderThanMs) return found;
      if (subject === null || subjectsOf(row).includes(subject)) found.push({ ...row, quota });
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE_MAX) return found;
    after = { openedMs: last.hold.openedMs, name: last.name };
  }
  return found;
}

/** Where to go on in one quota after a page over several. */
function startIn({ tag }: CompiledQuota, { openedMs, quotaTag, id }: Place) {
  if (tag === quotaTag) return { openedMs, name: id };
  return { openedMs: tag < quotaTag ? openedMs + 1 : openedMs, name: "" };
}

function order(a: Found, b: Found): number {
  if (a.hold.openedMs !== b.hold.openedMs) return a.hold.openedMs - b.hold.openedMs;
  // The holds of one quota are in order already, and sorting keeps it.
  return a.quota.tag < b.quota.tag ? -1 : a.quota.tag > b.quota.tag ? 1 : 0;
}

function subjectsOf({ hold }: HoldRow): string[] {
  const subjects = countedOf(hold.owners, hold.reserved.details).map(({ subject }) => subject);
  return [...new Set(subjects)].filter((subject) => subject !== "");
}

function viewOf(found: Found, nowMs: number): OpenReservation {
  const { name, hold, quota } = found;
  const { openedMs, expiresMs, held, reserved } = hold;
  const subjects = subjectsOf(found);
  return {
    quota_tag: quota.tag,
    id: name,
    subject: subjects[0] ?? null,
    subjects,
    amount: (reserved.amount ?? held) / quota.scale,
    held: held / quota.scale,
    opened_at: isoOf(openedMs),
    expires_at: isoOf(expiresMs),
    age_ms: Math.max(0, nowMs - openedMs),
    state: "open",
  };
}
