// Everything that the program writes for people or shells goes through this file, so no other code
// can forget to escape it: no other file uses a standard stream, the console or a colour.
import { createInterface } from "node:readline/promises";
import { inspect } from "node:util";
import { DuctapeError, ERRORS, visible } from "ductape";
import colors from "picocolors";

/** The style of a whole line on a terminal. */
export type Style = "bold" | "green" | "yellow";

/** The labels that a message may begin with. */
export type Label = "ductape:" | "careful:";

const LABEL_STYLES = { "ductape:": colors.red, "careful:": colors.yellow };

/** Writes data as one line, whatever it contains. */
export function printLine(text: string, style?: Style): void {
  write(process.stdout, text, style);
}

/**
 * Writes data for another program unchanged; on a terminal, as one line with control characters
 * escaped.
 */
export function printData(text: string): void {
  if (process.stdout.isTTY) write(process.stdout, text);
  else process.stdout.write(`${text}\n`);
}

/** Writes several lines of data, such as a file. */
export function printLines(text: string): void {
  for (const line of text.split("\n")) printLine(line);
}

/** Writes a message to standard error, so programs that read the data do not see it. */
export function say(text: string, label?: Label): void {
  const before = label === undefined ? "" : `${LABEL_STYLES[label](label)} `;
  process.stderr.write(`${before}${visible(text)}\n`);
}

/** Writes a message of several lines, such as help. */
export function sayLines(text: string): void {
  for (const line of text.trimEnd().split("\n")) say(line);
}

/** Writes rows in columns under headings. */
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

/** The paths of issues about the URL of a store. */
const STORE_PATHS = ["options.store", "DUCTAPE_STORE"];

/** Prints why a command failed, one line for each wrong field. Returns the exit code. */
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

/**
 * Prints a warning of a server; the lines of an error are indented, so that they do not look like
 * new messages.
 */
export function sayWarning(message: string, error?: unknown): void {
  say(message, "ductape:");
  if (error === undefined) return;
  for (const line of inspect(error).split("\n")) say(`  ${line}`);
}

/** True if there is a terminal to ask a question on. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** The typed answer. Throws `ABORTED` on Ctrl-C or the end of input. */
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
