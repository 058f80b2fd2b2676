// All that the program writes for people or shells goes through here, so that nothing else can
// forget to escape it: no other file names a standard stream, the console or a colour.
import { createInterface } from "node:readline/promises";
import { inspect } from "node:util";
import { DuctapeError, ERRORS, visible } from "ductape";
import colors from "picocolors";

/** How a whole line looks on a terminal. */
export type Style = "bold" | "green" | "yellow";

/** What a line of talk may begin with. */
export type Label = "ductape:" | "careful:";

const LABEL_STYLES = { "ductape:": colors.red, "careful:": colors.yellow };

/** Writes a line of data: one line, whatever is in it. */
export function printLine(text: string, style?: Style): void {
  write(process.stdout, text, style);
}

/** Writes data for another program as it is; on a terminal, one line that obeys nothing in it. */
export function printData(text: string): void {
  if (process.stdout.isTTY) write(process.stdout, text);
  else process.stdout.write(`${text}\n`);
}

/** Writes data of several lines, such as a file. */
export function printLines(text: string): void {
  for (const line of text.split("\n")) printLine(line);
}

/** Writes a line of talk, which programs that read the data do not get. */
export function say(text: string, label?: Label): void {
  const before = label === undefined ? "" : `${LABEL_STYLES[label](label)} `;
  process.stderr.write(`${before}${visible(text)}\n`);
}

/** Writes talk of several lines, such as help. */
export function sayLines(text: string): void {
  for (const line of text.trimEnd().split("\n")) say(line);
}

/** Writes rows under their heads, in columns. */
export function printTable(heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const shown = rows.map((row) => row.map(visible));
  const widths = heads.map((head, i) =>
    shown.reduce((width, row) => Math.max(width, (row[i] ?? "").length), head.length),
  );
  const lineOf = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  printLine(lineOf(heads), process.stdout.isTTY ? "bold" : undefined);
  for (const row of shown) printLine(lineOf(row));
}

/** Where the URL of a store comes from. */
const STORE_PATHS = ["options.store", "DUCTAPE_STORE"];

/** Tells why a command failed, a line for each wrong field. Returns its exit code. */
export function sayFault(error: unknown): number {
  const issues = DuctapeError.is(error) ? (error.issues ?? []) : [];
  const message = error instanceof Error ? error.message : String(error);
  const lines =
    issues.length > 1 ? issues.map((issue) => `${issue.path}: ${issue.message}`) : [message];
  for (const line of lines) say(line, "ductape:");
  if (!DuctapeError.is(error)) return 1;
  const isStoreUrl = issues.length > 0 && issues.every(({ path }) => STORE_PATHS.includes(path));
  return ERRORS[isStoreUrl ? "STORE_UNAVAILABLE" : error.code].exitCode;
}

/** Tells what a server warns of; an error by all its lines, each further in than a new message. */
export function sayWarning(message: string, error?: unknown): void {
  say(message, "ductape:");
  if (error === undefined) return;
  for (const line of inspect(error).split("\n")) say(`  ${line}`);
}

/** True where somebody sits at a terminal to be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** What is typed in answer. Throws `ABORTED` where nothing is: by Ctrl-C or the end of input. */
export async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const interruption = new AbortController();
  terminal.once("SIGINT", () => interruption.abort());
  terminal.once("close", () => interruption.abort());
  try {
    return await terminal.question(visible(question), { signal: interruption.signal });
  } catch (cause) {
    throw new DuctapeError("ABORTED", "interrupted; nothing was changed", { cause });
  } finally {
    terminal.close();
  }
}

function write(stream: NodeJS.WriteStream, text: string, style?: Style): void {
  const shown = visible(text);
  stream.write(`${style === undefined ? shown : colors[style](shown)}\n`);
}
