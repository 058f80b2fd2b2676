import { DuctapeError, ValidationError, type Client, type CountersInput } from "ductape";
import { ask, canAsk, say } from "../print.js";

/**
 * Asks for confirmation of what cannot be undone, such as `delete quota calls`, and returns the
 * answer; after a no it prints that nothing was changed and sets exit code 1. Throws `VALIDATION`
 * if there is no terminal, and `ABORTED` on Ctrl-C or the end of the input.
 */
export async function mayDo(what: string): Promise<boolean> {
  if (!canAsk()) {
    const message = `is required to ${what}, because there is no terminal to ask on`;
    throw new ValidationError([{ path: "--yes", message }]);
  }
  const answer = await ask(`${what}? [y/N] `);
  if (/^y(es)?$/i.test(answer.trim())) return true;
  say("nothing was changed");
  process.exitCode = 1;
  return false;
}

/** What a deletion removes, in words; empty if the definition has no counters. */
export interface Goes {
  readonly text: string;
  /** Null: not known. */
  readonly counters: number | null;
}

/** How many counters are deleted with a definition. */
export async function whatGoes(
  { usage }: Pick<Client, "usage">,
  input: CountersInput,
): Promise<Goes> {
  try {
    const { counters, in_use } = await usage.counters(input);
    if (counters === 0) return { text: ", which has no counters", counters };
    return { text: ` with its ${counted(counters)}, ${in_use} of them in use`, counters };
  } catch (error) {
    // A key that may delete does not always have permission to read usage.
    if (!DuctapeError.is(error) || error.code !== "FORBIDDEN") throw error;
    return { text: " with its counters, which this key may not count", counters: null };
  }
}

/** `1 counter`, `2 counters`. */
export function counted(counters: number): string {
  return `${counters} counter${counters === 1 ? "" : "s"}`;
}
