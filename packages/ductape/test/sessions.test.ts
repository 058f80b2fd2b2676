import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { manualClock } from "ductape/testing";
import {
  DATA,
  faultOf,
  HOUR_MS,
  sessionBench,
  START_MS,
  TARGET,
  USER_SESSION,
} from "./session-bench.js";
import { temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

let files = 0;
const stores = ["memory:", "sqlite:"] as const;
const freshUrl = (store: string) =>
  store === "memory:" ? store : `sqlite:${folder.path}/sessions-${files++}.db`;

describe.each(stores)("sessions on %s", (store) => {
  it("run the seed's example with a real token, in both forms", async () => {
    const clock = manualClock(START_MS);
    await using ductape = new Ductape({ store: freshUrl(store), clock });
    await ductape.product.create({ tag: "my-product", name: "My product" });
    await ductape.product.environments.create("my-product", { slug: "prd" });
    await ductape.product.quotas.create("my-product", {
      tag: "api-requests",
      limit: 2,
      period: "month",
      scope: "$Session{userId}",
    });
    await ductape.product.sessions.create("my-product", USER_SESSION);
    const { token } = await ductape.processor.sessions.start({
      ...TARGET,
      product: "my-product",
      data: DATA,
    });
    const data = (text: string) =>
      ({
        env: "prd",
        product_tag: "my-product",
        quota_tag: "api-requests",
        action: "increment",
        amount: 1,
        session: { tag: "user-session", token: text },
      }) as const;
    const first = await ductape.processor.quota.run(data(token));
    expect(first).toMatchObject({ allowed: true, subject: "u-1", used: 1 });
    const second = await ductape.processor.quota.run(data(`user-session:${token}`));
    expect(second).toMatchObject({ allowed: true, used: 2 });
    expect(await ductape.processor.quota.run(data(token))).toMatchObject({ allowed: false });
  });

  it("return their data and their expiry", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const { token, expiresAt, sessionId } = await bench.start();
    expect(expiresAt).toBe("2026-05-15T19:00:00.000Z");
    expect(await bench.sessions.decrypt({ ...TARGET, token })).toEqual(DATA);
    expect(await bench.sessions.list(TARGET)).toEqual({
      sessions: [
        {
          sessionId,
          identifier: "u-1",
          createdAt: "2026-05-15T12:00:00.000Z",
          refreshedAt: "2026-05-15T12:00:00.000Z",
          expiresAt,
          revokedAt: null,
        },
      ],
      next: null,
    });
    bench.clock.advance(7 * HOUR_MS - 1);
    expect(await faultOf(bench.run(token))).toBe("no fault");
    bench.clock.advance(1);
    expect(await faultOf(bench.run(token))).toBe("SESSION_EXPIRED");
  });

  it("are read by who holds the token, unless they are encrypted", async () => {
    for (const encrypted of [false, true]) {
      const url = freshUrl(store);
      await using bench = await sessionBench({ store: url }, { encrypted });
      const { token } = await bench.start();
      const texts = token.split(".").map((part) => Buffer.from(part, "base64url").toString());
      expect(texts.some((text) => text.includes("u-1"))).toBe(!encrypted);
      expect(token.split(".")).toHaveLength(encrypted ? 5 : 3);
      expect((await bench.run(token)).allowed).toBe(true);
    }
  });

  it("are refreshed with the same data, each token once, and again for a minute", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const first = await bench.start();
    bench.clock.advance(HOUR_MS);
    const second = await bench.refresh(first.refreshToken);
    bench.clock.advance(60_000);
    const again = await bench.refresh(first.refreshToken);
    expect(again.refreshToken).toBe(second.refreshToken);
    expect(again.sessionId).toBe(first.sessionId);
    for (const { token } of [first, second, again]) {
      expect(await bench.sessions.decrypt({ ...TARGET, token })).toEqual(DATA);
    }
    const third = await bench.refresh(second.refreshToken);
    expect(third.refreshToken).not.toBe(second.refreshToken);
    expect(await faultOf(bench.refresh(first.refreshToken))).toBe("SESSION_REVOKED");
    for (const { token } of [first, second, again, third]) {
      expect(await faultOf(bench.run(token))).toBe("SESSION_REVOKED");
    }
    expect(await faultOf(bench.refresh(third.refreshToken))).toBe("SESSION_REVOKED");
  });

  it("are revoked by a refresh token that is used a second time after a minute", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const first = await bench.start();
    const second = await bench.refresh(first.refreshToken);
    bench.clock.advance(60_001);
    expect(await faultOf(bench.refresh(first.refreshToken))).toBe("SESSION_REVOKED");
    expect(await faultOf(bench.run(second.token))).toBe("SESSION_REVOKED");
  });

  it("are not revoked by who knows their id, but none of their refresh tokens", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const { sessionId, token, refreshToken } = await bench.start();
    const forged = `${sessionId}.${"A".repeat(22)}.${"A".repeat(43)}`;
    expect(await faultOf(bench.refresh(forged))).toBe("SESSION_INVALID");
    expect(await faultOf(bench.refresh(token))).toBe("SESSION_INVALID");
    expect((await bench.run(token)).allowed).toBe(true);
    expect(await faultOf(bench.refresh(refreshToken))).toBe("no fault");
  });

  it("can be refreshed until 30 days after their token ended", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const first = await bench.start();
    bench.clock.advance(7 * HOUR_MS + 30 * 24 * HOUR_MS - 1_000);
    const second = await bench.refresh(first.refreshToken);
    bench.clock.advance(7 * HOUR_MS + 30 * 24 * HOUR_MS);
    expect(await faultOf(bench.refresh(second.refreshToken))).toBe("SESSION_INVALID");
    expect(await bench.sessions.list(TARGET)).toEqual({ sessions: [], next: null });
  });

  it("end at once when they are revoked, by id or all of one identifier", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const [a, b, c] = [await bench.start(), await bench.start(), await bench.start()];
    const other = await bench.start({ userId: "u-2" });
    for (const { token } of [a, b, c, other]) await bench.run(token, { action: "check" });
    const { sessionId } = a;
    expect(await bench.sessions.revoke({ ...TARGET, sessionId })).toEqual({ revoked: 1 });
    expect(await bench.sessions.revoke({ ...TARGET, sessionId })).toEqual({ revoked: 0 });
    expect(await faultOf(bench.run(a.token))).toBe("SESSION_REVOKED");
    expect(await faultOf(bench.run(b.token))).toBe("no fault");
    expect(await bench.sessions.revoke({ ...TARGET, identifier: "u-1" })).toEqual({ revoked: 2 });
    for (const { token, refreshToken } of [b, c]) {
      expect(await faultOf(bench.run(token))).toBe("SESSION_REVOKED");
      expect(await faultOf(bench.refresh(refreshToken))).toBe("SESSION_REVOKED");
    }
    expect(await faultOf(bench.run(other.token))).toBe("no fault");
  });

  it("are listed page by page, all or those of one identifier", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const ids: Record<string, string[]> = { "u/1": [], "u%2F1": [] };
    for (let i = 0; i < 14; i++) {
      const userId = i % 2 === 0 ? "u/1" : "u%2F1";
      ids[userId]?.push((await bench.start({ userId })).sessionId);
    }
    for (const identifier of [undefined, "u/1", "u%2F1"]) {
      const found: string[] = [];
      let after: string | undefined;
      for (;;) {
        const page = await bench.sessions.list({ ...TARGET, identifier, after, limit: 3 });
        found.push(...page.sessions.map(({ sessionId }) => sessionId));
        if (page.next === null) break;
        after = page.next;
      }
      const wanted = identifier === undefined ? Object.values(ids).flat() : ids[identifier];
      expect(found).toEqual(wanted?.toSorted());
    }
  });

  it("keep their tokens valid across a rotation, until the last one has ended", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const before = await bench.start();
    const { kid } = await bench.client.product.sessions.rotate("shop", { env: "prd" });
    const after = await bench.start();
    expect(Buffer.from(after.token, "base64url").toString()).toContain(kid);
    expect(Buffer.from(before.token, "base64url").toString()).not.toContain(kid);
    bench.clock.advance(7 * HOUR_MS - 1);
    for (const { token } of [before, after]) {
      expect(await faultOf(bench.run(token))).toBe("no fault");
    }
    bench.clock.advance(1);
    expect(await faultOf(bench.run(before.token))).toBe("SESSION_EXPIRED");
    bench.clock.advance(60_000);
    expect(await faultOf(bench.run(before.token))).toBe("SESSION_INVALID");
  });

  it("never come back with a definition or an environment that is made again", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const { product } = bench.client;
    const { token, refreshToken } = await bench.start();
    expect(await faultOf(bench.run(token))).toBe("no fault");
    await product.sessions.delete("shop", TARGET.tag);
    expect(await faultOf(bench.run(token))).toBe("SESSION_NOT_FOUND");
    await product.sessions.create("shop", USER_SESSION);
    expect(await faultOf(bench.run(token))).toBe("SESSION_INVALID");
    expect(await faultOf(bench.refresh(refreshToken))).toBe("SESSION_INVALID");
    const { token: next } = await bench.start();
    expect(await faultOf(bench.run(next))).toBe("no fault");
    await product.environments.update("shop", "prd", { active: false });
    expect(await faultOf(bench.run(next))).toBe("ENVIRONMENT_INACTIVE");
    await product.environments.delete("shop", "prd", { force: true });
    await product.environments.create("shop", { slug: "prd" });
    expect(await faultOf(bench.run(next))).toBe("SESSION_INVALID");
  });

  it("scope counters and pick plans by nested values, and name a missing path", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    await bench.client.product.quotas.create("shop", {
      tag: "plans",
      scope: "$Session{details}{team}",
      limit: { by: "$Session{plan}", values: { free: 1, pro: 3 }, default: 0 },
      period: "day",
    });
    const plans = { quota_tag: "plans" };
    const free = await bench.start();
    const pro = await bench.start({ ...DATA, plan: "pro" });
    expect(await bench.run(free.token, plans)).toMatchObject({ subject: "t-9", limit: 1, used: 1 });
    expect(await bench.run(pro.token, plans)).toMatchObject({ subject: "t-9", limit: 3, used: 2 });
    expect(await bench.run(free.token, plans)).toMatchObject({ allowed: false, asked_by: "u-1" });
    const nobody = await bench.start({ userId: "u-3" });
    await expect(bench.run(nobody.token, plans)).rejects.toMatchObject({
      code: "SUBJECT_REQUIRED",
      issues: [{ path: "session.details.team", message: "is missing" }],
    });
  });

  it("answer a retry with a refreshed token as the same request", async () => {
    await using bench = await sessionBench({ store: freshUrl(store) });
    const first = await bench.start();
    const key = { idempotency_key: "k" };
    await bench.run(first.token, key);
    const { token } = await bench.refresh(first.refreshToken);
    expect(await bench.run(token, key)).toMatchObject({ replayed: true, used: 1 });
    const other = await bench.start({ ...DATA, userId: "u-2" });
    expect(await faultOf(bench.run(other.token, key))).toBe("IDEMPOTENCY_CONFLICT");
  });
});

