import type { Command } from "commander";
import { amountText, ERRORS } from "ductape";
import { printLine, printTable, say } from "../print.js";
import { withClient, withClientFlags } from "./client.js";
import { whose } from "./sentence.js";
import { SUBJECT_FLAG, subjectOf } from "./subject.js";
import { NOBODY, printSubjectTable } from "./subjects.js";
import { countOf, targetOf, withTarget, type Target } from "./target.js";

interface HistoryFlags extends Target {
  readonly subject?: readonly string[];
}

interface TopFlags extends Target {
  readonly limit: string;
  readonly after?: string;
}

/** `ductape usage top`: who has used most, in the current windows. */
export function addTop(command: Command): void {
  withTarget(command)
    .description("list who has used most of a quota, in the current windows")
    .option("--limit <count>", "how many, at most 1000", "20")
    .option("--after <next>", "`next` from the previous page");
  withClientFlags(command).action((flags: TopFlags) => printTop(flags));
}

/** `ductape usage history`: what was used in this window and in earlier ones. */
export function addHistory(command: Command): void {
  withTarget(command)
    .description("show what was used in this window and in the earlier ones that the quota keeps")
    .option("--subject <value...>", SUBJECT_FLAG);
  withClientFlags(command).action((flags: HistoryFlags) => printHistory(flags));
}

async function printHistory(flags: HistoryFlags): Promise<void> {
  const { subject, json } = flags;
  const whom = subject === undefined ? {} : { subject: subjectOf(subject) };
  const input = { ...targetOf(flags), ...whom };
  const history = await withClient(flags, ({ usage }) => usage.history(input));
  if (history.last_seen === null) process.exitCode = ERRORS.QUOTA_NOT_FOUND.exitCode;
  if (json === true) return printLine(JSON.stringify(history));
  if (history.last_seen === null)
    return say(`there is no counter for ${whose(history.subject)}: ${GONE}`);
  printTable(
    ["WINDOW STARTS", "ENDS", "USED", "LIMIT", "REMAINING"],
    history.windows.map(({ start, end, used, limit, remaining }) => [
      start,
      end ?? "never",
      amountText(used),
      limit === null ? "none" : amountText(limit),
      remaining === null ? "unlimited" : amountText(remaining),
    ]),
  );
  if (history.keeps > 0) return;
  say(`rule "${history.rule}" keeps no ended windows; history: 12 keeps 12, if its windows end`);
}

const GONE = "nothing was ever counted, or it is already deleted";

async function printTop(flags: TopFlags): Promise<void> {
  const { after, json } = flags;
  const input = { ...targetOf(flags), after, limit: countOf(flags.limit) };
  const page = await withClient(flags, ({ usage }) => usage.subjects(input));
  if (json === true) return printLine(JSON.stringify(page));
  printSubjectTable(page.subjects);
  if (page.subjects.length === 0) say(NOBODY.now);
  if (page.next !== null) say(`more: --after ${page.next}`);
}
