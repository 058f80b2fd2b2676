import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { DATA, faultOf, sessionBench, TARGET } from "../session-bench.js";
import { randomOf, seedOf, temporaryFolder } from "../support.js";
import { otherProcess, untilSeen } from "./other-process.js";
import { startWorker } from "./processes.js";
import { draws } from "../draws.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const seed = seedOf();
const REFRESHER = fileURLToPath(new URL("refresher.ts", import.meta.url));
const AT_ONCE = 4;
/** Sessions of each process. */
const USERS = 5;

const dataOf = (userId: string) => ({ ...DATA, userId });

describe("a revoked session", () => {
  it(`is refused within a second even if another process has seen it (SEED=${seed})`, async () => {
    const store = `sqlite:${folder.path}/revoked.db`;
    const random = randomOf(seed);
    await using bench = await sessionBench({ store, clock: undefined });
    await using other = otherProcess(store);
    const waits: number[] = [];
    for (let round = 0; round < 24; round++) {
      const identifier = `u-${round}`;
      const started = await bench.start(dataOf(identifier));
      const more = await bench.start(dataOf(identifier));
      const run = ({ token }: { token: string }) =>
        other.run({ action: "check", session: { tag: TARGET.tag, token } });
      for (const each of [started, more]) {
        expect(await run(each)).toMatchObject({ value: { allowed: true, subject: identifier } });
      }
      // Wherever the other process is between two looks at the store.
      await delay(random.below(300));
      const { sessionId } = started;
      const isById = round % 2 === 0;
      const whom = isById ? { sessionId } : { identifier };
      expect(await bench.sessions.revoke({ ...TARGET, ...whom })).toEqual({
        revoked: isById ? 1 : 2,
      });
      const ended = isById ? [started] : [started, more];
      const wait = (each: { token: string }) =>
        untilSeen(
          () => run(each),
          ({ code }) => code === "SESSION_REVOKED",
        );
      waits.push(...(await Promise.all(ended.map(wait))));
      if (isById) expect(await run(more)).toMatchObject({ value: { allowed: true } });
      const { token } = started;
      expect(await other.ask("processor.sessions.decrypt", { ...TARGET, token })).toEqual({
        code: "SESSION_REVOKED",
      });
    }
    const told = `waited ${waits.map(Math.round).join(", ")} ms`;
    console.info(`a revoked session was refused elsewhere after ${told}`);
    expect(Math.max(...waits), told).toBeLessThanOrEqual(1_000);
  });
});

/** A user: its session and the refresh tokens it has received, the newest last. */
interface User {
  readonly identifier: string;
  sessionId: string;
  told: string[];
  /** The newest access token it has received. */
  access: string;
}

const heldBy = ({ told }: User): string => told.at(-1) ?? "";

/** Lets processes refresh until they are killed; each user then has the tokens it received. */
async function refreshUntilKilled(
  store: string,
  users: readonly User[],
  random: ReturnType<typeof randomOf>,
): Promise<void> {
  const workers = Array.from({ length: AT_ONCE }, (_, process) => {
    const own = users.slice(process * USERS, (process + 1) * USERS);
    const args = [store, JSON.stringify(own.map(heldBy))];
    return { own, ...startWorker(args, [], REFRESHER) };
  });
  await Promise.all(
    workers.map(async ({ own, child, started, ended }) => {
      await started;
      await delay(random.below(150));
      child.kill("SIGKILL");
      const { text, errors } = await ended;
      expect(errors).not.toContain("Error");
      for (const line of text.split("\n").slice(0, -1)) {
        const [i = "", refreshToken = "", access = ""] = line.split(" ");
        const user = own[Number(i)];
        user?.told.push(refreshToken);
        if (user !== undefined) user.access = access;
      }
    }),
  );
}

