import type { Command, CommanderError } from "commander";
import { unknownField } from "ductape";
import { printLines, say, sayLines } from "../print.js";

/** Flags may be spelt like the fields of a call; these are the flags with a different name. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  "--product-tag": "--product",
  "--quota-tag": "--quota",
};

/**
 * The words of a command line with each flag in the commands' spelling: `--product_tag` becomes
 * `--product`, `--time_zone` becomes `--time-zone`.
 */
export function spelled(words: readonly string[], program: Command): string[] {
  const known = new Set(flagsOf(program));
  const end = words.indexOf("--");
  return words.map((word, i) => {
    const [, flag, rest = ""] = /^(--[^=]+)(=.*)?$/s.exec(word) ?? [];
    if (flag === undefined || (end !== -1 && i > end)) return word;
    const dashed = flag.replaceAll("_", "-");
    const meant = OTHER_WORDS[dashed] ?? dashed;
    return known.has(meant) ? meant + rest : word;
  });
}

function flagsOf(command: Command): string[] {
  const own = command.options.flatMap(({ long }) => long ?? []);
  return [...own, ...command.commands.flatMap(flagsOf)];
}

/** Makes a command and its subcommands report mistakes in flags through {@link sayMistake}. */
export function tellMistakes(command: Command): void {
  command.configureOutput({
    writeOut: (text) => printLines(text.trimEnd()),
    writeErr: sayLines,
    outputError: () => undefined,
  });
  command.exitOverride((error) => {
    sayMistake(command, error);
    throw error;
  });
  for (const part of command.commands) tellMistakes(part);
}

/** Names all that is missing at once, with the help of the command; any other mistake by a line. */
function sayMistake(command: Command, { code, exitCode, message }: CommanderError): void {
  // That help was printed is no mistake.
  if (exitCode === 0 || code === "commander.help") return;
  const name = nameOf(command);
  const missing = missingOf(command);
  if (!code.startsWith("commander.missing") || missing.length === 0) {
    const text = message.replace(/^error: /, "").replace(/\n\(Did you mean (.*)\?\)$/, "; $1?");
    say(text.replace(/; ([^;]*\?)$/, "; did you mean $1"), "ductape:");
    return say(`(see ${name} --help)`);
  }
  say(`${name} needs ${missing.join(", ")}`, "ductape:");
  for (const flag of unknownOf(command)) say(flag, "ductape:");
  say("");
  sayLines(command.helpInformation());
}

function missingOf(command: Command): string[] {
  const words = command.args.filter((word) => !word.startsWith("-"));
  const args = command.registeredArguments
    .filter(({ required }, i) => required && words[i] === undefined)
    .map((argument) => `<${argument.name()}>`);
  const flags = command.options
    .filter((option) => option.mandatory)
    .filter((option) => command.getOptionValue(option.attributeName()) === undefined)
    .map((option) => option.flags);
  return [...args, ...flags];
}

/** A misspelt flag is often why another is missing. */
function unknownOf(command: Command): string[] {
  const known = command.options.flatMap(({ long }) => long ?? []);
  return command.args
    .filter((word) => word.startsWith("--") && word !== "--")
    .map((word) => `${word} ${unknownField(word, known).replace("field", "flag")}`);
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}
