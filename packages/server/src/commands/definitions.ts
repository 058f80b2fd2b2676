import type { Command } from "commander";
import {
  DuctapeError,
  type Client,
  type OutagePolicy,
  type CountersInput,
  type DeleteOptions,
} from "ductape";
import { VERBS, type Verb } from "ductape/calls";
import type { z } from "zod";
import { printLine, printLines, printTable, say } from "../print.js";
import { checkWire } from "../wire.js";
import {
  withClient,
  withClientFlags,
  withProductFlag,
  withYesFlag,
  type ClientFlags,
  type PrintFlags,
} from "./client.js";
import { counted, mayDo, whatGoes, type Goes } from "./confirm.js";
import { fieldsOf, hinted, withFieldFlags } from "./fields.js";

/** The columns that a list shows for every kind of definition. */
export interface Listed {
  readonly revision: number;
  readonly updated_at: string;
}

/** A kind of definition, as far as the commands need it. */
interface Kind<I extends z.ZodObject, P extends z.ZodObject, V extends Listed> {
  /** The command: `quota`. */
  readonly name: string;
  /** The field that names it: `tag`, or `slug`. */
  readonly id: "tag" | "slug";
  readonly description: string;
  readonly input: I;
  readonly patch: P;
  /** The headings of a list. */
  readonly heads: readonly string[];
  /** The rows of one definition in a list, under those headings. */
  rowsOf(view: V): readonly (readonly string[])[];
  /** The calls of the kind in a product; for products themselves `product` is "". */
  of(client: Client<OutagePolicy>, product: string): Calls<z.input<I>, z.input<P>, V>;
  /** The counters that are deleted with one; null for a kind without counters. */
  countersOf(product: string, id: string): CountersInput | null;
  readonly isProduct?: boolean;
  /** An example of what follows `ductape quota create`, for its help. */
  readonly example: string;
}

interface Calls<Input, Patch, V> {
  create(input: Input): Promise<V>;
  update(id: string, patch: Patch): Promise<V>;
  fetchAll(): Promise<V[]>;
  fetch(id: string): Promise<V>;
  remove(id: string, options: DeleteOptions): Promise<void>;
}

interface Flags extends ClientFlags, PrintFlags {
  readonly product?: string;
  readonly force?: boolean;
  readonly yes?: boolean;
  readonly unset?: readonly string[];
}

/** `ductape quota ls|get|create|update|delete`, and the same for each kind. */
export function addDefinitions<I extends z.ZodObject, P extends z.ZodObject, V extends Listed>(
  command: Command,
  kind: Kind<I, P, V>,
): void {
  const { name, id, input, patch } = kind;
  command.description(kind.description);
  const part = (verb: Verb, description: string): Command => {
    const made = command.command(VERBS[verb].command).description(description);
    if (verb !== "fetchAll") made.argument(`<${id}>`, `its ${id}`);
    return withClientFlags(kind.isProduct === true ? made : withProductFlag(made));
  };
  part("fetchAll", "list all").action((flags: Flags) => list(kind, flags));
  part("fetch", "print one as JSON").action((which: string, flags: Flags) =>
    get(kind, which, flags),
  );
  withFieldFlags(part("create", "create one; fields left out get their defaults"), input, id)
    .addHelpText("after", `\nFor example: ductape ${name} create ${kind.example}`)
    .action((which: string, flags: Flags) => create(kind, which, flags));
  withFieldFlags(part("update", "change one; fields left out stay unchanged"), patch, id)
    .option("--unset <field...>", "restore the defaults of these fields")
    .action((which: string, flags: Flags) => update(kind, which, flags));
  withYesFlag(part("delete", "delete one and everything in it"))
    .option("--force", "even if counters are in use")
    .action((which: string, flags: Flags) => remove(kind, which, flags));
}

