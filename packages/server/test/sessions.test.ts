import { afterAll, beforeAll, expect, it } from "vitest";
import { DuctapeError, RemoteDuctape } from "ductape";
import { manualClock } from "ductape/testing";
import { ROOT_KEY, startWith, type Started } from "./support.js";

const clock = manualClock("2026-05-15T12:00:00Z");
const target = { product: "shop", env: "prd", tag: "login" };

let server: Started;
beforeAll(async () => {
  server = await startWith([{ tag: "q", limit: 5, period: "day", scope: "$Session{userId}" }], {
    clock,
  });
  await server.ductape.product.sessions.create("shop", {
    tag: "login",
    schema: { userId: "u", plan: "free" },
    selector: "$Session{userId}",
    expiry: 1,
  });
});
afterAll(() => server.close());

const call = async (name: string, body: object) => {
  const reply = await server.call(`/v1/sessions/${name}`, { body });
  return { ...reply.body, status: reply.body["status"] ?? reply.status };
};
const start = (userId: string) => call("start", { ...target, data: { userId, plan: "free" } });
const textIn = (body: object, name: string): string => String(Reflect.get(body, name));

it("starts, uses, decrypts, refreshes, lists and revokes a session", async () => {
  const started = await start("ada");
  expect(started).toMatchObject({ status: 200, expiresAt: "2026-05-15T13:00:00.000Z" });
  const token = textIn(started, "token");
  const used = await server.call("/v1/quota/run", {
    body: {
      env: "prd",
      product_tag: "shop",
      quota_tag: "q",
      action: "increment",
      session: { tag: "login", token },
    },
  });
  expect(used.body).toMatchObject({ subject: "ada", used: 1 });
  expect(await call("decrypt", { ...target, token })).toMatchObject({
    userId: "ada",
    plan: "free",
  });
  const refreshed = await call("refresh", {
    ...target,
    refreshToken: textIn(started, "refreshToken"),
  });
  expect(refreshed).toMatchObject({ status: 200, sessionId: textIn(started, "sessionId") });
  // The names before stand beside those of the wire for a while.
  expect(refreshed).toMatchObject({
    session_id: textIn(refreshed, "sessionId"),
    refresh_token: textIn(refreshed, "refreshToken"),
    expires_at: textIn(refreshed, "expiresAt"),
  });
  const refresh_token = textIn(refreshed, "refresh_token");
  expect(await call("refresh", { ...target, refresh_token })).toMatchObject({ status: 200 });
  const two = { ...target, refresh_token, refreshToken: "another" };
  expect(await call("refresh", two)).toMatchObject({ status: 400, code: "VALIDATION" });
  expect(await call("refresh", target)).toMatchObject({
    status: 400,
    issues: [{ path: "refresh_token", message: "is required: a string" }],
  });
  await start("bob");
  const listed = await call("list", { ...target, identifier: "ada" });
  expect(listed).toMatchObject({
    sessions: [{ identifier: "ada", revoked_at: null, revokedAt: null }],
    next: null,
  });
  expect(await call("rotate", { product: "shop", env: "prd" })).toMatchObject({ status: 200 });
  expect(await call("revoke", { ...target, identifier: "ada" })).toMatchObject({ revoked: 1 });
  expect(await call("decrypt", { ...target, token })).toMatchObject({
    status: 401,
    code: "SESSION_REVOKED",
  });
});

it("shows no token in a fault, and no session in a log", async () => {
  server.audit.length = 0;
  const started = await start("eve");
  const token = textIn(started, "token");
  const wrong = await call("decrypt", { ...target, token: `${token.slice(0, -2)}xx` });
  expect(wrong).toMatchObject({ status: 401, code: "SESSION_INVALID" });
  expect(JSON.stringify(wrong)).not.toContain(token.slice(0, 20));
  const typed = await call("decrypt", { ...target, token: 5, tokn: token });
  expect(typed).toMatchObject({ status: 400, code: "VALIDATION" });
  expect(JSON.stringify(typed)).not.toContain(token.slice(0, 20));
  await call("revoke", { ...target, session_id: textIn(started, "session_id") });
  expect(server.audit).toMatchObject([{ event: "sessions.revoke", after: { revoked: 1 } }]);
  expect(JSON.stringify(server.audit)).not.toContain(token.slice(0, 20));
  expect(server.warnings).toEqual([]);
});

it("names the fields of a fault over HTTP as they are named there", async () => {
  const unknown = await call("refresh", { ...target, refresh_token: "nobody" });
  expect(unknown).toMatchObject({
    status: 401,
    code: "SESSION_INVALID",
    retryable: false,
    detail: "refresh_token: is not a valid refresh token of this session",
  });
  const empty = await call("refresh", { ...target, refresh_token: "" });
  expect(JSON.stringify(empty)).toContain("refresh_token: ");
  expect(JSON.stringify(empty)).not.toContain("refreshToken");
  const fay = await start("fay");
  const [refresh_token, session_id] = [textIn(fay, "refresh_token"), textIn(fay, "session_id")];
  await call("revoke", { ...target, session_id });
  expect(await call("refresh", { ...target, refresh_token })).toMatchObject({
    status: 401,
    code: "SESSION_REVOKED",
    detail: "refresh_token: its session has been revoked",
  });
  expect(await call("revoke", target)).toMatchObject({
    status: 400,
    code: "VALIDATION",
    issues: [{ path: "session_id", message: "expects either session_id or identifier" }],
  });
});

it("names them in a client of a server as in the library", async () => {
  await using client = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY });
  const { sessions } = client.processor;
  const faultOf = async (work: Promise<unknown>): Promise<DuctapeError> => {
    const fault: unknown = await work.catch((error: unknown) => error);
    if (!DuctapeError.is(fault)) throw new Error("it should have failed", { cause: fault });
    return fault;
  };
  const refused = { ...target, refreshToken: "nobody" };
  const local = server.ductape.processor.sessions;
  const unknown = { ...target, tag: "none" };
  for (const [mine, theirs] of [
    [faultOf(sessions.refresh(refused)), faultOf(local.refresh(refused))],
    [faultOf(sessions.revoke(target)), faultOf(local.revoke(target))],
    [faultOf(sessions.list(unknown)), faultOf(local.list(unknown))],
  ] as const) {
    const [told, expected] = [await mine, await theirs];
    expect(told.message).toBe(expected.message);
    expect(told.issues).toEqual(expected.issues);
    expect([told.code, told.name]).toEqual([expected.code, expected.name]);
  }
});
