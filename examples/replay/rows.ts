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

/** The rows of a CSV log, some at a time. Throws `BadInput` that names the line. */
export async function* rowsOf(chunks: AsyncIterable<string>): AsyncGenerator<Row[]> {
  let columns: Columns | null = null;
  let line = 0;
  let before: Row | null = null;
  for await (const texts of linesOf(chunks)) {
    const rows: Row[] = [];
    for (const ended of texts) {
      line++;
      const text = ended.endsWith("\r") ? ended.slice(0, -1) : ended;
      if (columns === null) columns = columnsOf(text.replace(/^\uFEFF/, ""));
      else if (text !== "") {
        before = rowOf(text, line, columns, before);
        rows.push(before);
      }
    }
    yield rows;
  }
  if (columns === null) throw new BadInput("the log is empty: wants a header and rows");
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
    throw wrong(line, "fields", `wants ${columns.count} as in the header, got ${fields.length}`);
  }
  const atText = fields[columns.at_ms] ?? "";
  const atMs = integerIn(atText);
  if (atMs === null || atMs > AT_MS_MAX) {
    const wanted = `wants epoch milliseconds, an integer from 0 to ${AT_MS_MAX}`;
    throw wrong(line, "at_ms", `${wanted}, got ${quote(atText)}`);
  }
  if (before !== null && atMs < before.atMs) {
    const earlier = `${atMs} is earlier than ${before.atMs} on line ${before.line}`;
    const key = columns.at_ms + 1;
    const remedy = `sort the log by time first: sort -s -n -t, -k${key},${key}`;
    throw wrong(line, "at_ms", `${earlier}; ${remedy}`);
  }
  const client = fields[columns.client] ?? "";
  if (client === "") throw wrong(line, "client", "wants at least one character, got none");
  const bytesText = fields[columns.bytes] ?? "";
  const bytes = integerIn(bytesText);
  if (bytes === null) {
    const wanted = `wants an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;
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
      throw wrong(line, "fields", `wants quotes around a whole field, closed on its line`);
    }
    fields.push(value.startsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value);
    if (end === "") return fields;
  }
}

/** What is wrong with a field of a line. */
export function wrong(line: number, field: string, message: string): BadInput {
  return new BadInput(`line ${line}: ${field}: ${message}`);
}
