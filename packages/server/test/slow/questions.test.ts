// What cannot be undone is asked about in a terminal, and what others made is shown there escaped.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Ductape, EmbeddedDuctape } from "ductape";
import { folder, newStore } from "../command.js";
import { ESCAPE, hasScript, inShell, inTerminal, typing } from "./shell.js";

afterAll(folder.remove);

const SCOPE = "$Session{userId}";
const AT = { env: "prd", product_tag: "shop" } as const;
const FLAGS = "--env prd --product shop";
const [CTRL_C, CTRL_D] = ["\\003", "\\004"];

/** A store with counters of two users, of several rules, and of a whole product. */
async function filled(): Promise<string> {
  const store = newStore();
  await using ductape = new Ductape({ store });
  const { product, processor } = ductape;
  await product.create({ tag: "shop" });
  await product.environments.create("shop", { slug: "prd" });
  const rule = { limit: 9, period: "lifetime" } as const;
  await product.quotas.create("shop", { tag: "user", ...rule, scope: SCOPE });
  await product.quotas.create("shop", { tag: "all", ...rule });
  const rules = [
    { name: "own", ...rule, scope: SCOPE },
    { name: "sum", ...rule },
  ];
  await product.quotas.create("shop", { tag: "several", rules });
  for (const [quota_tag, subject] of [
    ["user", "ada"],
    ["user", "bob"],
    ["several", "ada"],
  ] as const) {
    await processor.quota.run({ ...AT, quota_tag, subject, action: "increment", amount: 3 });
  }
  await processor.quota.run({ ...AT, quota_tag: "all", action: "increment", amount: 4 });
  return store;
}

/** Before the program asks, Ctrl-C ends it like any other. */
function wrapOf(keys: string): (line: string) => string {
  return keys === "" ? inTerminal : typing(keys, keys === CTRL_C ? 5 : 1);
}

describe.runIf(hasScript)("a question in a terminal", () => {
  let store = "";
  beforeAll(async () => {
    store = await filled();
  });

  // In an order in which each finds what it needs.
  it.each([
    [
      "quota delete user --product shop",
      "n\\n",
      1,
      /delete quota user with its 2 counters, 2 of them in use\? \[y\/N\][^]*nothing was changed/,
    ],
    ["quota delete user --product shop", CTRL_C, 130, /interrupted; nothing was changed|^\^C/],
    ["quota delete user --product shop", CTRL_D, 130, /interrupted; nothing was changed/],
    ["quota get user --product shop", "", 0, /"tag": "user"/],
    ["quota delete user --product shop", "y\\n", 0, /deleted quota user and 2 counters/],
    ["quota get user --product shop", "", 4, /no quota/],
    ["quota delete user --product shop", "y\\n", 4, /no quota/],
    [
      `quota reset ${FLAGS} --quota all`,
      "n\\n",
      1,
      /reset 1 counter of quota all \(rule default: 4 used by the whole product\)\?/,
    ],
    [`quota check ${FLAGS} --quota all`, "", 0, /would admit 1 for the whole product: 4 of 9 used/],
    [`quota reset ${FLAGS} --quota all`, "yes\\n", 0, /reset the whole product from 4 to 0/],
    [
      `quota reset ${FLAGS} --quota several --subject ada --rule '*'`,
      "n\\n",
      1,
      /reset 2 counters .*own: 3 used by ada; rule sum: 3 used by the whole product\)\?/,
    ],
    [`quota reset ${FLAGS} --quota several --subject ada --rule own`, "", 0, /from 3 to 0/],
    [`quota reset ${FLAGS} --quota several --subject ada --rule '*' --yes`, "", 0, /default|sum/],
    [`quota run --action reset ${FLAGS} --quota all`, "n\\n", 1, /reset 1 counter/],
    ["env delete prd --product shop", "n\\n", 1, /delete env prd with its \d counters, 0 of them/],
    [`quota increment ${FLAGS} --quota all`, "", 0, /admitted/],
    ["product delete shop", "y\\n", 0, /deleted product shop and \d counters/],
  ])("%s, answered %j, ends with %i", async (line, keys, code, printed) => {
    const told = await inShell(line, store, wrapOf(keys));
    expect([told.code, told.out]).toEqual([code, expect.stringMatching(printed)]);
  });

  it("is asked before a key is revoked", async () => {
    await using ductape = new EmbeddedDuctape({ store });
    const made = "key create --name ci --scope quota:check --product shop --env prd --json";
    const { out } = await inShell(made, store, inTerminal);
    const id = /"id":"(\w+)"/.exec(out)?.[1] ?? "";
    const no = await inShell(`key revoke ${id}`, store, typing("n\\n"));
    expect([no.code, no.out]).toEqual([1, expect.stringContaining(`revoke key ${id} of ci`)]);
    const yes = await inShell(`key revoke ${id}`, store, typing("y\\n"));
    expect([yes.code, yes.out]).toEqual([0, expect.stringContaining(`revoked ${id}`)]);
    expect(ductape.guarantees.durable).toBe(true);
  });

  it.each([
    "product delete shop",
    "env delete prd --product shop",
    "quota delete all --product shop",
    `quota reset ${FLAGS} --quota all`,
  ])("is never asked in a pipe, where %s needs --yes", async (line) => {
    const told = await inShell(line, await filled(), (all) => `echo y | ${all} 2>&1`);
    expect([told.code, told.out]).toEqual([2, expect.stringContaining("--yes: is required to")]);
  });
});

