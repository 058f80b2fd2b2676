import { describe, expect, it } from "vitest";
import { DuctapeError } from "ductape";
import { callAny } from "./support.js";
import { DATA, sessionBench, TARGET, USER_SESSION } from "./session-bench.js";

const LOGS: unknown[] = [];
const logger = { warn: (...told: unknown[]) => void LOGS.push(told) };
const SECRET = "what-nobody-may-read-in-a-log-or-an-error";

/** The fault of a call, which must be bad input and must not show the secret. */
async function issuesOf(call: Promise<unknown>): Promise<string[]> {
  const fault = await call.then(
    () => null,
    (error: unknown) => error,
  );
  if (!DuctapeError.is(fault)) throw new Error(`no fault but ${String(fault)}`);
  expect(JSON.stringify([fault.message, fault.stack, fault.issues, LOGS])).not.toContain(SECRET);
  expect(fault.message.length).toBeLessThan(2_000);
  return [fault.code, ...(fault.issues ?? []).map(({ path }) => path)];
}

describe("a session definition", () => {
  it.each([
    ["no schema", { schema: undefined }, ["schema"]],
    ["a schema that is no object", { schema: "u" }, ["schema"]],
    ["a selector that finds nothing", { selector: "$Session{userid}" }, ["selector"]],
    ["a selector of an object", { selector: "$Session{details}" }, ["selector"]],
    ["an inherited selector", { selector: "$Session{__proto__}{toString}" }, ["selector"]],
    ["a selector of another form", { selector: "userId" }, ["selector"]],
    ["no selector", { selector: undefined }, ["selector"]],
    ["no expiry", { expiry: undefined }, ["expiry"]],
    ["an expiry of 0", { expiry: 0 }, ["expiry"]],
    ["an expiry past a year", { expiry: 367, period: "days" }, ["expiry"]],
    ["an unknown period", { period: "fortnights" }, ["period"]],
    ["an unknown field", { expires: 7 }, ["expires"]],
    ["keys without an issuer", { jwks: "https://a.example", audience: "a" }, ["audience", "jwks"]],
    ["a wrong flag", { encrypted: "yes" }, ["encrypted"]],
    ["a function in its schema", { schema: { userId: "u", a: () => 1 } }, ["schema.a"]],
  ])("with %s is VALIDATION that names the field", async (_, change, paths) => {
    await using bench = await sessionBench();
    const input = { ...USER_SESSION, tag: "s", ...change };
    const created = callAny(bench.client.product.sessions, "create", "shop", input);
    expect(await issuesOf(created)).toEqual(["VALIDATION", ...paths]);
  });

  it("is made, read, changed and deleted like any other", async () => {
    await using bench = await sessionBench();
    const { sessions } = bench.client.product;
    const made = await sessions.fetch("shop", TARGET.tag);
    expect(made).toMatchObject({ ...USER_SESSION, encrypted: false, issuer: null, revision: 1 });
    const longer = await sessions.update("shop", TARGET.tag, { expiry: 2, period: "days" });
    expect(longer).toMatchObject({ expiry: 2, period: "days", revision: 2 });
    const { expiresAt } = await bench.start();
    expect(expiresAt).toBe("2026-05-17T12:00:00.000Z");
    expect((await sessions.fetchAll("shop")).map(({ tag }) => tag)).toEqual([TARGET.tag]);
    await sessions.delete("shop", TARGET.tag);
    expect(await sessions.fetchAll("shop")).toEqual([]);
  });
});

