import { z } from "zod";
import { answer } from "./part.js";

/** The process is alive. */
export const HEALTH = answer({ status: z.literal("ok") }).meta({ id: "Health" });

/** Calls can be decided. */
export const READY = answer({ status: z.literal("ready"), store: z.string() }).meta({
  id: "Ready",
});

/** An OpenAPI document. */
export const OPENAPI = z.record(z.string(), z.unknown()).meta({ id: "OpenApi" });
