// Answers that an older version stored: a retry after an upgrade counts once too.
import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { afterAll, describe, expect, it } from "vitest";
import type { Decision, QuotaInput } from "ductape";
import { manualClock } from "ductape/testing";
import { openSqlite } from "../src/stores/sqlite/driver.js";
import { POSTGRES_BIN, startPostgres } from "./postgres.js";
import { hasRedis, startRedis } from "./redis.js";
import { clientWith, faultOf, inputOf, temporaryFolder } from "./support.js";

/** Recorded from the last version with that form: its decisions, and what it wrote. */
interface Recorded {
  readonly results: readonly [Decision, Decision];
  readonly json: Readonly<Record<string, string>>;
  /** In base64. */
  readonly redis: Readonly<Record<string, string>>;
}

const recorded: Recorded = JSON.parse(
  readFileSync(new URL("vectors/old-answers.json", import.meta.url), "utf8"),
);
const START = "2026-01-15T12:00:00Z";
const SUBJECT = { userId: "ada", plan: "pro" };
const INPUTS: readonly QuotaInput[] = [
  inputOf({ idempotency_key: "k", amount: 3, subject: SUBJECT }),
  inputOf({ idempotency_key: "d", amount: 7, subject: SUBJECT }),
];

/** A place of a store, and how to put what was stored of old under each of its keys. */
type Place = () => Promise<{ url: string; makeOld: () => Promise<void> }>;

const folder = temporaryFolder();
const ends: (() => Promise<unknown>)[] = [() => Promise.resolve(folder.remove())];
afterAll(async () => {
  for (const end of ends) await end();
});

const PLACES: Record<string, Place> = {
  async sqlite() {
    const path = `${folder.path}/old.db`;
    const makeOld = async () => {
      const db = await openSqlite(path);
      const update = db.prepare("UPDATE answers SET answer = ? WHERE key LIKE ?");
      for (const [key, text] of Object.entries(recorded.json)) update.run(text, `%/${key}`);
      db.close();
    };
    return { url: `sqlite:${path}`, makeOld };
  },
};

if (POSTGRES_BIN !== null) {
  PLACES["postgres"] = async () => {
    const server = await startPostgres(["fsync = off"]);
    ends.push(() => server.stop());
    const makeOld = async () => {
      const update = "UPDATE old.answers SET answer = $1 WHERE key LIKE $2";
      for (const [key, text] of Object.entries(recorded.json)) {
        await server.run(update, [text, `%/${key}`]);
      }
    };
    return { url: `${server.url()}?schema=old`, makeOld };
  };
}

if (hasRedis("old answers")) {
  PLACES["redis"] = async () => {
    const server = await startRedis();
    ends.push(() => server.remove());
    const makeOld = async () => {
      const redis = new Redis(server.port);
      for (const [key, text] of Object.entries(recorded.redis)) {
        const [full = ""] = await redis.keys(`*/${key}`);
        await redis.set(full, Buffer.from(text, "base64"));
      }
      redis.disconnect();
    };
    return { url: server.url, makeOld };
  };
}

describe.each(Object.keys(PLACES))("an answer stored by an older version on %s", (name) => {
  it("is given again, and its key counts once", async () => {
    const place = await PLACES[name]?.();
    if (place === undefined) throw new Error("it has no place");
    const rules = [
      { name: "user", scope: "$Session{userId}", limit: 5, period: "day", alerts: [0.5] },
      {
        name: "all",
        limit: { by: "$Session{plan}", values: { pro: 9 }, default: 4 },
        period: "minute",
        window: "rolling",
      },
    ] as const;
    const store = place.url;
    await using ductape = await clientWith([{ tag: "q", rules }], {
      store,
      clock: manualClock(START),
    });
    const { quota } = ductape.processor;
    for (const input of INPUTS) await quota.run(input);
    await place.makeOld();
    await ductape.product.quotas.update("shop", "q", { rules: [{ ...rules[0], limit: 50 }] });
    for (const [i, input] of INPUTS.entries()) {
      const first = { ...recorded.results[i], quota_tag: "q", replayed: true };
      expect(await quota.run(input)).toEqual(first);
      const other = quota.run({ ...input, amount: 1 });
      expect((await faultOf(other)).code).toBe("IDEMPOTENCY_CONFLICT");
    }
    expect(await quota.run({ ...inputOf({}), action: "check", subject: SUBJECT })).toMatchObject({
      used: 3,
    });
  });
});
