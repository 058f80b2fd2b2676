#!/usr/bin/env node
// Starts the program: what was built, or in a clone that was not built yet, its source.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const built = new URL("../dist/main.js", import.meta.url);
const source = new URL("../src/main.ts", import.meta.url);
const isBuilt = [built.href, import.meta.resolve("ductape")].every((url) =>
  existsSync(fileURLToPath(url)),
);

if (isBuilt || !existsSync(source)) await import(built.href);
else {
  const { register } = await import("tsx/esm/api");
  register({ tsconfig: fileURLToPath(new URL("../../../tsconfig.json", import.meta.url)) });
  await import(source.href);
}
