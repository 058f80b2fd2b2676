import { createHmac, generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encoded, forged } from "./forge.js";
import { CLAIMS, issuerBench, jwkOf, KEYS, NOW_S, pemOf, signed } from "./issuer-bench.js";
import { faultOf } from "./session-bench.js";
import { callAny, clientWith } from "./support.js";

let server: Server;
let origin = "";
let hits = 0;
let answer: (path: string) => { status?: number; headers?: object; body: string } = () => ({
  body: "{}",
});
beforeAll(async () => {
  server = createServer((request, response) => {
    hits++;
    const { status = 200, headers = {}, body } = answer(request.url ?? "");
    response.writeHead(status, { ...headers }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

describe("a token of an outside issuer", () => {
  it.each(["RS256", "PS256", "ES256", "EdDSA"] as const)(
    "signed with %s scopes quotas as it is, by a PEM, a JWK or a key set",
    async (alg) => {
      const jwk = jwkOf(alg, "k1");
      for (const key of [
        { public_key: pemOf(alg) },
        { public_key: `\n${pemOf(alg)}\n` },
        { public_key: jwk },
        { jwks: { keys: [jwk] } },
      ]) {
        await using bench = await issuerBench({ ...key, algorithms: [alg] });
        const token = signed(alg, CLAIMS, { kid: "k1" });
        for (const text of [token, `idp:${token}`]) {
          expect(await bench.run(text)).toMatchObject({ subject: "auth0|u-7", allowed: true });
        }
        const target = { product: "shop", env: "prd", tag: "idp", token };
        expect(await bench.client.processor.sessions.decrypt(target)).toEqual(CLAIMS);
        bench.clock.advance(3_600_000);
        expect(await faultOf(bench.run(token))).toBe("SESSION_EXPIRED");
      }
    },
  );

  it("is refused for another issuer, audience, algorithm, key, form or time", async () => {
    await using bench = await issuerBench({ public_key: pemOf("RS256"), algorithms: ["RS256"] });
    const [head = "", body = "", signature = ""] = signed("RS256").split(".");
    const { exp: _, ...endless } = CLAIMS;
    const tokens = [
      signed("RS256", { ...CLAIMS, iss: "https://login.example.com" }),
      signed("RS256", { ...CLAIMS, aud: "other" }),
      signed("RS256", { ...CLAIMS, aud: [["https://api.example.com"]] }),
      signed("RS256", endless),
      signed("RS256", { ...CLAIMS, exp: String(CLAIMS.exp) }),
      signed("RS256", { ...CLAIMS, nbf: NOW_S + 31 }),
      signed("RS256", { ...CLAIMS, exp: NOW_S + 400 * 86_400 }),
      signed("RS256", CLAIMS, {}, KEYS.PS256.privateKey),
      signed("PS256", CLAIMS, {}, KEYS.RS256.privateKey),
      signed("ES256"),
      signed("EdDSA"),
      signed("RS256", CLAIMS, { crit: ["exp"] }),
      signed("RS256", CLAIMS, { jku: `${origin}/evil` }),
      signed("RS256", CLAIMS, { typ: "ductape-session+jwt" }),
      `${head}.${body}.`,
      `${encoded({ alg: "none" })}.${body}.`,
      `${head}.${body}.${signature.slice(0, -4)}`,
      ...[pemOf("RS256"), pemOf("RS256").trim()].map((pem) =>
        forged({ alg: "HS256", typ: "JWT" }, CLAIMS, createHmac("sha256", pem).digest()),
      ),
      ...[pemOf("RS256"), pemOf("RS256").trim()].map((pem) =>
        forged({ alg: "HS256", typ: "JWT" }, CLAIMS, pem),
      ),
    ];
    const before = hits;
    for (const token of tokens) {
      await expect(bench.run(token)).rejects.toMatchObject({
        code: "SESSION_INVALID",
        message: "session.token: is not a valid token of this session",
      });
    }
    expect(hits).toBe(before);
  });

  it("that names nobody is SUBJECT_REQUIRED with the path, and without its data", async () => {
    await using bench = await issuerBench({
      public_key: pemOf("ES256"),
      algorithms: ["ES256"],
      selector: "$Session{org}{member}",
    });
    const token = signed("ES256", { ...CLAIMS, org: { plan: "a-secret-plan" } });
    const fault = await bench.run(token).catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: "SUBJECT_REQUIRED" });
    expect(String(fault)).toContain("$Session{org}{member}");
    expect(String(fault)).not.toContain("a-secret-plan");
  });

  it("is not started, refreshed, revoked or listed here", async () => {
    await using bench = await issuerBench({ public_key: pemOf("ES256"), algorithms: ["ES256"] });
    const { sessions } = bench.client.processor;
    const target = { product: "shop", env: "prd", tag: "idp" };
    const calls = [
      sessions.start({ ...target, data: {} }),
      sessions.refresh({ ...target, refreshToken: "x" }),
      sessions.revoke({ ...target, identifier: "x" }),
      sessions.list(target),
    ];
    for (const call of calls) expect(await faultOf(call)).toBe("VALIDATION");
  });
});

describe("keys behind a URL", () => {
  const keySet = (...kids: string[]) => ({
    body: JSON.stringify({ keys: kids.map((kid) => jwkOf("ES256", kid)) }),
  });
  const token = (kid: string) => signed("ES256", { ...CLAIMS, exp: NOW_S + 30 * 86_400 }, { kid });

  it("are fetched once for many tokens, and again for an unknown one after a pause", async () => {
    answer = () => keySet("a");
    await using bench = await issuerBench({ jwks: `${origin}/keys` });
    const before = hits;
    await Promise.all(Array.from({ length: 50 }, () => bench.run(token("a"))));
    expect(hits - before).toBe(1);
    for (let i = 0; i < 200; i++) {
      expect(await faultOf(bench.run(token(`unknown-${i}`)))).toBe("SESSION_INVALID");
    }
    expect(hits - before).toBe(1);
    answer = () => keySet("b");
    bench.clock.advance(30_000);
    expect(await faultOf(bench.run(token("b")))).toBe("no fault");
    expect(hits - before).toBe(2);
    const noise = Array.from({ length: 200 }, (_, i) => faultOf(bench.run(token(`more-${i}`))));
    expect(new Set(await Promise.all(noise))).toEqual(new Set(["SESSION_INVALID"]));
    expect(hits - before).toBe(2);
  });

  it("serve for a day while they cannot be fetched again, and not longer", async () => {
    answer = () => keySet("a");
    await using bench = await issuerBench({ jwks: `${origin}/stale` });
    await bench.run(token("a"));
    answer = () => ({ status: 503, body: "" });
    bench.clock.advance(86_400_000);
    expect(await faultOf(bench.run(`idp:${token("a")}`))).toBe("no fault");
    bench.clock.advance(1_001);
    const other = signed("ES256", { ...CLAIMS, exp: NOW_S + 9 * 86_400 }, { kid: "a" });
    expect(await faultOf(bench.run(other))).toBe("ISSUER_UNAVAILABLE");
    answer = () => keySet("a");
    bench.clock.advance(1_001);
    expect(await faultOf(bench.run(other))).toBe("no fault");
  });

  it("are fetched again once a clock that was years ahead is right", async () => {
    answer = () => keySet("a");
    await using bench = await issuerBench({ jwks: `${origin}/ahead` });
    bench.clock.advance(3_652 * 86_400_000);
    expect(await faultOf(bench.run(token("a")))).toBe("SESSION_EXPIRED");
    bench.clock.set(NOW_S * 1_000);
    answer = () => keySet("b");
    expect(await faultOf(bench.run(token("b")))).toBe("no fault");
  });

  it.each([
    ["an error", () => ({ status: 500, body: "" })],
    ["a redirect", () => ({ status: 302, headers: { location: "/keys" }, body: "" })],
    ["more than 64 kB", () => ({ body: " ".repeat(65_537) })],
    ["no JSON", () => ({ body: "<html>" })],
    ["no key set", () => ({ body: "[]" })],
  ])(
    "that answer with %s are ISSUER_UNAVAILABLE, one request for all who wait",
    async (_, wrong) => {
      answer = wrong;
      await using bench = await issuerBench({ jwks: `${origin}/wrong` });
      const before = hits;
      const faults = await Promise.all(
        Array.from({ length: 20 }, () => faultOf(bench.run(token("a")))),
      );
      expect(new Set(faults)).toEqual(new Set(["ISSUER_UNAVAILABLE"]));
      expect(hits - before).toBe(1);
      expect(await faultOf(bench.run(token("a")))).toBe("ISSUER_UNAVAILABLE");
      expect(hits - before).toBe(1);
    },
  );

  it("with secrets or keys of other kinds among them give none for those", async () => {
    const secret = Buffer.from("s".repeat(32));
    const oct = { kty: "oct", k: secret.toString("base64url"), kid: "a", alg: "HS256" };
    answer = () => ({ body: JSON.stringify({ keys: [oct, null, { kty: "RSA" }] }) });
    await using bench = await issuerBench({ jwks: `${origin}/oct` });
    const hmac = forged({ alg: "HS256", typ: "JWT", kid: "a" }, CLAIMS, secret);
    for (const text of [hmac, token("a")]) {
      expect(await faultOf(bench.run(text))).toBe("SESSION_INVALID");
    }
  });
});

describe("the definition of an outside issuer", () => {
  const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  const rsa = { issuer: "i", audience: "a", algorithms: ["RS256"], public_key: pemOf("RS256") };
  const { public_key: _, ...keyless } = rsa;
  it.each([
    ["no audience", { ...rsa, audience: undefined }, "audience"],
    ["no algorithms", { ...rsa, algorithms: [] }, "algorithms"],
    ["a shared secret", { ...rsa, algorithms: ["HS256"] }, "algorithms"],
    ["no key", keyless, "jwks"],
    ["two keys", { ...rsa, jwks: "https://a.example" }, "jwks"],
    ["http elsewhere", { ...keyless, jwks: "http://a.example/keys" }, "jwks"],
    ["a password", { ...keyless, jwks: "https://u:p@a.example/keys" }, "jwks"],
    ["a file", { ...keyless, jwks: "file:///etc/passwd" }, "jwks"],
    ["a secret in a key set", { ...keyless, jwks: { keys: [{ kty: "oct", k: "a" }] } }, "jwks"],
    ["no PEM", { ...rsa, public_key: "x" }, "public_key"],
    [
      "a private key",
      { ...rsa, public_key: KEYS.RS256.privateKey.export({ format: "jwk" }) },
      "public_key",
    ],
    ["a key of another kind", { ...rsa, public_key: pemOf("ES256") }, "public_key"],
    ["a key too short", { ...rsa, public_key: short.export({ format: "jwk" }) }, "public_key"],
    ["an expiry", { ...rsa, expiry: 7 }, "expiry"],
    ["a schema", { ...rsa, schema: { sub: "x" } }, "schema"],
  ])("with %s is VALIDATION that names the field", async (_name, definition, path) => {
    await using client = await clientWith([]);
    const created = callAny(client.product.sessions, "create", "shop", {
      tag: "idp",
      ...definition,
    });
    await expect(created).rejects.toMatchObject({
      code: "VALIDATION",
      issues: [{ path }],
    });
    expect(await client.product.sessions.fetchAll("shop")).toEqual([]);
  });
});