describe("a process that is killed while it refreshes", () => {
  it(`locks nobody out and makes no second family, in kills (SEED=${seed})`, async () => {
    const store = `sqlite:${folder.path}/killed.db`;
    const random = randomOf(seed);
    const bench = await sessionBench({ store, clock: undefined });
    const users: User[] = [];
    for (let i = 0; i < AT_ONCE * USERS; i++) users.push(await begun(bench.client, `u-${i}`));
    await bench.client.close();
    const seen = { lostAnswers: 0, refreshes: 0, reused: 0 };
    let kills = 0;
    for (const round of draws("KILLS", { least: 5, seconds: 12 })) {
      kills += AT_ONCE;
      const countOf = () => users.reduce((sum, { told }) => sum + told.length, 0);
      const before = countOf();
      await refreshUntilKilled(store, users, random);
      seen.refreshes += countOf() - before;
      await using client = new Ductape({ store, timeoutMs: 60_000 });
      for (const [i, user] of users.entries()) {
        if (await expectGoesOn(client, user)) seen.lostAnswers++;
        if (i % USERS !== round % USERS) continue;
        await expectEndsByReuse(client, user, random.pick(user.told.slice(0, -1)) ?? "");
        seen.reused++;
        users[i] = await begun(client, user.identifier);
      }
    }
    console.info(`${kills} kills: ${JSON.stringify(seen)}`);
    expect(seen.refreshes).toBeGreaterThan(kills);
    // Some died with an answer under way, and some without, or the kills prove little.
    expect(seen.lostAnswers).toBeGreaterThan(0);
    expect(seen.lostAnswers).toBeLessThan((kills / AT_ONCE) * users.length);
  }, 1_800_000);
});

async function begun(client: Ductape, identifier: string): Promise<User> {
  const data = dataOf(identifier);
  const started = await client.processor.sessions.start({ ...TARGET, data });
  const { sessionId, refreshToken, token } = started;
  return { identifier, sessionId, told: [refreshToken], access: token };
}

/** The one live session of a user. */
async function liveOf(client: Ductape, { identifier, sessionId }: User) {
  const { sessions } = await client.processor.sessions.list({ ...TARGET, identifier });
  const live = sessions.filter(({ revokedAt }) => revokedAt === null);
  expect(live.map((each) => each.sessionId)).toEqual([sessionId]);
  return live[0];
}

/**
 * The token that a user holds gets the next pair, and the same again. True where the answer to its
 * last refresh was lost: then the pair had been made already.
 */
async function expectGoesOn(client: Ductape, user: User): Promise<boolean> {
  const { sessions } = client.processor;
  const data = dataOf(user.identifier);
  expect(await sessions.decrypt({ ...TARGET, token: user.access })).toEqual(data);
  const before = await liveOf(client, user);
  const refreshToken = heldBy(user);
  const next = await sessions.refresh({ ...TARGET, refreshToken });
  const after = await liveOf(client, user);
  const again = await sessions.refresh({ ...TARGET, refreshToken });
  expect(again.refreshToken).toBe(next.refreshToken);
  expect(next.sessionId).toBe(user.sessionId);
  for (const { token } of [next, again]) {
    expect(await sessions.decrypt({ ...TARGET, token })).toEqual(data);
  }
  user.told = [...user.told, next.refreshToken];
  user.access = next.token;
  return before?.refreshedAt === after?.refreshedAt;
}

/** Any token before the newest, used again after its time, ends the session: none stays alive. */
async function expectEndsByReuse(client: Ductape, user: User, old: string): Promise<void> {
  const { sessions } = client.processor;
  const refresh = (refreshToken: string) => sessions.refresh({ ...TARGET, refreshToken });
  const { refreshToken, token } = await refresh(heldBy(user));
  expect(await faultOf(refresh(old))).toBe("SESSION_REVOKED");
  expect(await faultOf(refresh(refreshToken))).toBe("SESSION_REVOKED");
  expect(await faultOf(sessions.decrypt({ ...TARGET, token }))).toBe("SESSION_REVOKED");
}
