import { describe, expect, it } from "vitest";
import { manualClock, storeSuite, type StorePlace } from "ductape/testing";
import { Ductape } from "ductape";
import { isTooOld, SQLITE_DRIVERS } from "../src/stores/sqlite/driver.js";
import { temporaryFolder, usableDrivers } from "./support.js";

const memory = (): StorePlace => ({ connect: () => "memory:", remove: () => undefined });

const sqlite = (driver: string) => (): StorePlace => {
  const { path, remove } = temporaryFolder();
  return { connect: () => `sqlite:${path}/store.db?driver=${driver}`, remove };
};

const PLACES: Record<string, () => StorePlace> = { memory };
const usable = await usableDrivers("the store suite");
for (const driver of usable) PLACES[`sqlite on ${driver}`] = sqlite(driver);
const unusable = SQLITE_DRIVERS.filter((driver) => !usable.includes(driver));

it.each(unusable)("says of %s, which this Node cannot load, what to do", async (driver) => {
  const { path, remove } = temporaryFolder();
  await using ductape = new Ductape({ store: `sqlite:${path}/store.db?driver=${driver}` });
  const fault: unknown = await ductape.product.fetchAll().catch((error: unknown) => error);
  expect(fault).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: false });
  expect(String(fault)).toContain("npm install @photostructure/sqlite@1");
  remove();
});

describe.each(Object.entries(PLACES))("%s", (_, place) => {
  it.each(storeSuite(place).map(({ name, run }) => [name, run] as const))("%s", (_name, run) =>
    run(),
  );
});

it("runs on SQLite, whichever binding this Node has", () => {
  expect(Object.keys(PLACES).length).toBeGreaterThanOrEqual(2);
});

it.each([
  ["3.51.3", false],
  ["3.51.12", false],
  ["3.52.0", false],
  ["4.0.0", false],
  ["3.51.2", true],
  ["3.50.9", true],
  ["2.99.9", true],
  ["3.51", true],
  ["nonsense", true],
])("knows SQLite %s, where too old: %s", (version, wanted) => {
  expect(isTooOld(version)).toBe(wanted);
});

describe("a manual clock", () => {
  it("stands still until it is moved", () => {
    const clock = manualClock("2026-01-31T00:00:00+01:00");
    expect(clock()).toBe(Date.UTC(2026, 0, 30, 23));
    expect(clock.advance(1_500)).toBe(Date.UTC(2026, 0, 30, 23, 0, 1, 500));
    clock.set(new Date(0));
    expect(clock()).toBe(0);
  });

  it("refuses a value that is not an instant", () => {
    expect(() => manualClock("2026-01-31")).toThrow("with its offset");
    expect(() => manualClock(1.5)).toThrow("whole milliseconds");
    expect(() => manualClock(0).set("nonsense Z")).toThrow("whole milliseconds");
    expect(() => manualClock(0).advance(Number.NaN)).toThrow("whole milliseconds");
  });
});
