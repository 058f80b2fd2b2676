import { describe, expect, it } from "vitest";
import { manualClock, storeSuite, type StorePlace } from "ductape/testing";
import { temporaryFolder } from "./support.js";

/** Whether a SQLite binding can be used here: Node has one from 22.16, the package is compiled for one Node. */
async function isUsable(driver: string): Promise<boolean> {
  if (driver === "node:sqlite") return process.getBuiltinModule("node:sqlite") !== undefined;
  try {
    const { default: Database } = await import("better-sqlite3");
    new Database(":memory:").close();
    return true;
  } catch {
    return false;
  }
}

const memory = (): StorePlace => ({ connect: () => "memory:", remove: () => undefined });

const sqlite = (driver: string) => (): StorePlace => {
  const { path, remove } = temporaryFolder();
  return { connect: () => `sqlite:${path}/store.db?driver=${driver}`, remove };
};

const PLACES: Record<string, () => StorePlace> = { memory };
for (const driver of ["node:sqlite", "better-sqlite3"]) {
  if (await isUsable(driver)) PLACES[`sqlite on ${driver}`] = sqlite(driver);
  else console.warn(`SKIPPED: the store suite on ${driver}, which this Node cannot load`);
}

describe.each(Object.entries(PLACES))("%s", (_, place) => {
  it.each(storeSuite(place).map(({ name, run }) => [name, run] as const))("%s", (_name, run) =>
    run(),
  );
});

it("runs on SQLite, whichever binding this Node has", () => {
  expect(Object.keys(PLACES).length).toBeGreaterThanOrEqual(2);
});

describe("a manual clock", () => {
  it("stands still until it is moved", () => {
    const clock = manualClock("2026-01-31T00:00:00+01:00");
    expect(clock()).toBe(Date.UTC(2026, 0, 30, 23));
    expect(clock.advance(1_500)).toBe(Date.UTC(2026, 0, 30, 23, 0, 1, 500));
    clock.set(new Date(0));
    expect(clock()).toBe(0);
  });

  it("refuses what is no instant", () => {
    expect(() => manualClock("2026-01-31")).toThrow("with its offset");
    expect(() => manualClock(1.5)).toThrow("whole milliseconds");
    expect(() => manualClock(0).set("nonsense Z")).toThrow("whole milliseconds");
    expect(() => manualClock(0).advance(Number.NaN)).toThrow("whole milliseconds");
  });
});
