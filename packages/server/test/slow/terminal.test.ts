// Every command of the program, as people run it in a terminal and as scripts run it in a pipe.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { ductapeProgram } from "../../src/commands/program.js";
import { folder, newStore } from "../command.js";
import { ESCAPE, hasScript, inShell, inTerminal } from "./shell.js";

afterAll(folder.remove);

const AT = "--env prd --product shop --quota calls";
const USER = "--subject userId=ada";
const SESSION = "--env prd --product shop";

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
  ["product ls", 0, /shop +shop +1 /, "table"],
  ["product create second --name Second", 0, /created product second/],
  ["product update second --name Two", 0, /updated product second, now at revision 2/],
  ["product delete second --yes", 0, /deleted product second/],
  ["product get shop", 0, /"tag": "shop"/],
  ["env ls --product shop", 0, /prd +prd +yes +1 /, "table"],
  ["env create dev --product shop", 0, /created env dev/],
  ["env update dev --product shop --active false", 0, /updated env dev/],
  ["env get prd --product shop", 0, /"slug": "prd"/],
  ["quota ls --product shop", 0, /calls +default +5 +lifetime +\$Session\{userId\} +1 /, "table"],
  [
    `quota create more --product shop --limit 7 --period day --scope '$Session{userId}'`,
    0,
    /created/,
  ],
  ["quota update more --product_tag=shop --time_zone Europe/Paris", 0, /at revision 2/],
  ["quota update more --product shop --limit many", 2, /limit: .*got "many"/],
  ["quota create more --product shop --limit 7 --period day", 5, /already/],
  ["quota get calls --product shop", 0, /"limit": 5/],
  ["quota get none --product shop", 4, /none/],
  ["session ls --product shop", 0, /login +login +\$Session\{userId\} +1 hours +1 /, "table"],
  [
    `session create b --product shop --schema '{"id":"u"}' --selector '$Session{id}' --expiry 2`,
    0,
    /created/,
  ],
  ["session update b --product shop --period days", 0, /updated session b/],
  ["session get login --product shop", 0, /"tag": "login"/],
  ["cache ls --product shop", 0, /fast +fast +1000 +1 /, "table"],
  ["cache create slow --product shop --expiry 5000", 0, /created cache slow/],
  ["cache update slow --product shop --expiry 6000", 0, /updated cache slow/],
  ["cache get fast --product shop", 0, /"expiry": 1000/],
  [`quota run --action increment ${AT} ${USER}`, 0, /default +1 +5 +4/, "table"],
  [`quota increment ${AT} ${USER} --amount 3`, 0, /default +4 +5 +1/, "table"],
  [
    `quota increment ${AT} ${USER} --amount 3`,
    3,
    /denied 3 for ada, waiting does not help: 4 of 5 used/,
    "table",
  ],
  [
    `quota decrement ${AT} ${USER}`,
    0,
    /took 1 .*from ada: 3 of 5 used[^]*default +3 +5 +2/,
    "table",
  ],
  [`quota set ${AT} ${USER} --amount 2`, 0, /default +2 +5 +3/, "table"],
  [
    `quota grant ${AT} ${USER} --amount 10`,
    0,
    /granted 10 to ada, for good: 2 of 15 used[^]*default +2 +15 +13/,
    "table",
  ],
  [
    `quota check ${AT} ${USER}`,
    0,
    /would admit 1 for ada: 2 of 15 used[^]*default +2 +15 +13/,
    "table",
  ],
  [`quota check ${AT} ${USER} --json`, 0, /"used":2/],
  [`usage top ${AT}`, 0, /ada +2 +15 +13/, "table"],
  [`usage subjects ${AT}`, 0, /ada +2 +15 +13 +never/, "table"],
  [`usage subjects ${AT} --csv`, 0, /subject,used,limit[^]*ada,2,15,13,/],
  [`usage history ${AT} --subject ada`, 0, /never +2 +15 +13/, "table"],
  [`usage history ${AT} --subject userId=ada`, 0, /never +2 +15 +13/, "table"],
  [`usage history ${AT} --subject adda`, 4, /there is no counter for adda/],
  [`quota reset ${AT} ${USER}`, 0, /default +0 /, "table"],
  [
    `quota reserve ${AT} ${USER} --amount 3 --reservation job`,
    0,
    /set 3 aside for ada as hold job [^]*default +0 +3 +15 +12/,
    "table",
  ],
  [`holds ls ${AT}`, 0, /job +calls +ada +3 /, "table"],
  [`quota extend ${AT} --reservation job --ttl-ms 60000`, 0, /keeps 3 aside for ada/, "table"],
  [
    `quota commit ${AT} ${USER} --reservation job --amount 1`,
    0,
    /counted 1 of hold job for ada: 1 of 15 used/,
    "table",
  ],
  [`quota commit ${AT} --reservation none`, 4, /has no hold "none" of this subject/],
  [`quota reserve ${AT} ${USER} --reservation two`, 0, /set 1 aside/, "table"],
  [`quota release ${AT} --reservation two`, 0, /released 1 of hold two for ada/, "table"],
  [`quota reserve ${AT} ${USER} --reservation three`, 0, /set 1 aside/, "table"],
  [`holds release three ${AT} --reason stuck`, 0, /released 1 of hold three/],
  ["feature create sum --product shop --name Sum", 0, /created feature sum/],
  ["feature update sum --product shop --name Total", 0, /updated feature sum/],
  ["feature ls --product shop", 0, /sum +Total +2 /, "table"],
  ["feature get sum --product shop", 0, /"tag": "sum"/],
  [
    `feature run sum ${SESSION} ${USER}`,
    4,
    /feature "sum" has no handler in this process and none at a URL/,
  ],
  ["feature delete sum --product shop --yes", 0, /deleted feature sum/],
  [
    "quota check --env prd",
    2,
    /needs --product <tag>, --quota <tag>[^]*Usage: ductape quota check/,
  ],
  [`session start login ${SESSION} --data '{"userId":"ada"}'`, 0, /refresh_token +\S+/, "table"],
  [`session inspect login ${SESSION} --token TOKEN`, 0, /"?userId"?\W+ada/],
  ["key create --name ci --scope quota:check --product shop --env prd", 0, /dk_/],
  ["key ls", 0, /ci /, "table"],
  ["key revoke KEY --yes", 0, /revoked/],
  ["cache delete fast --product shop --yes", 0, /deleted/],
  ["session delete login --product shop --yes", 0, /deleted/],
  ["quota delete calls --product shop --yes", 0, /deleted/],
  ["env delete prd --product shop --yes", 0, /deleted/],
  ["product delete shop --yes", 0, /deleted/],
  ["serve --port 0", 0, /listening on http/],
];

/** All that can be called: `quota check`, not `quota`. */
function namesOf(command: Command, above: readonly string[] = []): string[] {
  return command.commands.flatMap((part) => {
    const path = [...above, part.name()];
    return part.commands.length === 0 ? [path.join(" ")] : namesOf(part, path);
  });
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
        const told = await inShell(given, store, inTerminal);
        expect([given, told.code, told.out]).toEqual([given, code, expect.stringMatching(printed)]);
        if (isTable !== undefined) expect(told.out).toContain(`${ESCAPE}1m`);
      }
    },
    600_000,
  );
});
