import { z } from "zod";
import { CONFIGURATION } from "../schema/configuration.js";
import { described } from "../schema/words.js";

/** The JSON Schema (2020-12) of a configuration, for editors. */
export function configurationSchema(): Readonly<Record<string, unknown>> {
  const { $schema, $defs = {}, ...schema } = z.toJSONSchema(CONFIGURATION, { io: "input" });
  const parts = Object.entries($defs).map(([id, part]) => [id, described(id, part)] as const);
  return {
    $schema,
    title: "Definitions of Ductape Quotas",
    ...described("Configuration", schema),
    $defs: Object.fromEntries(parts),
  };
}
