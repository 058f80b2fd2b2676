import type { Command } from "commander";
import { ValidationError } from "ductape";
import { Access, ALL } from "../access.js";
import { Keys } from "../keys.js";
import { printLine, printTable, say } from "../print.js";
import { KEY_INPUT } from "../schema/key.js";
import { checkWire } from "../wire.js";
import { jsonOption, storeOption, withStore, withYesFlag, type PrintFlags } from "./client.js";
import { mayDo } from "./confirm.js";

/** The actor of commands that work directly on the store. */
const OPERATOR = new Access({ id: "command-line", name: "command line" }, ALL);

interface StoreFlags extends PrintFlags {
  readonly store?: string | undefined;
}

interface CreateFlags extends StoreFlags {
  readonly name?: string;
  readonly scope: readonly string[];
  readonly product: readonly string[];
  readonly env: readonly string[];
}

interface RevokeFlags extends StoreFlags {
  readonly yes?: boolean;
}

/** `ductape key create`: makes a key of a store. */
export function addKeyCreate(command: Command): void {
  command
    .description("create a key and print it once")
    .addOption(storeOption())
    .option("--name <name>", "a name for people, such as its owner")
    .requiredOption("--scope <scope...>", "what it allows, such as quota:increment")
    .requiredOption("--product <tag...>", 'tags of products; "*" for all')
    .requiredOption("--env <slug...>", 'slugs of environments; "*" for all')
    .addOption(jsonOption())
    .action((flags: CreateFlags) => create(flags));
}

/** `ductape key ls`: lists the keys of a store. */
export function addKeyList(command: Command): void {
  command
    .description("list keys, without their secrets")
    .addOption(storeOption())
    .addOption(jsonOption())
    .action((flags: StoreFlags) => list(flags));
}

/** `ductape key revoke`: revokes a key of a store. */
export function addKeyRevoke(command: Command): void {
  command
    .argument("<id>", "its id, as `key ls` lists it")
    .description("revoke a key; every server refuses it within a second")
    .addOption(storeOption());
  withYesFlag(command).action((id: string, flags: RevokeFlags) => revoke(id, flags));
}

async function create({ store, json, name, scope, product, env }: CreateFlags): Promise<void> {
  const input: unknown = { name, scopes: scope, products: product, environments: env };
  checkWire(KEY_INPUT, input, "key");
  const made = await withKeys(store, (keys) => keys.create(input, OPERATOR.actor));
  if (json === true) return printLine(JSON.stringify(made));
  say("the key, which is shown only once:");
  printLine(made.key);
}

async function list({ store, json }: StoreFlags): Promise<void> {
  const keys = await withKeys(store, (each) => each.list(OPERATOR));
  if (json === true) return printLine(JSON.stringify({ keys }));
  printTable(
    ["ID", "NAME", "SCOPES", "PRODUCTS", "ENVIRONMENTS", "CREATED"],
    keys.map(({ id, name, scopes, products, environments, created_at }) => [
      id,
      name,
      scopes.join(","),
      products.join(","),
      environments.join(","),
      created_at,
    ]),
  );
}

async function revoke(id: string, { store, yes }: RevokeFlags): Promise<void> {
  await withKeys(store, async (keys) => {
    const all = await keys.list(OPERATOR);
    const found = all.find((key) => key.id === id);
    const of = found === undefined ? "" : ` of ${found.name}, which may ${found.scopes.join(" ")}`;
    // A key that does not exist is reported without a question.
    const asks = found !== undefined && yes !== true;
    if (asks && !(await mayDo(`revoke key ${id}${of}`))) return;
    await keys.revoke(id, OPERATOR);
    say(`revoked ${id}`);
  });
}

function withKeys<T>(store: string | undefined, work: (keys: Keys) => Promise<T>): Promise<T> {
  return withStore(store, async ({ guarantees, records }) => {
    if (!guarantees.durable) throw forgetful();
    return work(new Keys({ records, rootKey: null, clock: Date.now, warn: say }));
  });
}

function forgetful(): ValidationError {
  const message = "expects a store that outlives this command; memory: ends with it";
  return new ValidationError([{ path: "--store", message }]);
}
