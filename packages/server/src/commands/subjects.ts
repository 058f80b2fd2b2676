import { Option, type Command } from "commander";
import { amountText, type Ductape, type SubjectsInput, type SubjectUsage } from "ductape";
import { csvLine } from "../csv.js";
import { printData, printLine, printTable, say } from "../print.js";
import { withClient, withClientFlags } from "./client.js";
import { countOf, targetOf, withTarget, type Target } from "./target.js";

interface SubjectsFlags extends Target {
  readonly window: "now" | "last";
  readonly limit: string;
  readonly after?: string;
  readonly all?: boolean;
  readonly csv?: boolean;
}

/** The message for an empty list. */
export const NOBODY = {
  now: "nothing is counted in the current windows",
  last: "nothing was used in the last window",
};
const PAGE_MAX = 1_000;
const CSV_HEADS = "subject used limit remaining window_start window_end last_seen held".split(" ");

/** `ductape usage subjects`: who has used how much, in the current window or the last one. */
export function addSubjects(command: Command): void {
  withTarget(command)
    .description("list who has used how much of a quota, in this window or the last one")
    .addOption(
      new Option("--window <which>", "the current window, or the last one that ended")
        .choices(["now", "last"])
        .default("now"),
    )
    .option("--limit <count>", "how many, at most 1000", "100")
    .option("--after <next>", "`next` from the previous page")
    .addOption(new Option("--all", "list all, page by page").conflicts("after"))
    .addOption(new Option("--csv", "print CSV, safe to open in a spreadsheet").conflicts("json"));
  withClientFlags(command).action((flags: SubjectsFlags) => printSubjects(flags));
}

async function printSubjects(flags: SubjectsFlags): Promise<void> {
  const { window, after, all = false } = flags;
  const limit = all ? PAGE_MAX : countOf(flags.limit);
  const input = { ...targetOf(flags), window, after, limit };
  if (flags.csv === true) printData(csvLine(CSV_HEADS));
  const listed: SubjectUsage[] = [];
  const next = await withClient(flags, (client) =>
    eachPage(client, input, all, (subjects) => {
      if (flags.csv !== true) listed.push(...subjects);
      else for (const each of subjects) printData(csvLine(csvCells(each)));
    }),
  );
  if (flags.json === true) return printLine(JSON.stringify({ subjects: listed, next }));
  if (flags.csv !== true) printSubjectTable(listed);
  if (next === null && listed.length === 0 && flags.csv !== true) say(NOBODY[window]);
  if (next !== null) say(`more: --all, or --after '${next}'`);
}

/** Reads one page or all of them; returns where the next one begins, null at the end. */
async function eachPage(
  { usage }: Pick<Ductape, "usage">,
  input: SubjectsInput,
  all: boolean,
  take: (subjects: readonly SubjectUsage[]) => void,
): Promise<string | null> {
  let after = input.after;
  for (;;) {
    const { subjects, next } = await usage.subjects({ ...input, after });
    take(subjects);
    if (next === null || !all) return next;
    after = next;
  }
}

/** Prints subjects for people. */
export function printSubjectTable(subjects: readonly SubjectUsage[]): void {
  const areHeld = subjects.some(({ held }) => held > 0);
  const held = areHeld ? ["HELD"] : [];
  printTable(
    ["SUBJECT", "USED", ...held, "LIMIT", "REMAINING", "WINDOW ENDS", "LAST SEEN"],
    subjects.map(({ subject, used, limit, remaining, window, last_seen, ...each }) => [
      subject ?? "(product)",
      amountText(used),
      ...(areHeld ? [amountText(each.held)] : []),
      limit === null ? "none" : amountText(limit),
      remaining === null ? "unlimited" : amountText(remaining),
      window?.end ?? "never",
      last_seen,
    ]),
  );
}

function csvCells({ subject, used, held, limit, remaining, window, last_seen }: SubjectUsage) {
  const { start, end } = window ?? { start: null, end: null };
  return [subject, used, limit, remaining, start, end, last_seen, held];
}
