import { Command } from "commander";
import type { Client, DeleteOptions } from "ductape";
import { printLine, printLines, printTable, say } from "../print.js";
import { withClient, withClientFlags, type ClientFlags, type PrintFlags } from "./client.js";

/** What a list shows of a definition. */
export interface Listed {
  readonly revision: number;
  readonly updated_at: string;
}

/** A kind of definition, as the commands see it. */
export interface Kind<V extends Listed> {
  /** The command: `quota`. */
  readonly name: string;
  /** What it is called by: `tag`, or `slug`. */
  readonly id: string;
  readonly description: string;
  idOf(view: V): string;
  /** The calls of the kind in a product; products have none, and get "". */
  of(client: Client, product: string): Calls<V>;
  readonly isProduct?: boolean;
}

interface Calls<V> {
  fetchAll(): Promise<V[]>;
  fetch(id: string): Promise<V>;
  remove(id: string, options: DeleteOptions): Promise<void>;
}

interface Flags extends ClientFlags, PrintFlags {
  readonly product_tag?: string;
  readonly force?: boolean;
}

/** `ductape quota ls|get|delete`, and the same of each kind. */
export function definitionCommand<V extends Listed>(kind: Kind<V>): Command {
  const { name, id } = kind;
  const command = new Command(name).description(kind.description);
  const part = (usage: string, description: string): Command => {
    const made = withClientFlags(command.command(usage).description(description));
    return kind.isProduct === true
      ? made
      : made.requiredOption("--product_tag <tag>", "tag of a product");
  };
  part("ls", "list all").action((flags: Flags) => list(kind, flags));
  part("get", "print one as JSON")
    .argument(`<${id}>`, `its ${id}`)
    .action((which: string, flags: Flags) => get(kind, which, flags));
  part("delete", "delete one, with all that it holds")
    .argument(`<${id}>`, `its ${id}`)
    .option("--force", "although counters are in use")
    .action((which: string, flags: Flags) => remove(kind, which, flags));
  return command;
}

async function list<V extends Listed>(kind: Kind<V>, flags: Flags): Promise<void> {
  const { product_tag = "" } = flags;
  const views = await withClient(flags, (client) => kind.of(client, product_tag).fetchAll());
  if (flags.json === true) return printLine(JSON.stringify(views));
  printTable(
    [kind.id.toUpperCase(), "REVISION", "UPDATED"],
    views.map((view) => [kind.idOf(view), String(view.revision), view.updated_at]),
  );
}

async function get<V extends Listed>(kind: Kind<V>, id: string, flags: Flags): Promise<void> {
  const { product_tag = "", json } = flags;
  const view = await withClient(flags, (client) => kind.of(client, product_tag).fetch(id));
  printLines(json === true ? JSON.stringify(view) : JSON.stringify(view, null, 2));
}

async function remove<V extends Listed>(kind: Kind<V>, id: string, flags: Flags): Promise<void> {
  const { product_tag = "", force, json } = flags;
  await withClient(flags, (client) => kind.of(client, product_tag).remove(id, { force }));
  if (json === true) printLine(JSON.stringify({ deleted: id }));
  else say(`deleted ${kind.name} ${id}`);
}
