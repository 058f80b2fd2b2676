import { z } from "zod";
import { CONFIGURATION } from "../schema/configuration.js";

/** The JSON Schema (2020-12) of a configuration, for editors. */
export function configurationSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(CONFIGURATION, { io: "input" });
  return { $schema, title: "Definitions of Ductape Quotas", ...schema };
}
