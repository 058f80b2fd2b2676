import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { QuotaResult } from "ductape";
import { BadInput, parseOptions } from "../../../../examples/replay/options.js";
import { rowsOf, type Row } from "../../../../examples/replay/rows.js";
import { BUILT_ENV } from "../built.js";
import { clientWith, inputOf, storeUrls, temporaryFolder } from "../support.js";
import { hasLog, LOG, readLog, type LogRow } from "../traffics.js";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const isThere = hasLog("the replay of a real access log");

const folder = temporaryFolder();
afterAll(folder.remove);

interface Told {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
}

/** Runs `replay.ts` and returns its output. */
function replay(args: readonly string[], stdin = ""): Promise<Told> {
  const command = ["--import", "tsx", "examples/replay.ts", ...args];
  const child = spawn(process.execPath, command, {
    cwd: ROOT,
    env: { ...process.env, ...BUILT_ENV },
  });
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  child.stdin.end(stdin);
  return new Promise((resolve) => {
    child.on("close", (code) => resolve({ code, out, errors }));
  });
}

/** One candidate limit; `local` is the text of a window by the platform's own calendar. */
interface Case {
  readonly name: string;
  readonly limit: number;
  readonly amount: "requests" | "bytes";
  readonly period: "hour" | "day";
  readonly zone: string;
  readonly local: Intl.DateTimeFormatOptions;
}

const DATE = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
const CASES: readonly Case[] = [
  {
    name: "5 requests an hour in UTC",
    limit: 5,
    amount: "requests",
    period: "hour",
    zone: "UTC",
    local: { ...DATE, hour: "2-digit", hourCycle: "h23" },
  },
  {
    name: "500,000 bytes a day in New York",
    limit: 500_000,
    amount: "bytes",
    period: "day",
    zone: "America/New_York",
    local: DATE,
  },
];

interface Verdict {
  readonly allowed: boolean;
  readonly used: number;
}

const amountOf = (row: LogRow, { amount }: Case) => (amount === "bytes" ? row.bytes : 1);
const windowText = ({ zone, local }: Case) =>
  new Intl.DateTimeFormat("en-CA", { ...local, timeZone: zone });

/** The whole of a quota, written again: a counter for each client and local window. */
function oracle(rows: readonly LogRow[], candidate: Case): Verdict[] {
  const window = windowText(candidate);
  const counters = new Map<string, number>();
  return rows.map((row) => {
    const key = `${row.client} ${window.format(row.atMs)}`;
    const before = counters.get(key) ?? 0;
    const used = before + amountOf(row, candidate);
    if (used > candidate.limit) return { allowed: false, used: before };
    counters.set(key, used);
    return { allowed: true, used };
  });
}

const verdictOf = (result: QuotaResult): Verdict => ({
  allowed: result.allowed,
  used: result.used,
});

/**
 * The engine's verdicts on all cases, one quota each, the clock at each row. Calls of the same
 * millisecond are made together: on a file they share a commit.
 */
async function engine(rows: readonly LogRow[], store: string): Promise<Verdict[][]> {
  const quotas = CASES.map(({ name: tag, limit, period, zone: time_zone }) => {
    return { tag, limit, period, time_zone, scope: "$Session{client}" };
  });
  let nowMs = 0;
  await using ductape = await clientWith(quotas, { store, clock: () => nowMs });
  const verdicts: Verdict[][] = CASES.map(() => []);
  for (let from = 0, to = 0; from < rows.length; from = to) {
    nowMs = rows[from]?.atMs ?? NaN;
    while (rows[to]?.atMs === nowMs) to++;
    const together = rows.slice(from, to);
    const decide = (row: LogRow, candidate: Case) => {
      const call = { quota_tag: candidate.name, amount: amountOf(row, candidate) };
      return ductape.processor.quota.run(inputOf({ ...call, subject: row.client }));
    };
    const calls = CASES.map((candidate) => together.map((row) => decide(row, candidate)));
    const decided = await Promise.all(calls.map((own) => Promise.all(own)));
    decided.forEach((own, i) => verdicts[i]?.push(...own.map(verdictOf)));
  }
  return verdicts;
}

