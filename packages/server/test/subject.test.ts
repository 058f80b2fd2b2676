// One way to say who is meant, for decisions and for usage: in the library, over HTTP, remotely.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RemoteDuctape, type Client, type SubjectInput } from "ductape";
import { ROOT_KEY, startWith, type Started } from "./support.js";

const AT = { product_tag: "shop", env: "prd" } as const;
const ODD = ["ada", "userId=ada", "abc==", '{"userId":"ada"}', '"ada"', "[1]", "a&b=c d+e%"];

let server: Started;
let remote: RemoteDuctape;
beforeAll(async () => {
  const rule = { limit: 1_000, period: "month" } as const;
  server = await startWith([
    { tag: "calls", ...rule, scope: "$Session{userId}" },
    { tag: "deep", ...rule, scope: "$Session{team}{id}" },
    { tag: "all", ...rule },
  ]);
  remote = new RemoteDuctape({ url: server.url, apiKey: ROOT_KEY });
  const { quota } = server.ductape.processor;
  for (const [i, subject] of ODD.entries()) {
    const input = { ...AT, quota_tag: "calls", subject, amount: 400 + i } as const;
    await quota.run({ ...input, action: "increment" });
  }
  const subject = { team: { id: 7 } };
  await quota.run({ ...AT, quota_tag: "deep", subject, amount: 5, action: "increment" });
});
afterAll(async () => {
  await remote.close();
  await server.close();
});

describe.each([
  ["the library", (): Client => server.ductape],
  ["a client of a server", (): Client => remote],
])("who is meant, in %s,", (_, client) => {
  const history = (quota_tag: string, subject?: SubjectInput) =>
    client().usage.history({ ...AT, quota_tag, ...(subject === undefined ? {} : { subject }) });

  it.each(ODD)("is the text %j itself, or the value at the selector", async (text) => {
    const expected = { subject: text, windows: [{ used: 400 + ODD.indexOf(text) }] };
    expect(await history("calls", text)).toMatchObject(expected);
    expect(await history("calls", { userId: text })).toMatchObject(expected);
    expect((await history("calls", text)).last_seen).toMatch(/^2\d{3}-.*Z$/);
  });

  it("is found at a selector of several steps", async () => {
    const found = await history("deep", { team: { id: 7 }, plan: "pro" });
    expect(found).toMatchObject({ subject: "7", windows: [{ used: 5 }] });
  });

  it("is reported as unknown if nothing was ever counted", async () => {
    expect(await history("calls", "nobody")).toMatchObject({
      last_seen: null,
      windows: [{ used: 0, limit: 1_000 }],
    });
  });

  it.each<[string, SubjectInput, string]>([
    [
      "calls",
      { user: "ada" },
      'rule "default" counts by $Session{userId}: expects userId, got user',
    ],
    [
      "deep",
      { team: "a" },
      'rule "default" counts by $Session{team}{id}: expects team.id, got team',
    ],
    ["calls", { "a b": 1, c: 2 }, 'expects userId, got "a b", c'],
  ])("is refused by name where %s is given %j", async (quota_tag, subject, message) => {
    await expect(history(quota_tag, subject)).rejects.toThrow(message);
    const run = client().processor.quota.run({ ...AT, quota_tag, subject, action: "check" });
    await expect(run).rejects.toThrow(message.replace('rule "default"', `quota "${quota_tag}"`));
  });

  it("is refused for a counter of the whole product", async () => {
    await expect(history("all", "ada")).rejects.toThrow("has no meaning");
    expect((await history("all")).last_seen).toBeNull();
  });
});

it("HTTP accepts a text, or JSON if it begins like JSON", async () => {
  const ask = async (subject: string) => {
    const query = new URLSearchParams({ ...AT, quota_tag: "calls", subject });
    const { status, body } = await server.call(`/v1/usage/history?${query}`);
    return [status, body["subject"] ?? body["detail"]];
  };
  expect(await ask("ada")).toEqual([200, "ada"]);
  expect(await ask("userId=ada")).toEqual([200, "userId=ada"]);
  expect(await ask('{"userId":"ada"}')).toEqual([200, "ada"]);
  expect(await ask('"{"')).toEqual([200, "{"]);
  const message = 'subject: expects JSON, because it begins with { or a quote, got "{ada"';
  expect(await ask("{ada")).toEqual([400, message]);
});
