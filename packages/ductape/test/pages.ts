// What the pages give to run, and what they say it prints.

/** A fenced block. `file` is the name that the line above gives it, as in "`access.csv`:". */
export interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
  readonly file: string | null;
}

/** Something a reader runs, and what the page says it prints; null: it says nothing. */
interface Snippet {
  readonly line: number;
  readonly text: string;
  output: string | null;
}

/** What of a page is run as one: several snippets, or a script of npm, which is one. */
export interface Run {
  readonly kind: "ts" | "sh" | "python" | "script";
  readonly snippets: Snippet[];
}

/** Printed between the snippets of a run, to tell their outputs apart. */
const MARK = "\u0001";
const PRINT_MARK = {
  ts: `console.log("\\u0001");`,
  sh: `printf '\\001\\n'`,
  python: `print("\\x01")`,
  script: "",
} as const;

/** The fenced blocks of a page. */
export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map((found) => {
    const [, language = "", text = ""] = found;
    const before = markdown.slice(0, found.index);
    const file = /^`([\w.-]+)`:\n\n?$/m.exec(before.slice(-200))?.[1] ?? null;
    return { language, text, line: before.split("\n").length, file };
  });
}

/**
 * What a page gives to run. A snippet that imports begins a program, one that does not goes on
 * with it; the lines for a shell are one session; `text` is what the block above it prints.
 */
export function runsOf(blocks: readonly Block[]): Run[] {
  const runs: Run[] = [];
  let last: Snippet | null = null;
  for (const { language, text, line, file } of blocks) {
    if (file !== null) continue;
    const snippet: Snippet = { line, text, output: null };
    const kind = kindOf(language, text);
    if (kind !== null) {
      const before = beginsRun(kind, text) ? undefined : runs.findLast((run) => run.kind === kind);
      if (before === undefined) runs.push({ kind, snippets: [snippet] });
      else before.snippets.push(snippet);
    } else if (language === "text" && last !== null) last.output = text;
    else throw new Error(`line ${line}: a block of "${language}" that nothing prints or reads`);
    last = kind === null ? null : snippet;
  }
  return runs;
}

function kindOf(language: string, text: string): Run["kind"] | null {
  if (language === "sh") return /^np[mx] /.test(text) ? "script" : "sh";
  return language === "ts" || language === "python" ? language : null;
}

const beginsRun = (kind: Run["kind"], text: string): boolean =>
  kind === "script" || (kind !== "sh" && /^(import|from) /m.test(text));

/** The program of a run, which prints a mark between its snippets. */
export function sourceOf({ kind, snippets }: Run): string {
  const start = kind === "sh" ? "set -euo pipefail; exec 2>&1\n" : "";
  return start + snippets.map(({ text }) => text).join(`\n${PRINT_MARK[kind]}\n`);
}

/** What each snippet of a run prints otherwise than the page says. */
export function differencesIn({ kind, snippets }: Run, out: string): string[] {
  const printed = out.split(`${MARK}\n`);
  return snippets.flatMap(({ line, output }, at) => {
    const [told, wanted] = [(printed[at] ?? "").trimEnd(), (output ?? "").trimEnd()];
    const isRight = kind === "ts" || kind === "script" ? told === wanted : fits(told, wanted);
    return isRight ? [] : [`line ${line} prints:\n${told}\nthe page says:\n${wanted}`];
  });
}

/** What programs without a clock of their own print: `...` stands for what no page can know. */
function fits(told: string, wanted: string): boolean {
  const parts = wanted.split("...").map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(told);
}
