// Part of every run of the tests: a folder of its own for what `built.ts` builds, gone at its end.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
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
const PREFIX = "built-";
const DAY_MS = 86_400_000;

/** Makes the folder, and empties it where a watcher runs the tests again on other sources. */
export function setup(project: TestProject): () => void {
  mkdirSync(CACHE, { recursive: true });
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    // Of a run that was killed.
    const isLeft = name.startsWith(PREFIX) && statSync(path).mtimeMs < Date.now() - DAY_MS;
    if (isLeft) rmSync(path, { recursive: true, force: true });
  }
  const folder = mkdtempSync(join(CACHE, PREFIX));
  project.provide("builtFolder", folder);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  project.onTestsRerun(() => {
    remove();
    mkdirSync(folder);
  });
  return remove;
}
