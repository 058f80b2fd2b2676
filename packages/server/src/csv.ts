import { amountText } from "ductape";

/** A CSV cell; null is empty. */
type CsvCell = string | number | null;

/**
 * One line of CSV without its line break (RFC 4180). A text that a spreadsheet would read as a
 * formula gets a leading apostrophe, as OWASP advises, and so does one that begins with an
 * apostrophe, so that different texts stay different.
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