describe.runIf(hasScript)("what others made", () => {
  const EVIL = "\u001B[2Jada\u0007\nroot  0\u009B1A\u202E\u200B";
  const SHOWN = "\\u001b[2Jada\\u0007\\nroot  0\\u009b1A\\u202e\\u200b";
  let store = "";
  beforeAll(async () => {
    store = newStore();
    await using ductape = new Ductape({ store });
    const { product, processor } = ductape;
    await product.create({ tag: "shop", name: EVIL, description: EVIL });
    await product.environments.create("shop", { slug: "prd", env_name: EVIL });
    const rules = [{ name: EVIL, limit: 9, period: "lifetime", scope: SCOPE }] as const;
    await product.quotas.create("shop", { tag: EVIL, name: EVIL, rules });
    const login = { schema: { userId: EVIL }, selector: SCOPE, expiry: 1 } as const;
    await product.sessions.create("shop", { tag: "login", name: EVIL, ...login });
    await product.caches.create("shop", { tag: EVIL, expiry: 1 });
    const call = { ...AT, quota_tag: EVIL, subject: EVIL, action: "increment" } as const;
    await processor.quota.run(call);
  });

  const evil = "\\033[2Jada\\007\\nroot  0\\302\\2331A\\342\\200\\256\\342\\200\\213";
  const quota = `${FLAGS} --quota "$(printf '${evil}')"`;
  const subject = quota.replace(/^.*--quota/, "--subject");
  it.each([
    ["product ls", true],
    ["product get shop", false],
    ["env ls --product shop", true],
    ["quota ls --product shop", true],
    ["session ls --product shop", true],
    ["cache ls --product shop", true],
    ["export", false],
    [`quota check ${quota} ${subject}`, true],
    [`quota check ${quota} ${subject} --json`, false],
    [`usage top ${quota}`, true],
    [`usage top ${quota} --json`, false],
    [`usage history ${quota} ${subject}`, false],
    [`usage history ${quota} --subject "$(printf '\\033[2J')x"`, false],
    [`quota get "$(printf '\\033[2J\\nx')" --product shop`, false],
    [`quota delete "$(printf '\\033[2J\\nx')" --product shop`, false],
    [`nothing"$(printf '\\033[2J\\nx')"`, false],
  ])("%s shows without obeying it", async (line, isTold) => {
    const { out } = await inShell(line, store, inTerminal);
    // All that is left of ESC are the styles of the program itself.
    const styles = ["1", "22", "31", "32", "33", "39"].map((style) => `${ESCAPE}${style}m`);
    const unstyled = styles.reduce((text, style) => text.replaceAll(style, ""), out);
    const plain = unstyled.replaceAll("\r\n", "\n");
    expect(plain.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(plain).not.toMatch(/^root/m);
    expect(out).not.toContain(`${ESCAPE}2J`);
    if (isTold) expect(plain).toContain(SHOWN.slice(0, 20));
  });
});
