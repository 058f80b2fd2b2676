import { Command } from "commander";
import { ValidationError } from "ductape";
import { printLine, printTable, say } from "../print.js";
import {
  withClient,
  withClientFlags,
  withPlaceFlags,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";

interface Target extends ClientFlags, PrintFlags {
  readonly env: string;
  readonly product_tag: string;
  readonly quota_tag: string;
  readonly rule?: string;
}

interface HistoryFlags extends Target {
  readonly subject?: string;
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
    .option("--subject <id>", "whose windows, as usage top lists it");
  withClientFlags(history).action((flags: HistoryFlags) => printHistory(flags));
  return command;
}

function withTarget(command: Command): Command {
  return withPlaceFlags(command)
    .requiredOption("--quota_tag <tag>", "tag of a quota")
    .option("--rule <name>", "which of several rules");
}

async function printHistory(flags: HistoryFlags): Promise<void> {
  const { env, product_tag, quota_tag, rule, subject, json } = flags;
  const input = { env, product_tag, quota_tag, rule, subject };
  const told = await withClient(flags, ({ usage }) => usage.history(input));
  if (json === true) return printLine(JSON.stringify(told));
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

async function printTop(flags: TopFlags): Promise<void> {
  const { env, product_tag, quota_tag, rule, after, json } = flags;
  const input = { env, product_tag, quota_tag, rule, after, limit: countOf(flags.limit) };
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
  if (page.next !== null) say(`more: --after ${page.next}`);
}

function countOf(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  const message = `wants a count from 1 to 1000, got "${text}"`;
  throw new ValidationError([{ path: "--limit", message }]);
}