/** What the report must add up to, from the oracle's verdicts alone. */
function totalsOf(rows: readonly LogRow[], verdicts: readonly Verdict[], candidate: Case) {
  const window = windowText(candidate);
  const refused = rows.filter((_, i) => !verdicts[i]?.allowed);
  const sum = (some: readonly LogRow[]) => some.reduce((bytes, row) => bytes + row.bytes, 0);
  const count = (some: readonly LogRow[]) => ({ requests: some.length, bytes: sum(some) });
  const names = (some: readonly LogRow[]) => new Set(some.map(({ client }) => client));
  const byClient = [...names(refused)].map((client) => {
    const own = (some: readonly LogRow[]) => count(some.filter((row) => row.client === client));
    return { client, asked: own(rows), refused: own(refused) };
  });
  const windows = new Set(refused.map(({ atMs }) => window.format(atMs)));
  return {
    asked: { ...count(rows), clients: names(rows).size },
    refused: { ...count(refused), clients: names(refused).size, windows: windows.size },
    clients: byClient.toSorted(byName),
  };
}

const byName = (a: { client: string }, b: { client: string }) => (a.client < b.client ? -1 : 1);

interface Report {
  readonly asked: unknown;
  readonly refused: unknown;
  readonly first_refused: { readonly line: number };
  readonly last_refused: { readonly line: number };
  readonly top: { readonly clients: readonly { readonly client: string }[] };
}

describe.each(CASES)("a real access log under $name", (candidate) => {
  const rows = isThere ? readLog() : [];
  const expected = oracle(rows, candidate);

  it.skipIf(!isThere)("refuses a good share, so that the comparison says something", () => {
    const share = expected.filter(({ allowed }) => !allowed).length / rows.length;
    expect(share).toBeGreaterThan(0.05);
    expect(share).toBeLessThan(0.4);
  });

  it.skipIf(!isThere)("is reported by replay.ts with the totals of that count", async () => {
    const { limit, amount, period, zone } = candidate;
    const options = ["--limit", `${limit}`, "--amount", amount, "--period", period, "--zone", zone];
    const { code, out, errors } = await replay([LOG, ...options, "--json", "--top", "10000"]);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    const report: Report = JSON.parse(out);
    const totals = totalsOf(rows, expected, candidate);
    expect(report.asked).toEqual(totals.asked);
    expect(report.refused).toEqual(totals.refused);
    expect(report.top.clients.toSorted(byName)).toEqual(totals.clients);
    const isRefused = ({ allowed }: Verdict) => !allowed;
    expect(report.first_refused.line).toBe(expected.findIndex(isRefused) + 2);
    expect(report.last_refused.line).toBe(expected.findLastIndex(isRefused) + 2);
  });
});

describe.each(storeUrls(folder.path))("a real access log on %s", (store) => {
  it.skipIf(!isThere)("is decided row by row as an independent count decides it", async () => {
    const rows = readLog();
    const verdicts = await engine(rows, store);
    CASES.forEach((candidate, i) => {
      const [decided = [], expected] = [verdicts[i], oracle(rows, candidate)];
      const differs = expected.findIndex(({ allowed, used }, row) => {
        return decided[row]?.allowed !== allowed || decided[row]?.used !== used;
      });
      const told = { line: differs + 2, engine: decided[differs], oracle: expected[differs] };
      expect(differs, `${candidate.name}: ${JSON.stringify(told)}`).toBe(-1);
      expect(decided.length).toBe(rows.length);
    });
  });
});

const HEADER = "at_ms,client,bytes";
const log = (...lines: string[]) => `${lines.join("\n")}\n`;
const WIDE = "expects an integer from 0 to 9007199254740991, got";
const TIME = "expects epoch milliseconds, an integer from 0 to 253402300799999, got";

