import type { Command } from "commander";
import { visible } from "ductape";
import { Document, visit } from "yaml";
import { exportConfiguration } from "../configuration/export.js";
import { configurationSchema } from "../configuration/schema.js";
import { printLine, printLines } from "../print.js";
import { withClient, withClientFlags, type ClientFlags, type PrintFlags } from "./client.js";

interface ExportFlags extends ClientFlags, PrintFlags {
  readonly product?: readonly string[];
}

const COLUMNS_MAX = 100;

/** `ductape export`: prints a file for `ductape apply`. */
export function addExport(command: Command): void {
  command
    .description("print all definitions as a file for apply")
    .option("--product <tag...>", "only these products");
  withClientFlags(command).action(async (flags: ExportFlags) => {
    const { product = [], json } = flags;
    const all = await withClient(flags, (client) => exportConfiguration(client, product));
    if (json === true) printLine(JSON.stringify(all));
    else printLines(yamlOf(all));
  });
}

/**
 * A value as YAML. A text that needs escapes is in double quotes, because YAML reads escapes only
 * there.
 */
function yamlOf(value: unknown): string {
  const document = new Document(value);
  visit(document, {
    Scalar(_, node) {
      const lines = typeof node.value === "string" ? node.value.split("\n") : [];
      if (lines.some((line) => visible(line) !== line)) node.type = "QUOTE_DOUBLE";
    },
  });
  return document.toString({ lineWidth: COLUMNS_MAX }).trimEnd();
}

/** `ductape schema`: the JSON Schema of such a file, for editors. */
export function addSchema(command: Command): void {
  command
    .description("print the JSON Schema of files for apply, for editors")
    .action(() => printLines(JSON.stringify(configurationSchema(), null, 2)));
}