describe("stored secrets", () => {
  const secret = "an-example-of-a-secret-of-32-characters";

  it("are sealed by the client's secret: nothing in the file is worth a token", async () => {
    const path = `${folder.path}/sealed.db`;
    const clock = manualClock(START_MS);
    const bench = await sessionBench({ store: `sqlite:${path}`, secret, clock });
    const { token, refreshToken } = await bench.start({ ...DATA, plan: "a-plan-nobody-may-read" });
    await bench.client.close();
    const bytes = ["", "-wal"].map((end) => readIfThere(`${path}${end}`)).join("");
    const stored = /"kid":"[^"]+","secret":"([^"]+)","is_sealed":true/.exec(bytes)?.[1] ?? "";
    // 32 bytes as text, sealed with a nonce and a tag: never the key itself.
    expect(Buffer.from(stored, "base64url")).toHaveLength(43 + 12 + 16);
    for (const part of [...refreshToken.split(".").slice(1), token, "a-plan-nobody-may-read"]) {
      expect(bytes).not.toContain(part);
    }
    for (const wrong of [undefined, `${secret}!`]) {
      await using other = new Ductape({ store: `sqlite:${path}`, clock, secret: wrong });
      await expect(other.processor.sessions.decrypt({ ...TARGET, token })).rejects.toMatchObject({
        code: "VALIDATION",
        issues: [{ path: "options.secret" }],
      });
    }
    await using same = new Ductape({ store: `sqlite:${path}`, clock, secret });
    expect(await same.processor.sessions.decrypt({ ...TARGET, token })).toMatchObject(DATA_OTHER);
  });

  it("refuses a secret that could be guessed, and does not show it", () => {
    const short = "too-short-to-be-one";
    expect(() => new Ductape({ store: "memory:", secret: short })).toThrow("options.secret");
    expect(() => new Ductape({ store: "memory:", secret: short })).not.toThrow(short);
  });
});

const DATA_OTHER = { userId: "u-1", plan: "a-plan-nobody-may-read" };

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
