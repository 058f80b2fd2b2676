// Raw access logs, as the replay reads them.
import { describe, expect, it } from "vitest";
import { rowsOf, type Row } from "../../../examples/replay/rows.js";

const log = (...lines: string[]) => `${lines.join("\n")}\n`;

/** The rows of a log that comes in chunks of so many characters. */
async function rowsIn(text: string, chars = text.length): Promise<Row[]> {
  async function* chunks() {
    for (let from = 0; from < text.length; from += chars) yield text.slice(from, from + chars);
  }
  const rows: Row[] = [];
  for await (const some of rowsOf(chunks())) rows.push(...some);
  return rows;
}

describe("the rows of an access log", () => {
  const at = (time: string, client = "10.0.0.1") =>
    `${client} - - [10/Oct/2026:${time}] "GET / HTTP/1.1" 200 5`;

  it("are read in the common and combined formats of Apache and nginx", async () => {
    const rows = await rowsIn(
      log(
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326',
        String.raw`2001:db8::1 - - [10/Oct/2000:23:00:00 +0200] "GET /\"b" 304 - "-" "x \"y\""`,
        'shop.example:80 10.1.2.3 - - [10/Oct/2000:21:00:01 +0000] "-" 408 0 "-" "-" 0.1',
        'host.example - john doe [10/Oct/2000:21:00:02 +0000] "GET /" 200 9007199254740991',
      ),
    );
    expect(rows).toEqual([
      { line: 1, atMs: Date.UTC(2000, 9, 10, 20, 55, 36), client: "127.0.0.1", bytes: 2326 },
      { line: 2, atMs: Date.UTC(2000, 9, 10, 21), client: "2001:db8::1", bytes: 0 },
      { line: 3, atMs: Date.UTC(2000, 9, 10, 21, 0, 1), client: "10.1.2.3", bytes: 0 },
      {
        line: 4,
        atMs: Date.UTC(2000, 9, 10, 21, 0, 2),
        client: "host.example",
        bytes: 2 ** 53 - 1,
      },
    ]);
  });

  it("are put in order of time, however the chunks are cut", async () => {
    const text = log(at("10:00:05 +0000"), at("10:00:01 +0000", "a"), at("10:09:00 +0000"));
    for (const chars of [1, 50, 1_000]) {
      expect((await rowsIn(text, chars)).map(({ line }) => line)).toEqual([2, 1, 3]);
    }
  });

  it.each([
    ["line 2: line: expects CSV", log(at("10:00:00 +0000"), "garbage")],
    ["line 1: time: expects one such as [10/Oct/2026", log(at("24:00:00 +0000"))],
    [
      "line 2: time: is more than 5 minutes before",
      log(at("10:30:00 +0000"), at("10:00:00 +0000")),
    ],
  ])("are refused: %s", async (message, text) => {
    // Cut so that the first line is taken before the second comes.
    const later = text.replace("\n", `\n${at("10:59:00 +0000")}\n`);
    const given = message.includes("before") ? later : text;
    await expect(rowsIn(given, 20)).rejects.toThrow(
      message.includes("before") ? message.replace("line 2", "line 3") : message,
    );
  });
});
