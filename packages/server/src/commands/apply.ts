import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { amountText, ConflictError, ValidationError, type DefinitionChange } from "ductape";
import { readConfiguration, type ConfigurationFile } from "../configuration/file.js";
import { overLimits, type OverLimit } from "../configuration/over.js";
import { ask, canAsk, printLine, say } from "../print.js";
import { withClient, withClientFlags, type ClientFlags, type PrintFlags } from "./client.js";

interface ApplyFlags extends ClientFlags, PrintFlags {
  readonly file: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** `ductape apply -f ductape.yaml`: applies all definitions of the file or none. */
export function addApply(command: Command): void {
  command
    .description("apply all definitions of a file or none; deletes nothing")
    .option("-f, --file <path>", "YAML or JSON; - for standard input", "ductape.yaml")
    .option("--dry-run", "show what would change, and change nothing")
    .option("--yes", "apply even if limits fall below what is already used");
  withClientFlags(command).action((flags: ApplyFlags) => run(flags));
}

async function run(flags: ApplyFlags): Promise<void> {
  const name = flags.file === "-" ? "(standard input)" : flags.file;
  const file = readConfiguration(await contentOf(flags.file), name);
  await withClient(flags, async (client) => {
    const { changes } = await placed(file, () =>
      client.product.apply(file.configuration, { dry_run: true }),
    );
    const over = await overLimits(client, changes);
    const isDry = flags.dryRun === true;
    if (flags.json !== true) printDiff(changes);
    for (const each of over) say(textOf(each), "careful:");
    const isChange = changes.some(({ action }) => action !== "keep");
    if (!isDry && isChange) {
      if (over.length > 0 && flags.yes !== true) await confirm();
      await placed(file, () => client.product.apply(file.configuration));
    }
    if (flags.json === true) {
      return printLine(JSON.stringify({ changes, over, applied: !isDry && isChange }));
    }
    say(isChange ? `${isDry ? "would apply" : "applied"}: ${countsOf(changes)}` : "nothing to do");
  });
}

async function contentOf(path: string): Promise<string> {
  if (path === "-") return text(process.stdin);
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ValidationError([{ path: "--file", message }], { cause: error });
  }
}

/** Adds line and column to the issues of a fault. */
async function placed<T>(file: ConfigurationFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    throw new ValidationError(
      error.issues.map((issue) => file.at(issue)),
      { cause: error },
    );
  }
}

function printDiff(changes: readonly DefinitionChange[]): void {
  for (const { kind, product_tag, id, action, fields } of changes) {
    if (action === "keep") continue;
    const what = `${kind} ${kind === "product" ? id : `${product_tag}/${id}`}`;
    if (action === "create") printLine(`+ ${what}`, "green");
    else printLine(`~ ${what}`, "yellow");
    for (const { field, from, to } of fields) {
      printLine(`    ${field}: ${JSON.stringify(from)} -> ${JSON.stringify(to)}`);
    }
  }
}

function countsOf(changes: readonly DefinitionChange[]): string {
  const count = (action: string): number =>
    changes.filter((change) => change.action === action).length;
  return `${count("create")} new, ${count("update")} changed, ${count("keep")} as they were`;
}

function textOf({ product_tag, quota_tag, env, rule, subjects, most }: OverLimit): string {
  const where = `quota ${product_tag}/${quota_tag}, rule ${rule}, environment ${env}`;
  if (most === null) return `${where}: a limit changes, but usage could not be read`;
  const { subject } = most;
  const used = amountText(most.used);
  const whose = subject === null ? "the product" : `subject ${subject}`;
  return (
    `${where}: ${subjects} already above the new limit, led by ${whose} with ${used}; ` +
    "denied until the window ends"
  );
}

/** Asks on a terminal. Throws `REVISION_CONFLICT` if the answer is no or nobody can answer. */
async function confirm(): Promise<void> {
  if (canAsk()) {
    const answer = await ask("Apply it? [y/N] ");
    if (/^y(es)?$/i.test(answer.trim())) return;
  }
  const message = "limits would fall below what is used; nothing was changed: add --yes to apply";
  throw new ConflictError("REVISION_CONFLICT", message);
}
