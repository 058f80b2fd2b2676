import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Ductape,
  DuctapeError,
  type Clock,
  type EmbeddedOptions,
  type OutagePolicy,
  type QuotaDefinition,
  type QuotaInput,
  type Store,
  type StoreContext,
} from "ductape";
import type { Documents } from "../src/stores/store.js";
import { isTooOld, SQLITE_DRIVERS, type SqliteDriver } from "../src/stores/sqlite/driver.js";

/** A folder of its own for one test; `remove` deletes it. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "ductape-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Waits until `isSo`; throws after `timeoutMs` milliseconds. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`waited for ${timeoutMs} ms in vain`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The seed of a random test: `SEED=` repeats one. It is printed by the test's name or message. */
export function seedOf(): number {
  return Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
}

/** Deterministic random numbers (mulberry32). */
export function randomOf(seed: number) {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(next() * n);
  const pick = <const T extends readonly unknown[]>(items: T): T[number] =>
    items[below(items.length)];
  return { next, below, pick };
}

/** A client with one product, one environment and the quotas of a test. */
export async function clientWith<const Policy extends OutagePolicy = "throw">(
  quotas: readonly QuotaDefinition[],
  options: EmbeddedOptions<Policy> = {},
): Promise<Ductape<Policy>> {
  const ductape = new Ductape<Policy>({ store: "memory:", ...options });
  await ductape.product.create({ tag: "shop", name: "Shop" });
  await ductape.product.environments.create("shop", { env_name: "Production", slug: "prd" });
  for (const quota of quotas) await ductape.product.quotas.create("shop", quota);
  return ductape;
}

/** An increment of quota `q` of that client. */
export function inputOf(input: Partial<QuotaInput> = {}): QuotaInput {
  return { env: "prd", product_tag: "shop", quota_tag: "q", action: "increment", ...input };
}

/** What a store is opened with on its own. */
export function contextOf(clock: Clock): StoreContext {
  return { clock, timeoutMs: 5_000, logger: console };
}

/** A store over another: the same, but for what is changed, also of its documents. */
export function storeOver(
  store: Store,
  changed: Partial<Pick<Store, "apply" | "close" | "records">> & { documents?: Partial<Documents> },
): Store {
  const inner = store.documents;
  return {
    guarantees: store.guarantees,
    records: store.records,
    clock: store.clock,
    get isOpen() {
      return store.isOpen;
    },
    open: () => store.open(),
    apply: (plan, options) => store.apply(plan, options),
    scan: (prefix) => store.scan(prefix),
    close: () => store.close(),
    ...changed,
    documents: {
      changes: (sequence) => inner.changes(sequence),
      get: (key) => inner.get(key),
      list: (folder, page) => inner.list(folder, page),
      write: (writes, forget) => inner.write(writes, forget),
      ...changed.documents,
    },
  };
}

/** The store URLs a test runs on: both engines, the file in `folder`. */
export function storeUrls(folder: string): string[] {
  return ["memory:", `sqlite:${join(folder, "store.db")}`];
}

/**
 * Whether a binding can be used here: that of Node may be too old, the package's is for one Node.
 */
async function isUsable(driver: SqliteDriver): Promise<boolean> {
  if (driver === "node:sqlite") return !isTooOld(process.versions["sqlite"] ?? "0");
  try {
    const { DatabaseSync } = await import("@photostructure/sqlite");
    new DatabaseSync(":memory:").close();
    return true;
  } catch {
    return false;
  }
}

/** The bindings that this Node can load. What is left out of `what` is said loudly. */
export async function usableDrivers(what: string): Promise<SqliteDriver[]> {
  const usable: SqliteDriver[] = [];
  for (const driver of SQLITE_DRIVERS) {
    if (await isUsable(driver)) usable.push(driver);
    else console.warn(`SKIPPED: ${what} on ${driver}, which this Node cannot load`);
  }
  return usable;
}

/** The fault of a call that must fail with one; anything else is thrown. */
export async function faultOf(
  call: Promise<unknown> | (() => Promise<unknown>),
): Promise<DuctapeError> {
  const error: unknown = await (typeof call === "function" ? call() : call).then(
    (value) => new Error(`nothing was thrown, but ${JSON.stringify(value)} returned`),
    (thrown: unknown) => thrown,
  );
  if (DuctapeError.is(error)) return error;
  throw error;
}

/** Calls a method with arguments of any shape, as a caller without types would. */
export function callAny(target: object, name: string, ...args: unknown[]): Promise<unknown> {
  const method: unknown = Reflect.get(target, name);
  if (typeof method !== "function") throw new Error(`there is no method ${name}`);
  return Reflect.apply(method, target, args);
}
