import { amountText } from "ductape";

/** A cell of CSV; null is an empty one. */
export type CsvCell = string | number | null;

/**
 * One line of CSV without its end (RFC 4180). A text that a spreadsheet would take for a formula
 * gets an apostrophe before it, as OWASP advises, and so does one that begins with an apostrophe:
 * no two texts look alike.
 */
export function csvLine(cells: readonly CsvCell[]): string {
  return cells.map(cellText).join(",");
}

function cellText(cell: CsvCell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return amountText(cell);
  const text = /^['=+\-@\t\r\n＝＋－＠]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
