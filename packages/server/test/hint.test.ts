// A file of definitions that is nearly right: its fault says what to write.
import { describe, expect, it } from "vitest";
import { Ductape, ValidationError } from "ductape";
import { readConfiguration } from "../src/configuration/file.js";

/** What a file with this line of a quota is refused with. */
async function faultOf(line: string): Promise<string> {
  const rest = ["limit: 1", "period: day"].filter((each) => !line.startsWith(each.slice(0, 6)));
  const quota = ["- tag: q", ...rest, line].join("\n        ");
  const file = readConfiguration(`products:\n  - tag: shop\n    quotas:\n      ${quota}\n`, "f");
  await using ductape = new Ductape({ store: "memory:" });
  const error: unknown = await ductape.product.apply(file.configuration).catch((e: unknown) => e);
  if (!(error instanceof ValidationError)) throw new Error(`${line} is not refused`);
  const [issue] = error.issues.map((each) => file.at(each));
  return `${issue?.path}: ${issue?.message}`;
}

describe("a file of definitions that is nearly right", () => {
  it.each([
    ["limit: 80_000", "(a number without underscores: 80000)"],
    ["limit: 80,000", "(a number without separators: 80000)"],
    ['limit: "80000"', "(a number without quotes: 80000)"],
    ["limit: 10_000.5", "(a number without underscores: 10000.5)"],
    ["limit: 80k", "; write 80000"],
    ["limit: 1.5M", "; write 1500000"],
    ["limit: unlimited", "; write null"],
    ["period: monthly", "; write month"],
    ["period: 1h", "; write hour"],
    ["period: 1 day", "; write day"],
    ["period: 30 days", "; write { every: 30, unit: day }"],
    ["period: forever", "; write lifetime"],
  ])("says of %s: %s", async (line, hint) => {
    const told = await faultOf(line);
    expect(told.endsWith(hint), told).toBe(true);
    expect(told).toMatch(/^f:\d+:9: products\[0\]\.quotas\[0\]\./);
  });

  const odd = ["limit: many", "limit: -5", "period: fortnight"];
  it.each(odd)("guesses nothing of %s", async (line) => {
    expect(await faultOf(line)).not.toMatch(/write|without/);
  });
});
