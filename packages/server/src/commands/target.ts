import type { Command } from "commander";
import { ValidationError } from "ductape";
import { withPlaceFlags, type ClientFlags, type PrintFlags } from "./client.js";

/** Selects the counters of a usage command. */
export interface Target extends ClientFlags, PrintFlags {
  readonly env: string;
  readonly product: string;
  readonly quota: string;
  readonly rule?: string;
}

/** Adds the flags of a {@link Target}. */
export function withTarget(command: Command): Command {
  return withPlaceFlags(command)
    .requiredOption("--quota <tag>", "tag of a quota")
    .option("--rule <name>", "which of several rules");
}

/** A {@link Target} in the library's terms. */
export function targetOf({ env, product, quota, rule }: Target) {
  return { env, product_tag: product, quota_tag: quota, rule };
}

/** The count that `--limit` gives. Throws `VALIDATION` for another text. */
export function countOf(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  const message = `expects a count from 1 to 1000, got "${text}"`;
  throw new ValidationError([{ path: "--limit", message }]);
}
