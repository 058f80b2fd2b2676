import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { temporaryFolder } from "./support.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const folder = temporaryFolder();
afterAll(folder.remove);

/** The lines an example prints; it fails if the example ends with another code than 0. */
async function linesOf(example: string, store: string): Promise<string[]> {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", `examples/${example}`],
    { cwd: ROOT, env: { ...process.env, DUCTAPE_STORE: store } },
  );
  expect(stderr).toBe("");
  return stdout.trimEnd().split("\n");
}

// It counts by the real day: where a midnight falls between two runs, the second try holds.
describe("the quickstart", { retry: 1 }, () => {
  let files = 0;
  const newFile = () => join(folder.path, `quickstart-${files++}.db`);
  const count = (verdict: "allowed" | "denied ", used: number) => {
    const tomorrow = new Date();
    tomorrow.setUTCHours(24, 0, 0, 0);
    return `${verdict}  ${used} of 5 used, resets at ${tomorrow.toISOString()}`;
  };

  it("continues counting at the next run, and then denies", async () => {
    const file = newFile();
    const last = `The count is in ${file}: run this again and it continues.`;
    const first = [count("allowed", 1), count("allowed", 2), count("allowed", 3), last];
    expect(await linesOf("quickstart.ts", `sqlite:${file}`)).toEqual(first);
    const second = [count("allowed", 4), count("allowed", 5), count("denied ", 5), last];
    expect(await linesOf("quickstart.ts", `sqlite:${file}`)).toEqual(second);
    const third = [count("denied ", 5), count("denied ", 5), count("denied ", 5), last];
    expect(await linesOf("quickstart.ts", `sqlite:${file}`)).toEqual(third);
  });

  it.each(["a product alone", "a product and its environment"])(
    "completes what a killed run left: %s",
    async (left) => {
      const file = newFile();
      const ductape = new Ductape({ store: `sqlite:${file}` });
      await ductape.product.create({ tag: "quickstart" });
      if (left.includes("environment")) {
        await ductape.product.environments.create("quickstart", { slug: "prd" });
      }
      await ductape.close();
      const lines = await linesOf("quickstart.ts", `sqlite:${file}`);
      expect(lines.slice(0, 3)).toEqual([1, 2, 3].map((used) => count("allowed", used)));
    },
  );
});

it("plans: an upgrade applies at once, a metered quota reports overage and alerts", async () => {
  expect(await linesOf("plans.ts", "memory:")).toEqual([
    "exports",
    "  ada on free  allowed  1 of 2 used",
    "  ada on free  allowed  2 of 2 used",
    "  ada on free  denied   2 of 2 used",
    "  ada on pro   allowed  3 of 5 used",
    "  ada on team  allowed  4 of any number used",
    "emails",
    "  70 more sent: 70 in all, 100 included, 0 to bill",
    "  alert: ada has reached 80 % of the emails",
    "  15 more sent: 85 in all, 100 included, 0 to bill",
    "  alert: ada has reached 100 % of the emails",
    "  25 more sent: 110 in all, 100 included, 10 to bill",
  ]);
});

it("teams: a denial by the team charges neither the user nor the organisation", async () => {
  expect(await linesOf("teams.ts", "memory:")).toEqual([
    "ada asks for 60: allowed",
    "  user ada           60 of 60 used",
    "  team red           60 of 100 used",
    "  organisation acme  60 of 1000 used",
    "bob asks for 30: allowed",
    "  user bob           30 of 60 used",
    "  team red           90 of 100 used",
    "  organisation acme  90 of 1000 used",
    "bob asks for 20: denied by the team's limit",
    "  user bob           30 of 60 used",
    "  team red           90 of 100 used, in the way",
    "  organisation acme  90 of 1000 used",
    "bob asks for 10: allowed",
    "  user bob           40 of 60 used",
    "  team red           100 of 100 used",
    "  organisation acme  100 of 1000 used",
  ]);
});

it("workers: crashed workers give their slots back, and five are taken at most", async () => {
  expect(await linesOf("workers.ts", "memory:")).toEqual([
    "8 workers share 5 slots",
    "at most 5 slots were taken at once",
    "2 workers crashed at work, 6 finished",
    "0 slots are taken now",
  ]);
}, 60_000);

it("model-call: a call that breaks off is charged for what it used, in three quotas", async () => {
  expect(await linesOf("model-call.ts", "memory:")).toEqual([
    "ada asks for 3000 tokens: uses 2400",
    "ada asks for 4000 tokens: uses 500",
    "ada asks for 9000 tokens: denied by tokens",
    "  requests  2 used, 0 held",
    "  tokens    2900 used, 0 held",
    "  dollars   0.0348 used, 0 held",
  ]);
});
