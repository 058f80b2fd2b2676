// Runs the program as its users do, each command in a process of its own.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
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
  const command = ["--import", "tsx", join(ROOT, "packages/server/src/main.ts"), ...args];
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
