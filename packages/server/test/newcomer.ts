// Plays what a newcomer does: the commands of the README and the first ones of the guides, in a
// fresh clone and in an empty project, without a step by hand. Prints each answer and what is wrong
// with it; ends with 1 where anything is. Run by .ci/run: npx tsx packages/server/test/newcomer.ts
import { execFileSync, spawn, type SpawnOptions } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const home = mkdtempSync(join(tmpdir(), "ductape-newcomer-"));
const CLONE = join(home, "clone");
const PROJECT = join(home, "project");
/** Twice what is promised, as a machine may have other work. */
const FIRST_DECISION_S_MAX = 120;
/** A line that npm or the program warns by. */
const WARNING = /\bwarn\b/i;

/** What a command must do. */
interface Wanted {
  /** Its exit code. Default 0. */
  readonly code?: number;
  /** What its output must match. */
  readonly shows?: readonly RegExp[];
  /** What its output must not match. */
  readonly hides?: readonly RegExp[];
}

let played = 0;
let wrong = 0;

/** Runs a command line in a folder, prints its output, and compares it. Returns the output. */
async function play(folder: string, line: string, wanted: Wanted = {}): Promise<string> {
  const { code = 0, shows = [], hides = [] } = wanted;
  const startedMs = performance.now();
  const child = spawn("bash", ["-o", "pipefail", "-c", line], { ...QUIET, cwd: folder });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  const ended = await new Promise<number | null>((resolve) => child.on("close", resolve));
  judge(line, performance.now() - startedMs, output, [
    ...(ended === code ? [] : [`ended with ${ended}, not with ${code}`]),
    ...shows.filter((each) => !each.test(output)).map((each) => `does not show ${each}`),
    ...hides.filter((each) => each.test(output)).map((each) => `shows ${each}`),
  ]);
  return output;
}

function judge(title: string, tookMs: number, output: string, faults: readonly string[]): void {
  played++;
  if (faults.length > 0) wrong++;
  console.log(`\n${faults.length > 0 ? "FAIL" : "pass"}  $ ${title}  (${seconds(tookMs)} s)`);
  for (const fault of faults) console.log(`      !! ${fault}`);
  const lines = output.trimEnd().split("\n");
  const shown = faults.length > 0 ? lines : lines.slice(0, LINES_SHOWN_MAX);
  for (const each of shown) console.log(`      ${each}`);
  if (shown.length < lines.length) console.log(`      ... ${lines.length - shown.length} more`);
}

const LINES_SHOWN_MAX = 12;
const END_MS_MAX = 30_000;
const seconds = (ms: number): string => (ms / 1000).toFixed(1);

/** What a newcomer's shell has: no variable of this program's, and the program of the folder. */
const ENV: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(DUCTAPE|VITEST|NODE_OPTIONS|npm_)/.test(name),
    ),
  ),
  PATH: `./node_modules/.bin:${process.env["PATH"]}`,
  NO_COLOR: "1",
  DUCTAPE_PORT: "0",
};

/** Nobody is at a terminal. */
const QUIET = { env: ENV, stdio: ["ignore", "pipe", "pipe"] } satisfies SpawnOptions;

/** A program that runs on, such as a server, until a signal ends it. */
class Running {
  readonly #child;
  readonly #line;
  #output = "";

  constructor(folder: string, line: string) {
    this.#line = line;
    // A group of its own, as a terminal makes one: a signal reaches all of it.
    this.#child = spawn("bash", ["-c", `exec ${line}`], { ...QUIET, cwd: folder, detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    }
  }

