import { isIP } from "node:net";
import { visible } from "ductape";
import { integerIn, quote } from "./options.js";
import { wrong, type Row } from "./rows.js";

/**
 * A line of the common or combined format of Apache and nginx, alone or after the name of a virtual
 * host: client, identity, user, [time], "request", status, bytes, and more that is not read.
 */
const TIME = /(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)/.source;
const ASKED = /"(?:[^"\\]|\\.)*" \d{3} (\d+|-)(?: .*)?/.source;
const LINE = new RegExp(String.raw`^(\S+) (\S+) (.*?) ?\[${TIME}\] ${ASKED}$`);
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** How much earlier than one before it a line may be: servers write when a request has ended. */
export const LATE_MS_MAX = 300_000;

/** True for a line of an access log. */
export function isAccessLine(text: string): boolean {
  return LINE.test(text);
}

/** The request of a line. Throws `BadInput`, which names the line and its beginning. */
export function accessRow(text: string, line: number): Row {
  const parts = LINE.exec(text);
  if (parts === null) throw wrong(line, "line", notAccess(text));
  const [, first = "", second = "", , day, month = "", year, hour, minute, second_] = parts;
  const [sign, zoneHours, zoneMinutes, size = ""] = parts.slice(10);
  const date = Date.UTC(Number(year), MONTHS.indexOf(month), Number(day));
  const isDate = MONTHS.includes(month) && new Date(date).getUTCDate() === Number(day);
  const [hours, minutes, seconds] = [Number(hour), Number(minute), Number(second_)];
  if (!isDate || hours > 23 || minutes > 59 || seconds > 60) {
    const wanted = "expects one such as [10/Oct/2026:13:55:36 -0700]";
    throw wrong(line, "time", `${wanted}, got ${quote(text)}`);
  }
  const offsetMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
  const localMs = date + ((hours * 60 + minutes) * 60 + seconds) * 1_000;
  const bytes = size === "-" ? 0 : integerIn(size);
  if (bytes === null) throw wrong(line, "bytes", `expects an integer or -, got ${quote(size)}`);
  // Before the client there may be the virtual host, where the identity would stand otherwise.
  const client = isIP(first) === 0 && isIP(second) !== 0 ? second : first;
  return { line, atMs: sign === "-" ? localMs + offsetMs : localMs - offsetMs, client, bytes };
}

/** What to say of a line that is of neither form. */
export function notAccess(text: string): string {
  const begins = visible(JSON.stringify(text.slice(0, 60)));
  return (
    "expects CSV with a header that names at_ms, client and bytes, or lines of an access log in " +
    `the common or combined format; it begins with ${begins}`
  );
}
