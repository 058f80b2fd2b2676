// `ductape usage subjects`: the last window of all subjects, as a table, JSON and CSV.
import { EmbeddedDuctape, RemoteDuctape } from "ductape";
import { manualClock } from "ductape/testing";
import { afterAll, describe, expect, it } from "vitest";
import { csvLine } from "../src/csv.js";
import { folder, newStore, run } from "./command.js";
import { ROOT_KEY, startWith } from "./support.js";

afterAll(folder.remove);

const DAY_MS = 86_400_000;
const QUOTA = { tag: "q", scope: "$Session{userId}", limit: 50, period: "day" } as const;
const ODD = ['=HYPERLINK("http://a")', "+1", "-1", "@a", "'a", "a,b", 'a"b', "a\nb", "\tb", "\rb"];
const HEAD = "subject used limit remaining window_start window_end last_seen held".split(" ");
const LAST = ["--window", "last", "--all", "--csv"];
const at = ["--env", "prd", "--product", "shop", "--quota", "q"];

/** A store whose subjects were counted yesterday, by this machine's clock. */
async function countedYesterday(subjects: readonly string[]): Promise<string> {
  const store = newStore();
  const clock = manualClock(Date.now() - DAY_MS);
  await using ductape = new EmbeddedDuctape({ store, clock });
  await ductape.product.create({ tag: "shop" });
  await ductape.product.environments.create("shop", { slug: "prd" });
  await ductape.product.quotas.create("shop", QUOTA);
  const place = { env: "prd", product_tag: "shop", quota_tag: "q", action: "increment" } as const;
  const inputs = subjects.map((subject) => ({ ...place, subject, amount: 2 }));
  for (let i = 0; i < inputs.length; i += 1_000) {
    await ductape.processor.quota.runAll(inputs.slice(i, i + 1_000));
  }
  return store;
}

describe("ductape usage subjects", () => {
  it("prints the last window of all as CSV that no spreadsheet reads as a formula", async () => {
    const store = await countedYesterday(ODD);
    const { code, stdout } = await run(["usage", "subjects", "--store", store, ...at, ...LAST]);
    expect(code).toBe(0);
    const [head, ...rows] = csvRows(stdout);
    expect(head).toEqual(HEAD);
    const subjects = rows.map(([subject = ""]) => subject);
    expect(subjects.filter((each) => /^[=+\-@\t\r]/.test(each))).toEqual([]);
    const read = subjects.map((each) => (each.startsWith("'") ? each.slice(1) : each));
    expect(new Set(read)).toEqual(new Set(ODD));
    expect(new Set(rows.map((row) => row.slice(1, 4).join()))).toEqual(new Set(["2,50,48"]));
  });

  it("lists more than a page with --all, and shows where the next begins without it", async () => {
    const users = Array.from({ length: 1_203 }, (_, i) => `user-${i}`);
    const store = await countedYesterday(users);
    const command = ["usage", "subjects", "--store", store, ...at, "--window", "last", "--json"];
    const all = JSON.parse((await run([...command, "--all"])).stdout);
    const listed = all.subjects.map(({ subject }: { subject: string }) => subject);
    expect(new Set(listed)).toEqual(new Set(users));
    expect([listed.length, all.next]).toEqual([1_203, null]);
    const first = JSON.parse((await run([...command, "--limit", "2"])).stdout);
    expect(first.subjects).toHaveLength(2);
    const next = await run([...command, "--limit", "2", "--after", first.next]);
    expect(JSON.parse(next.stdout).subjects[0]).toEqual(all.subjects[2]);
    const now = await run(["usage", "subjects", "--store", store, ...at, "--json"]);
    expect(JSON.parse(now.stdout)).toEqual({ subjects: [], next: null });
    const table = await run([...command.slice(0, -1), "--limit", "2"]);
    expect(table.stdout).toContain("WINDOW ENDS");
    expect(table.stderr).toContain("more: --all");
  });

  it("refuses --csv with --json, --all with --after, and another window", async () => {
    const command = ["usage", "subjects", "--store", newStore(), ...at];
    for (const wrong of [
      ["--csv", "--json"],
      ["--all", "--after", "x"],
      ["--window", "before"],
    ]) {
      expect((await run([...command, ...wrong])).code).toBe(2);
    }
  });
});

it("the last window is listed over HTTP and by the remote client", async () => {
  const clock = manualClock("2026-11-30T12:00:00Z");
  const server = await startWith([QUOTA, { ...QUOTA, tag: "hour", period: "hour" }], { clock });
  const place = { env: "prd", product_tag: "shop", quota_tag: "q" };
  const { quota } = server.ductape.processor;
  await quota.run({ ...place, action: "increment", subject: "ada", amount: 3 });
  clock.advance(DAY_MS);
  const query = "/v1/usage/subjects?product_tag=shop&env=prd&window=last";
  const { status, body } = await server.call(`${query}&quota_tag=q`);
  expect([status, body["subjects"]]).toMatchObject([200, [{ subject: "ada", used: 3 }]]);
  const refused = await server.call(`${query}&quota_tag=hour`);
  expect(refused).toMatchObject({ status: 400, body: { code: "VALIDATION" } });
  expect(JSON.stringify(refused.body)).toContain("calendar windows of a day or longer");
  expect((await server.call(`${query}&quota_tag=q&window=x`)).status).toBe(400);
  await using client = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY });
  const { subjects } = await client.usage.subjects({ ...place, window: "last" });
  expect(subjects).toEqual(body["subjects"]);
  await server.close();
});

it("a line of CSV keeps texts different that begin alike", () => {
  const texts = ["=a", "'=a", "''=a", "a", "", " =a", "＝a"];
  expect(csvLine(texts)).toBe("'=a,''=a,'''=a,a,, =a,'＝a");
  expect(csvLine([-1, null, 0.5])).toBe("-1,,0.5");
});

/** A parser of its own, so that the writer is not checked by itself. */
function csvRows(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const cell = /("((?:[^"]|"")*)"|[^",\r\n]*)(,|\n|$)/gy;
  for (let found = cell.exec(text); found !== null && found[0] !== ""; found = cell.exec(text)) {
    const [, raw = "", quoted, end] = found;
    row.push(quoted === undefined ? raw : quoted.replaceAll('""', '"'));
    if (end === ",") continue;
    rows.push(row);
    row = [];
  }
  return rows;
}
