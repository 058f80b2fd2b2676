import { parseArgs } from "node:util";
import { visible, type Period, type PeriodUnit } from "ductape";

/** The options of the command line. */
export interface Options {
  /** A path, or "-" for stdin. */
  readonly file: string;
  readonly limit: number;
  readonly period: Period;
  readonly periodText: string;
  readonly zone: string;
  readonly window: "calendar" | "rolling";
  readonly amount: "requests" | "bytes";
  readonly scope: "client" | "all";
  /** Rows of each table. */
  readonly top: number;
  readonly json: boolean;
}

/** A mistake in the command line or in the log: one line on stderr, exit code 2. */
export class BadInput extends Error {}

const UNITS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"] as const;

export const HELP = `Usage: npx tsx examples/replay.ts <log.csv | -> --limit N [options]

Replays an access log through a candidate limit and tells what it would have refused, when, and
to whom. The log is an access log of Apache or nginx in the common or combined format, or CSV with a
header that names at_ms (epoch milliseconds, ascending), client and bytes, in any order; other
columns are ignored. "-" reads it from stdin.

  --limit N    how much each window admits, an integer; required
  --period P   ${UNITS.join(", ")}, lifetime,
               or a multiple such as 15-minute; default hour
  --zone Z     IANA time zone of the windows and of the report; default UTC
  --window W   calendar or rolling; default calendar
  --amount A   what the limit counts, requests or bytes; default requests
  --scope S    client: each has the limit; all: they share it; default client
  --top N      rows of each table; default 10
  --json       print JSON
  --help       print this
`;

/** Reads the command line; null asks for help. Throws `BadInput`. */
export function parseOptions(args: readonly string[]): Options | null {
  const { values, positionals } = readArgs(args);
  if (values.help) return null;
  const [file, second] = positionals;
  if (file === undefined)
    throw new BadInput('expects a file to read, or "-" for stdin; see --help');
  if (second !== undefined) throw new BadInput(`expects one file, got a second: ${quote(second)}`);
  if (values.limit === undefined) throw new BadInput("--limit is required: an integer; see --help");
  return {
    file,
    limit: integerOf("--limit", values.limit),
    period: periodOf(values.period),
    periodText: values.period,
    zone: values.zone,
    window: oneOf("--window", values.window, ["calendar", "rolling"]),
    amount: oneOf("--amount", values.amount, ["requests", "bytes"]),
    scope: oneOf("--scope", values.scope, ["client", "all"]),
    top: integerOf("--top", values.top),
    json: values.json,
  };
}

function readArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        limit: { type: "string" },
        period: { type: "string", default: "hour" },
        zone: { type: "string", default: "UTC" },
        window: { type: "string", default: "calendar" },
        amount: { type: "string", default: "requests" },
        scope: { type: "string", default: "client" },
        top: { type: "string", default: "10" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new BadInput(`${error.message.split(/[.\n]/, 1)[0]}; see --help`);
  }
}

/** A value as shown in messages. */
export function quote(value: string): string {
  return visible(JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value));
}

/** The integer in a text of digits, 0..2^53-1, or null. Called twice for every row. */
export function integerIn(text: string): number | null {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return text !== "" && value <= Number.MAX_SAFE_INTEGER ? value : null;
}

const ZERO = "0".charCodeAt(0);

function integerOf(name: string, text: string): number {
  const value = integerIn(text);
  if (value !== null) return value;
  throw new BadInput(
    `${name} expects an integer from 0 to ${Number.MAX_SAFE_INTEGER}, got ${quote(text)}`,
  );
}

function periodOf(text: string): Period {
  if (text === "lifetime") return text;
  const [, every, name] = /^(?:(\d{1,9})-)?([a-z]+)$/.exec(text) ?? [];
  const unit: PeriodUnit | undefined = UNITS.find((known) => known === name);
  if (unit !== undefined) return every === undefined ? unit : { every: Number(every), unit };
  const wanted = `${UNITS.join(", ")}, lifetime, or a multiple such as 15-minute`;
  throw new BadInput(`--period expects ${wanted}, got ${quote(text)}`);
}

function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new BadInput(`${name} expects ${choices.join(" or ")}, got ${quote(text)}`);
}
