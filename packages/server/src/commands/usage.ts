import { Command } from "commander";
import { ERRORS, ValidationError } from "ductape";
import { printLine, printTable, say } from "../print.js";
import {
  withClient,
  withClientFlags,
  withPlaceFlags,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";
import { whose } from "./sentence.js";
import { SUBJECT_FLAG, subjectOf } from "./subject.js";

interface Target extends ClientFlags, PrintFlags {
  readonly env: string;
  readonly product: string;
  readonly quota: string;
  readonly rule?: string;
}

interface HistoryFlags extends Target {
  readonly subject?: readonly string[];
}

interface TopFlags extends Target {
  readonly limit: string;
  readonly after?: string;
}

/** `ductape usage`: who has used how much, now and before. */
export function usageCommand(): Command {
  const command = new Command("usage").description("tell who has used how much");
  const top = withTarget(command.command("top"))
    .description("list who has used most of a quota, in the windows that hold now")
    .option("--limit <count>", "how many, at most 1000", "20")
    .option("--after <next>", "the next of the page before");
  withClientFlags(top).action((flags: TopFlags) => printTop(flags));
  const history = withTarget(command.command("history"))
    .description("tell what was used in this window and in those before that the quota keeps")
    .option("--subject <value...>", SUBJECT_FLAG);
  withClientFlags(history).action((flags: HistoryFlags) => printHistory(flags));
  return command;
}

function withTarget(command: Command): Command {
  return withPlaceFlags(command)
    .requiredOption("--quota <tag>", "tag of a quota")
    .option("--rule <name>", "which of several rules");
}

async function printHistory(flags: HistoryFlags): Promise<void> {
  const { subject, json } = flags;
  const whom = subject === undefined ? {} : { subject: subjectOf(subject) };
  const input = { ...targetOf(flags), ...whom };
  const told = await withClient(flags, ({ usage }) => usage.history(input));
  if (told.last_seen === null) process.exitCode = ERRORS.QUOTA_NOT_FOUND.exitCode;
  if (json === true) return printLine(JSON.stringify(told));
  if (told.last_seen === null) return say(`there is no counter of ${whose(told.subject)}: ${GONE}`);
  printTable(
    ["WINDOW STARTS", "ENDS", "USED", "LIMIT", "REMAINING"],
    told.windows.map(({ start, end, used, limit, remaining }) => [
      start,
      end ?? "never",
      String(used),
      String(limit ?? "none"),
      String(remaining ?? "unlimited"),
    ]),
  );
  if (told.keeps > 0) return;
  say(`rule "${told.rule}" keeps no ended window; where its windows end, history: 12 keeps 12`);
}

const GONE = "nothing was ever counted, or so long ago that it is gone";

function targetOf({ env, product, quota, rule }: Target) {
  return { env, product_tag: product, quota_tag: quota, rule };
}

async function printTop(flags: TopFlags): Promise<void> {
  const { after, json } = flags;
  const input = { ...targetOf(flags), after, limit: countOf(flags.limit) };
  const page = await withClient(flags, ({ usage }) => usage.subjects(input));
  if (json === true) return printLine(JSON.stringify(page));
  printTable(
    ["SUBJECT", "USED", "LIMIT", "REMAINING", "WINDOW ENDS", "LAST SEEN"],
    page.subjects.map(({ subject, used, limit, remaining, window, last_seen }) => [
      subject ?? "(product)",
      String(used),
      String(limit ?? "none"),
      String(remaining ?? "unlimited"),
      window.end ?? "never",
      last_seen,
    ]),
  );
  if (page.subjects.length === 0) say("nothing is counted in the windows that hold now");
  if (page.next !== null) say(`more: --after ${page.next}`);
}

function countOf(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  const message = `wants a count from 1 to 1000, got "${text}"`;
  throw new ValidationError([{ path: "--limit", message }]);
}