async function list<I extends z.ZodObject, P extends z.ZodObject, V extends Listed>(
  kind: Kind<I, P, V>,
  flags: Flags,
): Promise<void> {
  const { product = "" } = flags;
  const views = await withClient(flags, (client) => kind.of(client, product).fetchAll());
  if (flags.json === true) return printLine(JSON.stringify(views));
  printTable(
    [...kind.heads, "REVISION", "UPDATED"],
    views.flatMap((view) =>
      kind.rowsOf(view).map((row) => [...row, String(view.revision), view.updated_at]),
    ),
  );
}

async function get<I extends z.ZodObject, P extends z.ZodObject, V extends Listed>(
  kind: Kind<I, P, V>,
  id: string,
  flags: Flags,
): Promise<void> {
  const { product = "", json } = flags;
  const view = await withClient(flags, (client) => kind.of(client, product).fetch(id));
  printLines(json === true ? JSON.stringify(view) : JSON.stringify(view, null, 2));
}

async function create<I extends z.ZodObject, P extends z.ZodObject, V extends Listed>(
  kind: Kind<I, P, V>,
  id: string,
  flags: Flags,
): Promise<void> {
  const { product = "", json } = flags;
  const input: unknown = { [kind.id]: id, ...fieldsOf({ ...flags }, kind.input) };
  const { input: schema } = kind;
  const view = await hinted(kind.name, input, async () => {
    checkWire(schema, input, kind.name);
    return withClient(flags, (client) => kind.of(client, product).create(input));
  });
  if (json === true) printLine(JSON.stringify(view));
  else say(`created ${kind.name} ${id}`);
}

async function update<I extends z.ZodObject, P extends z.ZodObject, V extends Listed>(
  kind: Kind<I, P, V>,
  id: string,
  flags: Flags,
): Promise<void> {
  const { product = "", json, unset = [] } = flags;
  const reset = unset.map((name) => [name.replaceAll("-", "_"), null] as const);
  const patch: unknown = { ...fieldsOf({ ...flags }, kind.patch), ...Object.fromEntries(reset) };
  const { patch: schema } = kind;
  const view = await hinted(kind.name, patch, async () => {
    checkWire(schema, patch, kind.name);
    return withClient(flags, (client) => kind.of(client, product).update(id, patch));
  });
  if (json === true) printLine(JSON.stringify(view));
  else say(`updated ${kind.name} ${id}, now at revision ${view.revision}`);
}

async function remove<I extends z.ZodObject, P extends z.ZodObject, V extends Listed>(
  kind: Kind<I, P, V>,
  id: string,
  flags: Flags,
): Promise<void> {
  const { product = "", force, yes, json } = flags;
  await withClient(flags, async (client) => {
    const calls = kind.of(client, product);
    const goes = await goesWith(kind, client, product, id);
    // Somebody who has seen what is in use and says yes, intends the deletion.
    if (yes !== true && !(await mayDo(`delete ${kind.name} ${id}${goes.text}`))) return;
    await calls.remove(id, { force: force ?? yes !== true });
    const { counters } = goes;
    if (json === true) return printLine(JSON.stringify({ deleted: id, counters }));
    const also = counters === null || counters === 0 ? "" : ` and ${counted(counters)}`;
    say(`deleted ${kind.name} ${id}${also}`);
  });
}

/**
 * What is deleted with a definition. Throws `*_NOT_FOUND`; even an unreadable one can be deleted.
 */
async function goesWith<I extends z.ZodObject, P extends z.ZodObject, V extends Listed>(
  kind: Kind<I, P, V>,
  client: Client<OutagePolicy>,
  product: string,
  id: string,
): Promise<Goes> {
  const counters = kind.countersOf(product, id);
  if (counters !== null) return whatGoes(client, counters);
  try {
    await kind.of(client, product).fetch(id);
  } catch (error) {
    if (!DuctapeError.is(error) || error.code !== "VALIDATION") throw error;
  }
  return { text: "", counters: 0 };
}