describe.concurrent("bad input of replay.ts is one line on stderr and exit code 2", () => {
  const GOOD = log(HEADER, "1,a,1");
  const LIMIT = ["-", "--limit", "5"];
  const SORT = "sort the log by time first: sort -s -n -t, -k1,1";
  const UNITS = "second, minute, hour, day, week, month, quarter, year, lifetime";

  it.each([
    ["--limit is required: an integer; see --help", ["-"], GOOD],
    [`--limit ${WIDE} "many"`, ["-", "--limit", "many"], GOOD],
    ["Unknown option '--limits'; see --help", [...LIMIT, "--limits", "5"], GOOD],
    [
      '--zone expects an IANA time zone such as "Europe/Paris", got "Mars/Base"',
      [...LIMIT, "--zone", "Mars/Base"],
      GOOD,
    ],
    [
      `--period expects ${UNITS}, or a multiple such as 15-minute, got "fortnight"`,
      [...LIMIT, "--period", "fortnight"],
      GOOD,
    ],
    [
      "--window rolling needs a period with a length, got lifetime",
      [...LIMIT, "--window", "rolling", "--period", "lifetime"],
      GOOD,
    ],
    ['line 1: bytes: is missing in the header, got "at_ms,client"', LIMIT, log("at_ms,client")],
    [`line 2: at_ms: ${TIME} "1.5"`, LIMIT, log(HEADER, "1.5,a,1")],
    [`line 2: bytes: ${WIDE} "-1"`, LIMIT, log(HEADER, "1,a,-1")],
    [
      "line 2: client: expects at most 255 characters, got 256",
      LIMIT,
      log(HEADER, `1,${"a".repeat(256)},1`),
    ],
    [
      `line 4: at_ms: 6 is earlier than 7 on line 2; ${SORT}`,
      LIMIT,
      log(HEADER, "7,a,1", "", "6,b,1"),
    ],
    [
      "cannot read the log: ENOENT: no such file or directory, stat 'absent.csv'",
      ["absent.csv", "--limit", "5"],
      "",
    ],
  ])("%s", async (message, args, stdin) => {
    const errors = `replay: ${message}\n`;
    expect(await replay(args, stdin)).toEqual({ code: 2, out: "", errors });
  });
});

describe("the options of replay.ts", () => {
  it.each([
    ['expects a file to read, or "-" for stdin; see --help', []],
    ['expects one file, got a second: "b.csv"', ["a.csv", "b.csv"]],
    [`--limit ${WIDE} "-1"`, ["a.csv", "--limit=-1"]],
    [`--limit ${WIDE} ""`, ["a.csv", "--limit="]],
    [`--limit ${WIDE} "9007199254740992"`, ["a.csv", "--limit=9007199254740992"]],
    [`--top ${WIDE} "ten"`, ["a.csv", "--limit=1", "--top=ten"]],
    ['--amount expects requests or bytes, got "cows"', ["a.csv", "--limit=1", "--amount=cows"]],
    ['--scope expects client or all, got "ip"', ["a.csv", "--limit=1", "--scope=ip"]],
    ["Option '--limit <value>' argument missing; see --help", ["a.csv", "--limit"]],
  ])("refuse: %s", (message, args) => {
    expect(() => parseOptions(args)).toThrow(new BadInput(message));
  });
});

/** The rows of a log that comes in chunks of so many characters. */
async function rowsIn(text: string, chars = text.length): Promise<Row[]> {
  async function* chunks() {
    for (let from = 0; from < text.length; from += chars) yield text.slice(from, from + chars);
  }
  const rows: Row[] = [];
  for await (const some of rowsOf(chunks())) rows.push(...some);
  return rows;
}

describe("the rows of a log", () => {
  it("are the same however its chunks are cut", async () => {
    const text = '\uFEFFbytes,x,client,at_ms\r\n0,"a,""b",ada,7\r\n\r\n12,,"Bob ""B""",7';
    const rows = [
      { line: 2, atMs: 7, client: "ada", bytes: 0 },
      { line: 4, atMs: 7, client: 'Bob "B"', bytes: 12 },
    ];
    for (let chars = 1; chars <= text.length; chars++) {
      expect(await rowsIn(text, chars)).toEqual(rows);
    }
  });

  it.each([
    ["the log is empty: expects a header and rows", ""],
    [
      "line 1: line: expects CSV with a header that names at_ms, client and bytes, or lines of " +
        "an access log in the common or combined format; it begins with " +
        String.raw`"{\"ip\":\"\u001b[2J\u009b\"}"`,
      '{"ip":"\u001B[2J\u009B"}\n',
    ],
    ["line 1: client: stands twice in the header", log(`${HEADER},client`)],
    [`line 2: at_ms: ${TIME} "1767600072000000"`, log(HEADER, "1767600072000000,a,1")],
    [`line 2: at_ms: ${TIME} ""`, log(HEADER, ",a,1")],
    ["line 2: client: expects at least one character, got none", log(HEADER, "1,,1")],
    [`line 3: bytes: ${WIDE} " 1"`, log(HEADER, "1,a,1", "1,a, 1")],
    [`line 2: bytes: ${WIDE} "9007199254740993"`, log(HEADER, "1,a,9007199254740993")],
    ["line 2: fields: expects 3 as in the header, got 2", log(HEADER, "1,a")],
    ["line 2: fields: expects 3 as in the header, got 4", log(HEADER, "1,a,1,")],
    [
      "line 2: fields: expects quotes around a whole field, closed on its line",
      log(HEADER, '1,"a,1'),
    ],
    ["a line is longer than 1048576 characters: is the log text?", "x".repeat(1_048_577)],
  ])("are refused: %s", async (message, text) => {
    await expect(rowsIn(text)).rejects.toThrow(new BadInput(message));
  });
});

