// Part of every run of the tests: a folder of its own for what `built.ts` builds, gone at its end.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    readonly builtFolder: string;
  }
}

/** Below the project's own modules, where what is built finds its dependencies. */
const CACHE = fileURLToPath(new URL("../../../node_modules/.cache/", import.meta.url));

/** Makes the folder, and empties it where a watcher runs the tests again on other sources. */
export function setup(project: TestProject): () => void {
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, "built-"));
  project.provide("builtFolder", folder);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  project.onTestsRerun(() => {
    remove();
    mkdirSync(folder);
  });
  return remove;
}
