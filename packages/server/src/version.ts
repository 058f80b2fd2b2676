import { readFileSync } from "node:fs";

/** The version of this package. */
export const VERSION = versionIn(
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")),
);

function versionIn(manifest: unknown): string {
  if (typeof manifest !== "object" || manifest === null) return "0";
  const version: unknown = Reflect.get(manifest, "version");
  return typeof version === "string" ? version : "0";
}
