// A browser for tests: Debian's chromium, which asks for nothing by itself.
import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

const PATH = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Whether there is a browser. What is left out without one is said loudly. */
export function hasBrowser(what: string): boolean {
  const isHere = existsSync(PATH);
  if (!isHere && process.env["REQUIRE_STORES"] === "all") {
    throw new Error(`${PATH} is missing, and REQUIRE_STORES=all requires it for ${what}`);
  }
  if (!isHere) console.warn(`SKIPPED: ${what}, as there is no ${PATH}; CHROMIUM names another`);
  return isHere;
}

/** Starts the browser. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: PATH, args: ARGS, timeout: 60_000 });
}