  /** Resolves with the first line that matches; "" where none comes in time. */
  async line(wanted: RegExp, waitMs = 60_000): Promise<string> {
    const deadlineMs = performance.now() + waitMs;
    while (performance.now() < deadlineMs && this.#child.exitCode === null) {
      const found = this.#output
        .split("\n")
        .slice(0, -1)
        .find((each) => wanted.test(each));
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return "";
  }

  /** Ends it, and checks its exit and its output. */
  async end(signal: NodeJS.Signals, shows: readonly RegExp[]): Promise<void> {
    const closed = new Promise((resolve) =>
      this.#child.on("close", (code, by) => resolve(code ?? by)),
    );
    const { pid = 0 } = this.#child;
    process.kill(-pid, signal);
    const force = setTimeout(() => process.kill(-pid, "SIGKILL"), END_MS_MAX);
    const code = await closed;
    clearTimeout(force);
    judge(`${this.#line}, then ${signal}`, 0, this.#output, [
      // npm ends by the signal that its program has obeyed.
      ...(code === 0 || code === "SIGINT" ? [] : [`ended with ${String(code)}, not with 0`]),
      ...shows.filter((each) => !each.test(this.#output)).map((each) => `does not show ${each}`),
    ]);
  }
}

/** The nth block of a kind in a page of the clone. */
function blockOf(page: string, kind: string, n = 0): string {
  const text = readFileSync(join(CLONE, page), "utf8");
  const blocks = [...text.matchAll(new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\`$`, "gm"))];
  const block = blocks[n]?.[1];
  if (block === undefined) throw new Error(`${page} has no block ${n} of ${kind}`);
  return block;
}

async function install(): Promise<void> {
  execFileSync("git", ["clone", "--quiet", ROOT, CLONE]);
  await play(CLONE, "npm install", { hides: [WARNING] });
  await play(CLONE, "npm ls", { hides: [WARNING] });
  await play(CLONE, "npx ductape --help", { shows: [/^Usage: ductape/m] });
  await play(CLONE, "npx ductape quota increment", { code: 2, shows: [/needs .*--product/] });
}

/** The demo, started twice; and every example, on the same default file, twice. */
async function start(clonedMs: number): Promise<void> {
  let pasted = "";
  for (const round of [1, 2]) {
    const demo = new Running(CLONE, "npm start");
    const line = await demo.line(/^try: /);
    if (round === 1) {
      pasted = line.replace(/^try: +/, "");
      await play(CLONE, pasted, { shows: [/"allowed":true/, /"used":1,/] });
      const tookMs = performance.now() - clonedMs;
      const isLate = tookMs > FIRST_DECISION_S_MAX * 1000;
      const late = isLate ? [`more than ${FIRST_DECISION_S_MAX} s`] : [];
      judge("from the clone to the first decision", tookMs, "", late);
    } else {
      const port = /localhost:\d+|127\.0\.0\.1:\d+/.exec(line)?.[0] ?? "";
      const moved = pasted.replace(/127\.0\.0\.1:\d+/, port);
      await play(CLONE, moved, { shows: [/"allowed":true/, /"used":2,/] });
      await play(CLONE, `curl -s -i http://${port}/docs`, {
        shows: [/content-security-policy: default-src 'none'/i, /<title>/],
        hides: [/src="http/, /href="http/],
      });
      await play(CLONE, `curl -s -i http://${port}/`, { shows: [/^location: \/?docs/im] });
    }
    await demo.end("SIGINT", [/^URL: +http/m, /^key: +dk_demo_/m, /^try: +curl/m]);
    for (const example of ["quickstart", "plans", "teams"]) {
      await play(CLONE, `npx tsx examples/${example}.ts`, { hides: [/Error/] });
    }
  }
}

/** The first program of the README, with its output, and the first commands of guides. */
async function read(): Promise<void> {
  writeFileSync(join(CLONE, "examples/first.ts"), blockOf("README.md", "ts"));
  const output = await play(CLONE, "npx tsx examples/first.ts");
  const same = output === blockOf("README.md", "text");
  judge("examples/first.ts prints what the README says", 0, "", same ? [] : ["it does not"]);
  writeFileSync(join(CLONE, "ductape.yaml"), blockOf("docs/guides/configuration.md", "yaml"));
  await play(CLONE, "ductape apply --dry-run", { shows: [/would apply: 3 new/] });
  await play(CLONE, "ductape apply", { shows: [/applied: 3 new/] });
  await play(CLONE, "ductape doctor", { shows: [/all is well/] });
  const logs = blockOf("docs/guides/replay.md", "csv");
  writeFileSync(join(CLONE, "access.csv"), logs);
  await play(CLONE, blockOf("docs/guides/replay.md", "sh").trim(), { hides: [/^replay: /m] });
}

/** Stores that cannot be used. */
async function breakStores(): Promise<void> {
  await play(CLONE, "ductape serve --store sqlite:README.md", {
    code: 69,
    shows: [/not a SQLite database/],
    hides: [/listening/],
  });
  const server = new Running(CLONE, "ductape serve --store redis://127.0.0.1:9");
  await server.line(/listening on/);
  await server.end("SIGTERM", [/store cannot be used: .*ECONNREFUSED/, /listening on http/]);
}

/** The words of the command line, on the products that the guide has made. */
async function speak(): Promise<void> {
  const who = "--product yaml-shop --env prd --quota api-calls";
  await play(CLONE, "ductape quota ls --product yaml-shop", { shows: [/LIMIT +PERIOD +SCOPE/] });
  const count = `ductape quota increment ${who} --subject userId=ada plan=free --amount 3`;
  await play(CLONE, count, { shows: [/3 of 100/] });
  const give = `ductape quota decrement ${who} --subject ada --amount 25`;
  await play(CLONE, give, { hides: [/admitted/] });
  for (const subject of ["ada", "userId=ada"]) {
    const history = `ductape usage history ${who} --subject ${subject}`;
    await play(CLONE, history, { hides: [/there is no counter/] });
  }
  const nobody = `ductape usage history ${who} --subject nobody`;
  await play(CLONE, nobody, { code: 4, shows: [/there is no counter for nobody/] });
  await play(CLONE, "ductape quota delete api-calls --product yaml-shop", {
    code: 2,
    shows: [/--yes/, /counter/],
  });
  await play(CLONE, "ductape product update yaml-shop --name Renamed", { shows: [/updated/] });
  const second = "products: [{ tag: yaml-shop, environments: [{ slug: stage }] }]";
  await play(CLONE, `ductape apply -f <(echo '${second}')`, { shows: [/1 new, 0 changed/] });
  await play(CLONE, "ductape product get yaml-shop", { shows: [/"name": "Renamed"/] });
}

/** The packed files in an empty project. */
async function pack(): Promise<void> {
  const build = "npm run build && npm pack --workspace ductape --workspace ductape-server";
  await play(CLONE, build);
  await play(CLONE, "npx ductape --version", { shows: [/^\d+\.\d+\.\d+$/m] });
  mkdirSync(PROJECT);
  await play(PROJECT, "npm init --yes");
  await play(PROJECT, `npm install ${CLONE}/ductape-*.tgz`);
  await play(PROJECT, "npx ductape --help", { shows: [/^Usage: ductape/m] });
  writeFileSync(join(PROJECT, "shop.yaml"), SHOP);
  await play(PROJECT, "cat shop.yaml | ductape apply -f -", { shows: [/applied: 3 new/] });
  const ask = "ductape quota increment --product shop --env prd --quota calls";
  await play(PROJECT, ask, { shows: [/1 of 1/] });
  await play(PROJECT, ask, { code: 3, shows: [/denied/] });
  await play(PROJECT, "ductape serve --store postgres://127.0.0.1/none", {
    code: 69,
    shows: [/npm install pg/],
  });
  const server = new Running(PROJECT, "ductape serve");
  await server.line(/listening on/);
  await server.end("SIGTERM", [/listening on http/]);
  await play(PROJECT, `node -e 'new (require("ductape").Ductape)({ store: "memory:" })'`);
  writeFileSync(join(PROJECT, "first.mts"), TYPED);
  for (const moduleResolution of ["node16", "bundler"]) {
    const module = moduleResolution === "bundler" ? "es2022" : moduleResolution;
    const compilerOptions = { ...STRICT, module, moduleResolution };
    const config = { compilerOptions, files: ["first.mts"] };
    writeFileSync(join(PROJECT, "tsconfig.json"), JSON.stringify(config));
    await play(PROJECT, `${CLONE}/node_modules/.bin/tsc --project .`);
  }
}

const STRICT = {
  noEmit: true,
  strict: true,
  skipLibCheck: false,
  types: [],
  target: "es2022",
  lib: ["es2024", "esnext.disposable", "dom"],
};

const SHOP = `products:
  - tag: shop
    environments: [{ slug: prd }]
    quotas: [{ tag: calls, limit: 1, period: lifetime }]
`;

const TYPED = `import { Ductape } from "ductape";
const ductape = new Ductape({ store: "memory:" });
const input = { env: "prd", product_tag: "shop", quota_tag: "calls", action: "check" } as const;
const result = await ductape.processor.quota.run(input);
export const left: number | null = result.allowed ? result.remaining : 0;
`;

const clonedMs = performance.now();
try {
  await install();
  await start(clonedMs);
  await read();
  await breakStores();
  await speak();
  await pack();
} finally {
  rmSync(home, { recursive: true, force: true });
}
console.log(
  `\nnewcomer: ${played} played, ${wrong} wrong, ${seconds(performance.now() - clonedMs)} s`,
);
process.exitCode = wrong === 0 ? 0 : 1;
