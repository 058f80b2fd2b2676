// Every command of the program, as people run it in a terminal and as scripts run it in a pipe.
import { execFile, execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Command } from "commander";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { ductapeProgram } from "../../src/commands/program.js";
import { environment, folder, newStore, ROOT } from "../command.js";

afterAll(folder.remove);

/** Begins a style on a terminal. */
const ESCAPE = "\u001B[";
const AT = "--env prd --product_tag shop --quota_tag calls";
const USER = "--subject userId=ada";
const SESSION = "--env prd --product_tag shop";

const FILE = join(folder.path, "ductape.yaml");
writeFileSync(
  FILE,
  `products:
  - tag: shop
    environments: [{ slug: prd }]
    quotas: [{ tag: calls, limit: 5, period: lifetime, scope: "$Session{userId}" }]
    sessions:
      - tag: login
        schema: { userId: u }
        selector: $Session{userId}
        expiry: 1
    caches: [{ tag: fast, expiry: 1000 }]
`,
);

/** A command line, its exit code, and what it must print. */
type Case = readonly [line: string, code: number, printed: RegExp, isTable?: "table"];

/** In an order in which each finds what it needs; `KEY` and `TOKEN` stand for what a store has. */
const CASES: readonly Case[] = [
  [`apply -f ${FILE} --dry-run`, 0, /would apply: 5 new/],
  [`apply -f ${FILE}`, 0, /applied: 5 new/],
  ["export", 0, /- tag: shop/],
  ["schema", 0, /"\$schema"/],
  ["doctor", 0, /all is well/, "table"],
  ["completion bash", 0, /_ductape/],
  ["product ls", 0, /shop +1 /, "table"],
  ["product get shop", 0, /"tag": "shop"/],
  ["env ls --product_tag shop", 0, /prd +1 /, "table"],
  ["env get prd --product_tag shop", 0, /"slug": "prd"/],
  ["quota ls --product_tag shop", 0, /calls +1 /, "table"],
  ["quota get calls --product_tag shop", 0, /"limit": 5/],
  ["quota get none --product_tag shop", 4, /none/],
  ["session ls --product_tag shop", 0, /login +1 /, "table"],
  ["session get login --product_tag shop", 0, /"tag": "login"/],
  ["cache ls --product_tag shop", 0, /fast +1 /, "table"],
  ["cache get fast --product_tag shop", 0, /"expiry": 1000/],
  [`quota run --action increment ${AT} ${USER}`, 0, /default +1 +5 +4/, "table"],
  [`quota increment ${AT} ${USER} --amount 3`, 0, /default +4 +5 +1/, "table"],
  [`quota increment ${AT} ${USER} --amount 3`, 3, /denied/, "table"],
  [`quota decrement ${AT} ${USER}`, 0, /default +3 +5 +2/, "table"],
  [`quota set ${AT} ${USER} --amount 2`, 0, /default +2 +5 +3/, "table"],
  [`quota grant ${AT} ${USER} --amount 10`, 0, /default +2 +15 +13/, "table"],
  [`quota check ${AT} ${USER}`, 0, /default +2 +15 +13/, "table"],
  [`quota check ${AT} ${USER} --json`, 0, /"used":2/],
  [`usage top ${AT}`, 0, /ada +2 +15 +13/, "table"],
  [`usage history ${AT} --subject ada`, 0, /never +2 +15 +13/, "table"],
  [`quota reset ${AT} ${USER}`, 0, /default +0 /, "table"],
  ["quota check --env prd", 2, /required option/],
  [`session start login ${SESSION} --data '{"userId":"ada"}'`, 0, /token +\S+/, "table"],
  [`session inspect login ${SESSION} --token TOKEN`, 0, /"?userId"?\W+ada/],
  ["key create --name ci --scope quota:check --product shop --env prd", 0, /dk_/],
  ["key ls", 0, /ci /, "table"],
  ["key revoke KEY", 0, /revoked/],
  ["cache delete fast --product_tag shop", 0, /deleted/],
  ["session delete login --product_tag shop", 0, /deleted/],
  ["quota delete calls --product_tag shop", 0, /deleted/],
  ["env delete prd --product_tag shop", 0, /deleted/],
  ["product delete shop", 0, /deleted/],
  ["serve --port 0", 0, /listening on http/],
];

/** All that can be called: `quota check`, not `quota`. */
function namesOf(command: Command, above: readonly string[] = []): string[] {
  return command.commands.flatMap((part) => {
    const path = [...above, part.name()];
    return part.commands.length === 0 ? [path.join(" ")] : namesOf(part, path);
  });
}

interface Told {
  readonly code: unknown;
  readonly out: string;
}

async function inShell(line: string, store: string, wrap: (line: string) => string): Promise<Told> {
  const main = `${process.execPath} --import tsx ${ROOT}packages/server/src/main.ts`;
  // A server goes on until it is told to stop, and then ends with 0.
  const until = line.startsWith("serve") ? "timeout --preserve-status 5 " : "";
  const { NO_COLOR: _, ...env } = environment({ DUCTAPE_STORE: store, TERM: "xterm" });
  const options = { cwd: ROOT, env: { ...env, CI: "" } };
  try {
    const command = ["-c", wrap(`${until}${main} ${line}`)];
    const { stdout, stderr } = await promisify(execFile)("bash", command, options);
    return { code: 0, out: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr }: Record<string, unknown> = { ...Object(error) };
    return { code, out: `${String(stdout)}${String(stderr)}` };
  }
}

/** The line with what only the store knows: a token that is good, and the id of a key. */
async function filled(line: string, store: string): Promise<string> {
  if (line.includes("TOKEN")) {
    await using ductape = new Ductape({ store });
    const target = { product: "shop", env: "prd", tag: "login", data: { userId: "ada" } };
    return line.replace("TOKEN", (await ductape.processor.sessions.start(target)).token);
  }
  if (!line.includes("KEY")) return line;
  const { out } = await inShell("key ls --json", store, (command) => `${command} | cat`);
  const { keys }: { readonly keys: readonly { readonly id: string }[] } = JSON.parse(out);
  return line.replace("KEY", keys[0]?.id ?? "");
}

const hasScript = (() => {
  try {
    execFileSync("script", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    console.warn("SKIPPED: commands in a terminal, as `script` is not installed");
    return false;
  }
})();
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

describe("the commands", () => {
  it("are all run below", () => {
    const run = CASES.map(([line]) => line);
    const missing = namesOf(ductapeProgram()).filter(
      (name) => !run.some((line) => line === name || line.startsWith(`${name} `)),
    );
    expect(missing).toEqual([]);
  });

  it("print without a style in a pipe, and end with their codes", async () => {
    const store = newStore();
    for (const [line, code, printed] of CASES) {
      const given = await filled(line, store);
      const told = await inShell(given, store, (all) => `set -o pipefail; ${all} 2>&1 | cat`);
      expect([given, told.code, told.out]).toEqual([given, code, expect.stringMatching(printed)]);
      expect(told.out).not.toContain(ESCAPE);
    }
  }, 600_000);

  it.runIf(hasScript)(
    "print tables with a style in a terminal, and end with their codes",
    async () => {
      const store = newStore();
      for (const [line, code, printed, isTable] of CASES) {
        const given = await filled(line, store);
        const told = await inShell(given, store, (all) => `script -qefc ${quoted(all)} /dev/null`);
        expect([given, told.code, told.out]).toEqual([given, code, expect.stringMatching(printed)]);
        if (isTable !== undefined) expect(told.out).toContain(`${ESCAPE}1m`);
      }
    },
    600_000,
  );
});
