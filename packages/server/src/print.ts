import { DuctapeError, ERRORS } from "ductape";
import colors from "picocolors";

/** Writes a line of data. */
export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Writes a line of talk, which programs that read the data do not get. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Writes rows under their heads, in columns. */
export function printTable(heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...rows.map((row) => (row[i] ?? "").length)),
  );
  const lineOf = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  printLine(process.stdout.isTTY ? colors.bold(lineOf(heads)) : lineOf(heads));
  for (const row of rows) printLine(lineOf(row));
}

/** Tells why a command failed, a line for each wrong field. Returns its exit code. */
export function sayFault(error: unknown): number {
  const issues = DuctapeError.is(error) ? (error.issues ?? []) : [];
  const message = error instanceof Error ? error.message : String(error);
  const lines =
    issues.length > 1 ? issues.map((issue) => `${issue.path}: ${issue.message}`) : [message];
  for (const line of lines) say(`${colors.red("ductape:")} ${line}`);
  return DuctapeError.is(error) ? ERRORS[error.code].exitCode : 1;
}
