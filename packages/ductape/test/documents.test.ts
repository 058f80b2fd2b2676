import { afterAll, describe, expect, it } from "vitest";
import { manualClock } from "ductape/testing";
import type { DocumentWrite } from "../src/stores/store.js";
import { openStore } from "../src/stores/url.js";
import { contextOf, randomOf, seedOf } from "./support.js";
import { testedStores } from "./tested.js";

const { stores, stop } = await testedStores();
afterAll(stop);
const seed = seedOf();
const START_MS = Date.UTC(2026, 0, 15);

async function opened(url: string, clock = manualClock(START_MS)) {
  const store = openStore(url, contextOf(clock));
  await store.open();
  return { store, documents: store.documents, clock };
}

const made = (key: string, more: Partial<DocumentWrite> = {}): DocumentWrite => ({
  key,
  ifRevision: 0,
  value: JSON.stringify(key),
  ...more,
});

describe.each(stores)("documents on $name", (tested) => {
  const url = tested.url("documents");

  it("are written all or none, each under its revision", async () => {
    const { store, documents } = await opened(url);
    expect(await documents.write([made("a/1/"), made("a/2/", { unwatched: true })], [])).toBe(null);
    expect(await documents.write([made("a/3/"), made("a/1/")], [])).toBe("a/1/");
    expect(await documents.get("a/3/")).toBe(null);
    expect(await documents.get("a/2/")).toEqual({ key: "a/2/", revision: 1, value: '"a/2/"' });
    expect(await documents.write([made("a/1/", { ifRevision: 1, value: "2" })], [])).toBe(null);
    expect(await documents.get("a/1/")).toEqual({ key: "a/1/", revision: 2, value: "2" });
    await store.close();
  });

  it("returns only changes of watched ones, including deletions", async () => {
    const { store, documents } = await opened(url);
    const { sequence } = await documents.changes(0);
    await documents.write([made("w/1/"), made("w/2/"), made("w/3/", { unwatched: true })], []);
    await documents.write([made("w/1/", { ifRevision: 1, value: null })], []);
    const told = await documents.changes(sequence);
    expect(told.changes.map(({ key, value }) => [key, value]).toSorted()).toEqual([
      ["w/1/", null],
      ["w/2/", '"w/2/"'],
    ]);
    expect((await documents.changes(told.sequence)).changes).toEqual([]);
    await store.close();
  });

  it(`are followed to what is stored, however often they are read (SEED=${seed})`, async () => {
    const { store, documents } = await opened(url);
    const random = randomOf(seed);
    const stored = new Map<string, { revision: number; value: string | null }>();
    const followers = Array.from({ length: 3 }, () => ({
      sequence: 0,
      known: new Map<string, object>(),
    }));
    for (let i = 0; i < 1_000; i++) {
      const keys = new Set(Array.from({ length: 1 + random.below(3) }, () => random.below(40)));
      const writes = [...keys].map((number) => {
        const key = `n/${number}/`;
        const { revision = 0, value = null } = stored.get(key) ?? {};
        const next = value !== null && random.below(3) === 0 ? null : String(i);
        stored.set(key, { revision: revision + 1, value: next });
        return { key, ifRevision: value === null ? 0 : revision, value: next };
      });
      const unwatched = made(`u/${i}/`, { unwatched: true });
      expect(await documents.write([...writes, unwatched], [])).toBe(null);
      for (const [one, follower] of followers.entries()) {
        if (random.below(1 + 60 * one) > 0) continue;
        const { sequence, changes } = await documents.changes(follower.sequence);
        // Each appears once, whatever happened to it in between.
        expect(new Set(changes.map(({ key }) => key)).size).toBe(changes.length);
        for (const { key, ...as } of changes) {
          if (key.startsWith("n/")) follower.known.set(key, as);
        }
        follower.sequence = sequence;
        expect(follower.known, `SEED=${seed}, write ${i}`).toEqual(stored);
      }
    }
    await store.close();
  });

  it("of a folder are listed by key, a page at a time", async () => {
    const { store, documents } = await opened(url);
    const keys = ["\u{1F600}", "\uFFFD", "b", "a", "c%2F"].map((name) => `f/${name}/`);
    const others = ["f2/a/", "e/z/"];
    const unwatched = true;
    await documents.write(
      [...keys, ...others].map((key) => made(key, { unwatched })),
      [],
    );
    const ordered = ["a", "b", "c%2F", "\uFFFD", "\u{1F600}"].map((name) => `f/${name}/`);
    const page = async (after: string, limit: number) =>
      (await documents.list("f/", { after, limit })).map(({ key }) => key);
    expect(await page("", 10)).toEqual(ordered);
    expect(await page("", 2)).toEqual(ordered.slice(0, 2));
    expect(await page("f/b/", 2)).toEqual(ordered.slice(2, 4));
    await documents.write([made("f/b/", { ifRevision: 1, value: null, unwatched })], []);
    expect(await page("f/a/", 1)).toEqual(["f/c%2F/"]);
    expect(await page("f/\u{1F600}/", 1)).toEqual([]);
    await store.close();
  });

  it("are gone when they expire, and their changes are never returned again", async () => {
    const { store, documents, clock } = await opened(url);
    const expiresMs = START_MS + 1_000;
    const writes = ["x/1/", "x/2/"].map((key) => made(key, { expiresMs }));
    await documents.write([...writes, made("y/1/", { expiresMs, unwatched: true })], []);
    const { sequence } = await documents.changes(0);
    clock.advance(999);
    expect(await documents.get("x/1/")).not.toBe(null);
    clock.advance(1);
    expect(await documents.get("x/1/")).toBe(null);
    expect(await documents.list("y/", { after: "", limit: 9 })).toEqual([]);
    expect((await documents.changes(0)).changes.filter(({ key }) => key[0] === "x")).toEqual([]);
    // Dropping them must not set the sequence back: what is written next is seen.
    for (let i = 0; i < 9; i++) await documents.write([made(`z/${i}/`, { unwatched: true })], []);
    expect(await documents.write([made("x/1/")], [])).toBe(null);
    const told = (await documents.changes(sequence)).changes;
    expect(told.map(({ key }) => key)).toEqual(["x/1/"]);
    await store.close();
  });
});
