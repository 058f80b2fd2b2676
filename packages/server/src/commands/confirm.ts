import { DuctapeError, ValidationError, type Client, type CountersInput } from "ductape";
import { ask, canAsk, say } from "../print.js";

/**
 * Asks whether to do what cannot be undone, such as `delete quota calls`. Returns whether to; after
 * a no the command has said so and ends with 1. Throws `VALIDATION` where nobody can be asked, and
 * `ABORTED` by Ctrl-C or the end of the input.
 */
export async function mayDo(what: string): Promise<boolean> {
  if (!canAsk()) {
    const message = `is required to ${what}, as there is no terminal to ask on`;
    throw new ValidationError([{ path: "--yes", message }]);
  }
  const answer = await ask(`${what}? [y/N] `);
  if (/^y(es)?$/i.test(answer.trim())) return true;
  say("nothing was changed");
  process.exitCode = 1;
  return false;
}

/** What a deletion takes away, in words; empty where nothing is counted by it. */
export interface Goes {
  readonly text: string;
  /** Null: not known. */
  readonly counters: number | null;
}

/** How many counters go with what is deleted. */
export async function whatGoes(
  { usage }: Pick<Client, "usage">,
  input: CountersInput,
): Promise<Goes> {
  try {
    const { counters, in_use } = await usage.counters(input);
    if (counters === 0) return { text: ", which has no counters", counters };
    return { text: ` with its ${counted(counters)}, ${in_use} of them in use`, counters };
  } catch (error) {
    // A key that may delete may not be one that may read usage.
    if (!DuctapeError.is(error) || error.code !== "FORBIDDEN") throw error;
    return { text: " with its counters, which this key may not count", counters: null };
  }
}

/** `1 counter`, `2 counters`. */
export function counted(counters: number): string {
  return `${counters} counter${counters === 1 ? "" : "s"}`;
}
