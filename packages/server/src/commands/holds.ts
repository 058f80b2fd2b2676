import type { Command } from "commander";
import { amountText, ValidationError, type OpenReservation } from "ductape";
import { printLine, printTable, say } from "../print.js";
import {
  withClient,
  withClientFlags,
  withPlaceFlags,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";
import { sentenceOf } from "./sentence.js";
import { countOf } from "./target.js";

interface ListFlags extends ClientFlags, PrintFlags {
  readonly env: string;
  readonly product: string;
  readonly quota?: string;
  readonly subject?: string;
  readonly olderThanMs?: string;
  readonly limit: string;
  readonly after?: string;
}

interface ReleaseFlags extends ClientFlags, PrintFlags {
  readonly env: string;
  readonly product: string;
  readonly quota: string;
  readonly reason: string;
}

/** `ductape holds ls`: what is set aside, the oldest first. */
export function addHoldList(command: Command): void {
  withPlaceFlags(command)
    .description("list the open holds of a quota or of all, the oldest first")
    .option("--quota <tag>", "tag of a quota (default all)")
    .option("--subject <name>", "only those on a counter of this subject")
    .option("--older-than-ms <ms>", "only those reserved at least so long ago")
    .option("--limit <count>", "how many, at most 1000", "100")
    .option("--after <next>", "`next` from the previous page");
  withClientFlags(command).action((flags: ListFlags) => printHolds(flags));
}

/** `ductape holds release`: frees what somebody else holds. */
export function addHoldRelease(command: Command): void {
  withPlaceFlags(command.argument("<id>", "the id of a hold"))
    .description("free a hold that its own program no longer settles; counts nothing")
    .requiredOption("--quota <tag>", "tag of the quota")
    .requiredOption("--reason <text>", "why, for the audit log of a server");
  withClientFlags(command).action((id: string, flags: ReleaseFlags) => release(id, flags));
}

async function printHolds(flags: ListFlags): Promise<void> {
  const { env, product, quota, subject, olderThanMs, limit, after, json } = flags;
  const input = {
    env,
    product_tag: product,
    quota_tag: quota,
    subject,
    older_than_ms: olderThanMs === undefined ? undefined : msOf(olderThanMs),
    limit: countOf(limit),
    after,
  };
  const page = await withClient(flags, ({ processor }) => processor.quota.reservations(input));
  if (json === true) return printLine(JSON.stringify(page));
  printTable(
    ["ID", "QUOTA", "SUBJECT", "HELD", "OPENED AT", "EXPIRES AT"],
    page.reservations.map(rowOf),
  );
  if (page.reservations.length === 0) say("nothing is set aside");
  if (page.next !== null) say(`more: --after '${page.next}'`);
}

function rowOf({ id, quota_tag, subjects, held, opened_at, expires_at }: OpenReservation) {
  const whose = subjects.length === 0 ? "(product)" : subjects.join(" ");
  return [id, quota_tag, whose, amountText(held), opened_at, expires_at];
}

/** Throws `VALIDATION`. */
function msOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const message = `expects milliseconds, got "${text}"`;
  throw new ValidationError([{ path: "--older-than-ms", message }]);
}

async function release(reservation: string, flags: ReleaseFlags): Promise<void> {
  const { env, product, quota, reason, json } = flags;
  const place = { env, product_tag: product, quota_tag: quota };
  const result = await withClient(flags, ({ processor }) =>
    processor.quota.run({ ...place, action: "release", reservation, reason }),
  );
  if (json === true) return printLine(JSON.stringify(result));
  say(sentenceOf(result));
}