describe("the data of a session", () => {
  it.each([
    ["of another type", { ...DATA, plan: 7 }, ["VALIDATION", "data.plan"]],
    [
      "of another nested type",
      { ...DATA, details: { team: [SECRET] } },
      ["VALIDATION", "data.details.team"],
    ],
    ["with an unknown member", { ...DATA, [`plna`]: SECRET }, ["VALIDATION", "data.plna"]],
    ["without who it is", { plan: SECRET }, ["SUBJECT_REQUIRED", "data.userId"]],
    ["with an empty name", { ...DATA, userId: "" }, ["VALIDATION", "data.userId"]],
    ["with a name too long", { ...DATA, userId: SECRET.repeat(9) }, ["VALIDATION", "data.userId"]],
    ["past 4 kB", { ...DATA, plan: SECRET.repeat(100) }, ["VALIDATION", "data"]],
    ["that is a text", SECRET, ["VALIDATION", "data"]],
    ["with what JSON cannot say", { ...DATA, plan: Number.NaN }, ["VALIDATION", "data.plan"]],
  ])("%s is refused by its path, and told to nobody", async (_, data, wanted) => {
    await using bench = await sessionBench({ logger });
    const started = callAny(bench.sessions, "start", { ...TARGET, data });
    expect(await issuesOf(started)).toEqual(wanted);
  });

  it("may leave members out, and keeps names that objects inherit", async () => {
    const schema = { userId: 1, tags: ["a"], any: null, more: {} };
    await using bench = await sessionBench({}, { schema });
    const data: unknown = JSON.parse(
      '{"userId":7,"tags":["b","c"],"any":{"x":[1]},"more":{"__proto__":{"plan":"pro"}}}',
    );
    const started = await callAny(bench.sessions, "start", { ...TARGET, data });
    const { token } = started instanceof Object && "token" in started ? started : { token: null };
    const read = await callAny(bench.sessions, "decrypt", { ...TARGET, token });
    expect(JSON.stringify(read)).toBe(JSON.stringify(data));
    expect(await bench.run(String(token))).toMatchObject({ subject: "7" });
  });
});

describe("the input of a session call", () => {
  it("names each field that is missing, wrong or unknown, and shows no token", async () => {
    await using bench = await sessionBench({ logger });
    const calls: [name: string, input: unknown, paths: string[]][] = [
      ["start", {}, ["product", "env", "tag"]],
      ["start", null, ["input"]],
      ["start", { ...TARGET, data: DATA, ttl: 1 }, ["ttl"]],
      ["decrypt", { ...TARGET, token: [SECRET] }, ["token"]],
      ["decrypt", { ...TARGET, tokn: SECRET }, ["tokn", "token"]],
      ["refresh", { ...TARGET, refreshToken: { a: SECRET } }, ["refreshToken"]],
      ["refresh", { ...TARGET, refresh_token: SECRET }, ["refresh_token", "refreshToken"]],
      ["revoke", TARGET, ["sessionId"]],
      ["revoke", { ...TARGET, sessionId: "a", identifier: "b" }, ["sessionId"]],
      ["revoke", { ...TARGET, identifier: 7 }, ["identifier"]],
      ["list", { ...TARGET, limit: 0 }, ["limit"]],
      ["list", { ...TARGET, after: "" }, ["after"]],
    ];
    for (const [name, input, paths] of calls) {
      const about = `${name} ${JSON.stringify(input)}`;
      const issues = await issuesOf(callAny(bench.sessions, name, input));
      expect(issues, about).toEqual(["VALIDATION", ...paths]);
    }
    const unknown = { ...TARGET, env: "dev", token: SECRET };
    expect(await issuesOf(callAny(bench.sessions, "decrypt", unknown))).toEqual([
      "ENVIRONMENT_NOT_FOUND",
    ]);
  });

  it("shows neither a token nor the data of a session in any fault of a quota", async () => {
    await using bench = await sessionBench({ logger }, { schema: { userId: "u", x: null } });
    const { token } = await bench.start({ userId: "u-1", x: { deep: SECRET } });
    await bench.client.product.quotas.create("shop", {
      tag: "by-x",
      limit: 1,
      period: "day",
      scope: "$Session{x}",
    });
    expect(await issuesOf(bench.run(token, { quota_tag: "by-x" }))).toEqual([
      "VALIDATION",
      "session.x",
    ]);
    expect(await issuesOf(bench.run(SECRET))).toEqual(["SESSION_INVALID"]);
    const both = { quota_tag: "by-x", subject: "u" };
    expect(await issuesOf(bench.run(token, both))).toEqual(["VALIDATION", "subject"]);
  });
});
