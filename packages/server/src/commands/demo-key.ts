import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DuctapeError } from "ductape";
import { isKeyOf, newKey } from "../keys.js";

/** The id of the demo's key. */
export const DEMO_KEY_ID = "demo";

const FILE = "demo.key";
/** The folder of the default store, used for stores that are not a file. */
const FOLDER = ".ductape";
const ONLY_OWNER = 0o600;

/**
 * The file in which the demo of a store keeps its key; null for a store that ends with the process.
 */
export function demoKeyFile(store: string | undefined): string | null {
  if (store === "memory:") return null;
  const path = /^sqlite:([^?]+)/.exec(store ?? "")?.[1];
  return join(path === undefined ? FOLDER : dirname(path), FILE);
}

/**
 * The key in `file`, or a new one that is written there, readable only by its owner. A store has
 * only the hash of a key, and a call printed by an earlier start must keep working. Throws
 * `VALIDATION` if the file cannot be read or written.
 */
export function demoKey(file: string | null): string {
  if (file === null) return newKey(DEMO_KEY_ID);
  try {
    return keptKey(file) ?? keep(newKey(DEMO_KEY_ID), file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DuctapeError("VALIDATION", `--demo keeps its key in a file: ${why}`, { cause });
  }
}

function keptKey(file: string): string | null {
  try {
    const text = readFileSync(file, "utf8").trim();
    return isKeyOf(DEMO_KEY_ID, text) ? text : null;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

function keep(key: string, file: string): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${key}\n`, { mode: ONLY_OWNER });
  // An existing file keeps its mode when it is written.
  chmodSync(file, ONLY_OWNER);
  return key;
}
