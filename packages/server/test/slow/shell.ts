// Runs command lines of the program as people do: in a terminal, or in a pipe of a shell.
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { PROGRAM } from "../../../ductape/test/built.js";
import { environment, ROOT } from "../command.js";

/** Begins a style on a terminal. */
export const ESCAPE = "\u001B[";

/** What a command line printed, and its exit code. */
export interface Told {
  readonly code: unknown;
  readonly out: string;
}

/** Runs a command line on a store, within what `wrap` makes of it. */
export async function inShell(
  line: string,
  store: string,
  wrap: (line: string) => string,
): Promise<Told> {
  const main = `${process.execPath} ${PROGRAM}`;
  // A server runs until it is stopped, and then exits with 0.
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

/** Whether there is a terminal to be had. */
export const hasScript = (() => {
  try {
    execFileSync("script", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    console.warn("SKIPPED: commands in a terminal, as `script` is not installed");
    return false;
  }
})();
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The line in a terminal of its own. */
export const inTerminal = (line: string): string => `script -qefc ${quoted(line)} /dev/null`;

/**
 * As {@link inTerminal}, where somebody types, again each second: what is typed before the program
 * listens may be lost.
 */
export const typing =
  (keys: string, firstS = 1) =>
  (line: string): string =>
    `(sleep ${firstS}; for i in $(seq 30); do printf ${quoted(keys)}; sleep 1; done) | ` +
    inTerminal(line);
