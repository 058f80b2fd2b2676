import { visible, type ResultWindow } from "ductape";
import type { Options } from "./options.js";
import type { Row } from "./rows.js";
import type { Asked, Count, Tally } from "./tally.js";

interface Top {
  readonly windows: readonly (ResultWindow & Count)[];
  readonly clients: readonly (Asked & { readonly client: string })[];
}

/** The windows and clients with most refusals, in what the limit counts; equals by name. */
function topOf({ windows, clients }: Tally, { amount, top }: Options): Top {
  const refused = [...clients]
    .map(([client, counts]) => ({ client, ...counts }))
    .filter((client) => client.refused.requests > 0);
  return {
    windows: [...windows.values()]
      .sort((a, b) => b[amount] - a[amount] || (a.start < b.start ? -1 : 1))
      .slice(0, top),
    clients: refused
      .sort((a, b) => b.refused[amount] - a.refused[amount] || (a.client < b.client ? -1 : 1))
      .slice(0, top),
  };
}

/** The report as JSON; instants are ISO 8601 in UTC. */
export function jsonOf(tally: Tally, options: Options): string {
  const { limit, periodText: period, zone, window, amount, scope } = options;
  const { asked, refused, clients, clientsRefused } = tally;
  const at = (row: Row | null) =>
    row && { at: new Date(row.atMs).toISOString(), line: row.line, client: row.client };
  const report = {
    quota: { limit, amount, scope, period, window, time_zone: zone },
    asked: { ...asked, clients: clients.size },
    refused: { ...refused, clients: clientsRefused, windows: tally.windows.size },
    refused_percent: {
      requests: share(refused.requests, asked.requests),
      bytes: share(refused.bytes, asked.bytes),
      clients: share(clientsRefused, clients.size),
    },
    first: at(tally.first),
    last: at(tally.last),
    first_refused: at(tally.firstRefused),
    last_refused: at(tally.lastRefused),
    top: topOf(tally, options),
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** The report as text; instants are local to the zone, with its offset. */
export function textOf(tally: Tally, options: Options): string {
  const { limit, amount, scope, periodText, window, zone } = options;
  const at = localTime(zone);
  const whose = scope === "client" ? "each client" : "all clients together";
  const { asked, refused, first, last, clients, clientsRefused } = tally;
  const lines = [
    `limit   ${count(limit)} ${amount} for ${whose}`,
    `window  ${periodText}, ${window}, ${zone}`,
    `log     ${first && last ? `${at(first.atMs)} to ${at(last.atMs)}` : "no rows"}`,
    "",
    ...table(
      1,
      ["", "requests", "clients", "bytes"],
      [
        ["asked", count(asked.requests), count(clients.size), count(asked.bytes)],
        ["refused", count(refused.requests), count(clientsRefused), count(refused.bytes)],
        [
          "",
          percent(refused.requests, asked.requests),
          percent(clientsRefused, clients.size),
          percent(refused.bytes, asked.bytes),
        ],
      ],
    ),
    "",
    ...refusals(tally, options, at),
  ];
  return `${lines.join("\n")}\n`;
}

function refusals(tally: Tally, options: Options, at: (ms: number) => string): string[] {
  const { firstRefused, lastRefused } = tally;
  if (firstRefused === null || lastRefused === null) return ["Nothing would have been refused."];
  const { windows, clients } = topOf(tally, options);
  const { amount } = options;
  const kind = options.window === "rolling" ? "Calendar windows" : "Windows";
  const whenAndWho = (row: Row) => `${at(row.atMs)}  ${visible(row.client)}, line ${row.line}`;
  return [
    `first refusal  ${whenAndWho(firstRefused)}`,
    `last refusal   ${whenAndWho(lastRefused)}`,
    "",
    `${kind} with most refused ${amount}, ${windows.length} of ${count(tally.windows.size)}`,
    ...table(
      2,
      ["start", "end", "requests", "bytes"],
      windows.map(({ start, end, requests, bytes }) => [
        at(Date.parse(start)),
        end === null ? "never" : at(Date.parse(end)),
        count(requests),
        count(bytes),
      ]),
    ),
    "",
    `Clients with most refused ${amount}, ${clients.length} of ${count(tally.clientsRefused)}`,
    ...table(
      1,
      ["client", "refused", "asked", "share"],
      clients.map(({ client, asked, refused }) => [
        visible(client),
        count(refused[amount]),
        count(asked[amount]),
        percent(refused[amount], asked[amount]),
      ]),
    ),
  ];
}

/** Columns as wide as their widest cell: first `texts` text columns, then numbers. */
function table(
  texts: number,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, i) =>
    all.reduce((width, cells) => Math.max(width, cells[i]?.length ?? 0), 0),
  );
  return all.map((cells) => {
    const padded = cells.map((cell, i) =>
      i < texts ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    );
    return `  ${padded.join("  ")}`.trimEnd();
  });
}

const share = (part: number, whole: number): number =>
  whole === 0 ? 0 : Number(((part / whole) * 100).toFixed(2));

const count = (value: number): string => value.toLocaleString("en-US");

/** Only nothing is 0.0 % and only all is 100.0 %. */
function percent(part: number, whole: number): string {
  if (part === 0) return "0.0 %";
  if (part === whole) return "100.0 %";
  return `${Math.min(99.9, Math.max(0.1, (part / whole) * 100)).toFixed(1)} %`;
}

/** Instants as `2026-05-17 12:00:00 +02:00`. */
function localTime(timeZone: string): (ms: number) => string {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "longOffset",
  });
  return (ms) => {
    const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const offset = parts.get("timeZoneName")?.slice("GMT".length) || "+00:00";
    const date = `${parts.get("year")}-${parts.get("month")}-${parts.get("day")}`;
    return `${date} ${parts.get("hour")}:${parts.get("minute")}:${parts.get("second")} ${offset}`;
  };
}
