// Runs the program as its users do, each command in a process of its own.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PROGRAM } from "../../ductape/test/built.js";
import { recordOf, temporaryFolder } from "./support.js";

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Where stores are made; remove it after the tests. */
export const folder = temporaryFolder();

let files = 0;
/** The URL of a file of its own. */
export const newStore = () => `sqlite:${join(folder.path, `${files++}.db`)}`;

/** The variables of a program, without those of this one's tests. */
export function environment(more: Readonly<Record<string, string>>) {
  const entries = Object.entries(process.env).filter(([name]) => !/^(DUCTAPE|VITEST)/.test(name));
  return { ...Object.fromEntries(entries), NO_COLOR: "1", ...more };
}

/** Runs the program to its end. */
export async function run(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const command = [PROGRAM, ...args];
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, command, {
      cwd: ROOT,
      env: environment(more),
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = recordOf({ ...Object(error) });
    return { code, stdout: String(stdout), stderr: String(stderr) };
  }
}

const children = new Set<ChildProcess>();

/** Ends every program that {@link launch} started. */
export function endAll(): void {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
}

/** Starts the program; `line` waits for the nth line of a stream. */
export function launch(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const command = [PROGRAM, ...args];
  const child = spawn(process.execPath, command, { cwd: ROOT, env: environment(more) });
  children.add(child);
  const text = { stdout: "", stderr: "" };
  const told: (() => void)[] = [];
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (piece: string) => {
      text[name] += piece;
      for (const look of told.splice(0)) look();
    });
  }
  const line = async (name: "stdout" | "stderr", n: number): Promise<string> => {
    for (;;) {
      const lines = text[name].split("\n");
      if (lines.length > n + 1) return lines[n] ?? "";
      await new Promise<void>((resolve) => told.push(resolve));
    }
  };
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return { child, text, line, ended };
}
