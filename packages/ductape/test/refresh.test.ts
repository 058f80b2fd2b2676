import { afterAll, describe, expect, it } from "vitest";
import { Ductape, DuctapeError, StoreError, type StartedSession, type Store } from "ductape";
import { manualClock } from "ductape/testing";
import type { DocumentWrite } from "../src/stores/store.js";
import { openStore } from "../src/stores/url.js";
import { DATA, faultOf, sessionBench, START_MS, TARGET } from "./session-bench.js";
import { contextOf, randomOf, seedOf, storeOver, temporaryFolder, until } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

/** Holds the store's answers back until all actors wait for one, then lets a random one go on. */
class Interleaver {
  readonly #pick: (below: number) => number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(pick: (below: number) => number) {
    this.#pick = pick;
  }

  /** The same store, each of whose reads and writes of one document waits for its turn. */
  over(store: Store): Store {
    const { documents } = store;
    const turn = () => new Promise<void>((resolve) => this.#waiting.push(resolve));
    const waiting = {
      get: (key: string) => turn().then(() => documents.get(key)),
      write: (writes: readonly DocumentWrite[], forget: readonly string[]) =>
        turn().then(() => documents.write(writes, forget)),
    };
    return storeOver(store, { documents: waiting, close: () => Promise.resolve() });
  }

  /** Runs the actors until all have ended. */
  async run(actors: readonly (() => Promise<void>)[]): Promise<void> {
    this.#running = actors.length;
    const ended = actors.map((actor) => actor().finally(() => this.#running--));
    while (this.#running > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#waiting.length < this.#running) continue;
      this.#waiting.splice(this.#pick(this.#waiting.length), 1)[0]?.();
    }
    await Promise.all(ended);
  }
}

interface Told {
  readonly outcome: StartedSession | string;
}

/** Refreshes `rounds` times, each time with the last token received. */
async function refreshes(client: Ductape, first: string, rounds: number): Promise<Told[]> {
  const told: Told[] = [];
  let refreshToken = first;
  for (let round = 0; round < rounds; round++) {
    try {
      const next = await client.processor.sessions.refresh({ ...TARGET, refreshToken });
      told.push({ outcome: next });
      ({ refreshToken } = next);
    } catch (error) {
      if (!DuctapeError.is(error)) throw error;
      told.push({ outcome: error.code });
      break;
    }
  }
  return told;
}

describe("two refreshes at once", () => {
  it(
    "end as the written rule says, in 1,000 random interleavings",
    { timeout: 120_000 },
    async () => {
      const seed = seedOf();
      const random = randomOf(seed);
      const clock = manualClock(START_MS);
      const store = openStore("memory:", contextOf(clock));
      await using bench = await sessionBench({ store, clock });
      const interleaver = new Interleaver(random.below);
      const clients = [0, 1].map(() => new Ductape({ store: interleaver.over(store), clock }));
      // Both have read the definitions and keys before the first turn is given.
      for (const client of clients) await client.product.fetchAll();
      const seen = { same: 0, revoked: 0, onward: 0 };
      for (let run = 0; run < 1_000; run++) {
        const started = await bench.start();
        const rounds = [1 + random.below(2), 1 + random.below(2)];
        const told: Told[][] = [];
        await interleaver.run(
          clients.map((client, i) => async () => {
            told[i] = await refreshes(client, started.refreshToken, rounds[i] ?? 1);
          }),
        );
        const about = `SEED=${seed} run ${run}, ${rounds.join(" and ")} rounds`;
        await expectAllowed(bench, started, told.flat(), rounds, about, seen);
      }
      // Every way that the rule knows was taken, or the interleavings are not random.
      expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(20);
      for (const client of clients) await client.close();
    },
  );
});

async function expectAllowed(
  bench: Awaited<ReturnType<typeof sessionBench>>,
  started: StartedSession,
  told: readonly Told[],
  rounds: readonly number[],
  about: string,
  seen: { same: number; revoked: number; onward: number },
): Promise<void> {
  const pairs = told.flatMap(({ outcome }) => (typeof outcome === "string" ? [] : [outcome]));
  const faults = told.flatMap(({ outcome }) => (typeof outcome === "string" ? [outcome] : []));
  expect(new Set(faults), about).toEqual(new Set(faults.length === 0 ? [] : ["SESSION_REVOKED"]));
  // One chain: a first token, its one successor, and the one of that.
  const chain = new Set(pairs.map(({ refreshToken }) => refreshToken));
  expect(chain.size, about).toBeLessThanOrEqual(2);
  const run = (token: string) => faultOf(bench.run(token, { action: "check" }));
  const tokens = [started, ...pairs].map(({ token }) => token);
  if (faults.length > 0) {
    // Only a successor that was used can have made the first token a reused one.
    expect(Math.max(...rounds), about).toBe(2);
    seen.revoked++;
    // Reads what the other clients have revoked, without waiting for the next poll.
    await bench.client.product.fetchAll();
    for (const token of tokens) expect(await run(token), about).toBe("SESSION_REVOKED");
    for (const { refreshToken } of pairs) {
      expect(await faultOf(bench.refresh(refreshToken)), about).toBe("SESSION_REVOKED");
    }
    return;
  }
  if (pairs.length === 2 && chain.size === 1) seen.same++;
  else seen.onward++;
  expect(chain.size, about).toBe(Math.max(...rounds));
  for (const token of tokens) expect(await run(token), about).toBe("no fault");
  const last = [...chain].at(-1) ?? "";
  const next = await bench.refresh(last);
  expect(chain.has(next.refreshToken), about).toBe(false);
}

describe("a process that dies after a rotation and before its answer", () => {
  it.each(["memory:", `sqlite:${folder.path}/crash.db`])("locks nobody out on %s", async (url) => {
    const clock = manualClock(START_MS);
    const store = openStore(url, contextOf(clock));
    await using bench = await sessionBench({ store, clock });
    const first = await bench.start();
    const { documents } = store;
    const write = documents.write.bind(documents);
    let written: Promise<string | null> | null = null;
    documents.write = (writes, forget) => {
      written = write(writes, forget);
      return written.then(() => {
        throw new StoreError("OUTCOME_UNKNOWN", "the process is gone");
      });
    };
    expect(await faultOf(bench.refresh(first.refreshToken))).toBe("OUTCOME_UNKNOWN");
    expect(await written).toBe(null);
    documents.write = write;
    // Its successor is given again: it was made, and nobody has seen it.
    const second = await bench.refresh(first.refreshToken);
    expect(await bench.sessions.decrypt({ ...TARGET, token: second.token })).toEqual(DATA);
    const third = await bench.refresh(second.refreshToken);
    expect(await faultOf(bench.run(third.token))).toBe("no fault");
  });
});

describe("a revoked session", () => {
  it("is refused by another connection at its next poll, even if verified before", async () => {
    const store = `sqlite:${folder.path}/revoked.db`;
    await using bench = await sessionBench({ store, clock: undefined });
    await using other = new Ductape({ store });
    const call = (token: string) =>
      other.processor.quota.run({
        env: "prd",
        product_tag: "shop",
        quota_tag: "q",
        action: "check",
        session: { tag: TARGET.tag, token },
      });
    const { token, sessionId } = await bench.start();
    expect(await call(token)).toMatchObject({ allowed: true });
    await bench.sessions.revoke({ ...TARGET, sessionId });
    await until(async () => (await faultOf(call(token))) !== "no fault");
    expect(await faultOf(call(token))).toBe("SESSION_REVOKED");
  });
});

describe("a rotation of keys", () => {
  it("under load refuses no token, in two clients", { timeout: 60_000 }, async () => {
    const calls = Number(process.env["ROTATION_CALLS"] ?? 5_000);
    const store = `sqlite:${folder.path}/rotation.db`;
    await using bench = await sessionBench({ store, clock: undefined });
    await bench.client.product.quotas.create("shop", { tag: "free", limit: null, period: "day" });
    await using other = new Ductape({ store });
    const clients = [bench.client, other];
    let tokens = [(await bench.start()).token];
    let done = 0;
    const kids = new Set<string>();
    const caller = async (client: Ductape): Promise<void> => {
      while (done < calls) {
        const call = done++;
        // Now and then a token that neither client has seen, by the keys each of them knows.
        if (call % 50 === 0) {
          const { token } = await client.processor.sessions.start({ ...TARGET, data: DATA });
          tokens = [token, ...tokens.slice(0, 20)];
        }
        if (call % Math.floor(calls / 4) === 0) {
          kids.add((await client.product.sessions.rotate("shop", { env: "prd" })).kid);
        }
        const token = tokens[call % tokens.length] ?? "";
        await client.processor.quota.run({
          env: "prd",
          product_tag: "shop",
          quota_tag: "free",
          action: "increment",
          session: { tag: TARGET.tag, token },
        });
      }
    };
    await Promise.all(
      clients.flatMap((client) => Array.from({ length: 20 }, () => caller(client))),
    );
    expect(kids.size).toBeGreaterThanOrEqual(4);
    const { run } = other.processor.quota;
    const counted = await run.call(other.processor.quota, {
      env: "prd",
      product_tag: "shop",
      quota_tag: "free",
      action: "check",
    });
    expect(counted).toMatchObject({ used: done });
  });
});