describe("the text of replay.ts", () => {
  it("accepts stdin, CRLF, a byte order mark, columns in any order and empty lines", async () => {
    const lines = [
      "\uFEFFbytes,path,client,at_ms",
      `0,"/a,b",ada,${Date.UTC(2026, 10, 1, 5, 30)}`,
      `700,/,"Bob ""B"", Ltd",${Date.UTC(2026, 10, 1, 5, 40)}`,
      `600,/,ada,${Date.UTC(2026, 10, 1, 5, 59, 59, 999)}`,
      `900,/,ada,${Date.UTC(2026, 10, 1, 6, 0)}`,
      "",
      `0,/,ada,${Date.UTC(2026, 10, 1, 6, 0)}`,
      `200,/,ada\u001B[2J,${Date.UTC(2026, 10, 1, 6, 59)}`,
      "",
    ].join("\r\n");
    const options = ["--limit", "1000", "--amount", "bytes", "--scope", "all"];
    const told = await replay(["-", ...options, "--zone", "America/New_York"], lines);
    expect(told).toEqual({
      code: 0,
      errors: "",
      out: `limit   1,000 bytes for all clients together
window  hour, calendar, America/New_York
log     2026-11-01 01:30:00 -04:00 to 2026-11-01 01:59:00 -05:00

           requests  clients   bytes
  asked           6        3   2,400
  refused         2        2     800
             33.3 %   66.7 %  33.3 %

first refusal  2026-11-01 01:59:59 -04:00  ada, line 4
last refusal   2026-11-01 01:59:00 -05:00  ada\\u001b[2J, line 8

Windows with most refused bytes, 2 of 2
  start                       end                         requests  bytes
  2026-11-01 01:00:00 -04:00  2026-11-01 01:00:00 -05:00         1    600
  2026-11-01 01:00:00 -05:00  2026-11-01 02:00:00 -05:00         1    200

Clients with most refused bytes, 2 of 2
  client        refused  asked    share
  ada               600  1,500   40.0 %
  ada\\u001b[2J      200    200  100.0 %
`,
    });
  });

  it("lists the refusals of a rolling window by the calendar windows they fall in", async () => {
    const at = (minute: number) => `${Date.UTC(2026, 0, 5, 8, minute)},ada,10`;
    const rolling = ["-", "--limit", "2", "--window", "rolling"];
    const { out } = await replay(rolling, log(HEADER, ...[50, 55, 70, 111].map(at)));
    expect(out.split("\n").slice(8, 15)).toEqual([
      "",
      "first refusal  2026-01-05 09:10:00 +00:00  ada, line 4",
      "last refusal   2026-01-05 09:10:00 +00:00  ada, line 4",
      "",
      "Calendar windows with most refused requests, 1 of 1",
      "  start                       end                         requests  bytes",
      "  2026-01-05 09:00:00 +00:00  2026-01-05 10:00:00 +00:00         1     10",
    ]);
  });

  it("says so if nothing would have been refused", async () => {
    const options = ["-", "--limit", "0", "--amount", "bytes"];
    const { out: ofNone } = await replay(options, HEADER);
    expect(ofNone).toMatch(/\nlog {5}no rows\n[^]*\nNothing would have been refused\.\n$/);
    const { out: ofNoBytes } = await replay(options, log(HEADER, "1,a,0", "2,a,0"));
    expect(ofNoBytes).toMatch(/\nNothing would have been refused\.\n$/);
  });
});
