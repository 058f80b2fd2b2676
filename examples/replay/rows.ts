import { accessRow, isAccessLine, LATE_MS_MAX, notAccess } from "./access.js";
import { BadInput, integerIn, quote } from "./options.js";

/** One request of the log. */
export interface Row {
  /** Its line in the file, from 1. */
  readonly line: number;
  readonly atMs: number;
  readonly client: string;
  readonly bytes: number;
}

/** Where the header has the columns that are read, and how many it has. */
type Columns = Readonly<Record<"at_ms" | "client" | "bytes" | "count", number>>;

/** The last millisecond of the year 9999: more is not epoch milliseconds, but a finer unit. */
const AT_MS_MAX = 253_402_300_799_999;
const LINE_CHARS_MAX = 1_048_576;

/** The rows of a log in order of time, some at a time. Throws `BadInput` that names the line. */
export async function* rowsOf(chunks: AsyncIterable<string>): AsyncGenerator<Row[]> {
  let form: Columns | AccessOrder | null = null;
  let line = 0;
  let before: Row | null = null;
  for await (const texts of linesOf(chunks)) {
    const rows: Row[] = [];
    for (const ended of texts) {
      line++;
      const text = ended.endsWith("\r") ? ended.slice(0, -1) : ended;
      if (form === null) {
        const first = text.replace(/^\uFEFF/, "");
        form = isAccessLine(first) ? new AccessOrder() : columnsOf(first);
        if (form instanceof AccessOrder) form.add(accessRow(first, line));
      } else if (text !== "" && form instanceof AccessOrder) form.add(accessRow(text, line));
      else if (text !== "" && !(form instanceof AccessOrder)) {
        before = rowOf(text, line, form, before);
        rows.push(before);
      }
    }
    yield form instanceof AccessOrder ? form.take(LATE_MS_MAX) : rows;
  }
  if (form === null) throw new BadInput("the log is empty: expects a header and rows");
  if (form instanceof AccessOrder) yield form.take(0);
}

/** Rows of an access log, which servers write when a request has ended, by when each came. */
class AccessOrder {
  #waiting: Row[] = [];
  #newestMs = 0;
  #taken: Row | null = null;

  add(row: Row): void {
    if (this.#taken !== null && row.atMs < this.#taken.atMs) {
      const minutes = LATE_MS_MAX / 60_000;
      const message = `is more than ${minutes} minutes before one above it; sort the log by time`;
      throw wrong(row.line, "time", message);
    }
    this.#newestMs = Math.max(this.#newestMs, row.atMs);
    this.#waiting.push(row);
  }

  /** Those that no later line can come before; of one instant in the order of their lines. */
  take(lateMs: number): Row[] {
    const sorted = this.#waiting.sort((a, b) => a.atMs - b.atMs);
    const end = sorted.findIndex(({ atMs }) => atMs > this.#newestMs - lateMs);
    const taken = end === -1 ? sorted : sorted.slice(0, end);
    this.#waiting = end === -1 ? [] : sorted.slice(end);
    this.#taken = taken.at(-1) ?? this.#taken;
    return taken;
  }
}

async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<string[]> {
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_CHARS_MAX) {
      throw new BadInput(`a line is longer than ${LINE_CHARS_MAX} characters: is the log text?`);
    }
    yield lines;
  }
  if (rest !== "") yield [rest];
}

function columnsOf(header: string): Columns {
  if (!/\b(at_ms|client|bytes)\b/.test(header)) throw wrong(1, "line", notAccess(header));
  const names = fieldsOf(header, 1).map((name) => name.trim());
  const indexOf = (name: string): number => {
    const index = names.indexOf(name);
    if (index === -1) throw wrong(1, name, `is missing in the header, got ${quote(header)}`);
    if (names.includes(name, index + 1)) throw wrong(1, name, "stands twice in the header");
    return index;
  };
  const count = names.length;
  return { at_ms: indexOf("at_ms"), client: indexOf("client"), bytes: indexOf("bytes"), count };
}

function rowOf(text: string, line: number, columns: Columns, before: Row | null): Row {
  const fields = fieldsOf(text, line);
  if (fields.length !== columns.count) {
    throw wrong(line, "fields", `expects ${columns.count} as in the header, got ${fields.length}`);
  }
  const atText = fields[columns.at_ms] ?? "";
  const atMs = integerIn(atText);
  if (atMs === null || atMs > AT_MS_MAX) {
    const wanted = `expects epoch milliseconds, an integer from 0 to ${AT_MS_MAX}`;
    throw wrong(line, "at_ms", `${wanted}, got ${quote(atText)}`);
  }
  if (before !== null && atMs < before.atMs) {
    const earlier = `${atMs} is earlier than ${before.atMs} on line ${before.line}`;
    const key = columns.at_ms + 1;
    const remedy = `sort the log by time first: sort -s -n -t, -k${key},${key}`;
    throw wrong(line, "at_ms", `${earlier}; ${remedy}`);
  }
  const client = fields[columns.client] ?? "";
  if (client === "") throw wrong(line, "client", "expects at least one character, got none");
  const bytesText = fields[columns.bytes] ?? "";
  const bytes = integerIn(bytesText);
  if (bytes === null) {
    const wanted = `expects an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;
    throw wrong(line, "bytes", `${wanted}, got ${quote(bytesText)}`);
  }
  return { line, atMs, client, bytes };
}

/** The fields of a line, as RFC 4180 quotes them, but for line ends inside quotes. */
function fieldsOf(text: string, line: number): string[] {
  if (!text.includes('"')) return text.split(",");
  const fields: string[] = [];
  const field = /("(?:[^"]|"")*"|[^",]*)(,|$)/y;
  for (;;) {
    const [, value = "", end] = field.exec(text) ?? [];
    if (end === undefined) {
      throw wrong(line, "fields", `expects quotes around a whole field, closed on its line`);
    }
    fields.push(value.startsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value);
    if (end === "") return fields;
  }
}

/** What is wrong with a field of a line. */
export function wrong(line: number, field: string, message: string): BadInput {
  return new BadInput(`line ${line}: ${field}: ${message}`);
}
