// Keys of outside issuers that must not verify, and tokens that do not say which key is theirs.
import { createHash, createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DuctapeError, type Jwk } from "ductape";
import { openStore } from "../src/stores/url.js";
import { encoded } from "./forge.js";
import { CLAIMS, issuerBench, jwkOf, KEYS, pemOf, signed, type Algorithm } from "./issuer-bench.js";
import { faultOf } from "./session-bench.js";
import { callAny, clientWith, contextOf } from "./support.js";

const ISSUER = { tag: "idp", issuer: CLAIMS.iss, audience: "https://api.example.com" };

let server: Server;
let url = "";
let keySet: { readonly keys: readonly unknown[] } = { keys: [] };
beforeAll(async () => {
  server = createServer((_, response) => response.end(JSON.stringify(keySet)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

const rsa = jwkOf("RS256", "k");
const without = (jwk: Jwk): Jwk => ({ ...jwk, kid: undefined });
/** The key with another exponent: 3 bytes as base64url. */
const withExponent = (bytes: number[]): Jwk => ({
  ...rsa,
  e: Buffer.from(bytes).toString("base64url"),
});

/** A token that nobody signed: with an exponent of 1 a signature is the padded hash itself. */
function tokenOfNobody(kid: string): string {
  const text = `${encoded({ alg: "RS256", typ: "JWT", kid })}.${encoded(CLAIMS)}`;
  const hash = Buffer.from(HASH_PREFIX + hashOf(text), "hex");
  const padding = Buffer.alloc(256 - 3 - hash.length, 0xff);
  const message = Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), hash]);
  return `${text}.${message.toString("base64url")}`;
}

/** DER of "a SHA-256 follows" (RFC 8017, 9.2, note 1). */
const HASH_PREFIX = "3031300d060960864801650304020105000420";

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

describe("an RSA key with an exponent of 1, for which anybody can make a token,", () => {
  const open = withExponent([1]);
  const token = tokenOfNobody("k");

  it("verifies anybody's token, if a program lets it", () => {
    const [head = "", body = "", signature = ""] = token.split(".");
    const key = createPublicKey({ key: { ...open }, format: "jwk" });
    const isVerified = verify(
      "sha256",
      Buffer.from(`${head}.${body}`),
      key,
      Buffer.from(signature, "base64url"),
    );
    expect(isVerified).toBe(true);
  });

  it("is refused in every definition", async () => {
    const pem = createPublicKey({ key: { ...open }, format: "jwk" });
    const definitions = [
      { public_key: open },
      { public_key: String(pem.export({ type: "spki", format: "pem" })) },
      { jwks: { keys: [rsa, open] } },
    ];
    for (const definition of definitions) {
      const created = issuerBench({ algorithms: ["RS256"], ...definition });
      await expect(created).rejects.toThrow(/exponent e that is not odd, under 3/);
    }
  });

  it("is passed over in a key set that is fetched", async () => {
    keySet = { keys: [open, without(open)] };
    await using bench = await issuerBench({ algorithms: ["RS256"], jwks: `${url}/open` });
    expect(await faultOf(bench.run(token))).toBe("SESSION_INVALID");
  });

  it("verifies nothing in a definition stored earlier", async () => {
    const store = openStore("memory:", contextOf(Date.now));
    for (const stored of [{ public_key: rsa }, { jwks: { keys: [rsa] } }]) {
      await using bench = await issuerBench({ algorithms: ["RS256"], ...stored }, { store });
      const { changes } = await store.documents.changes(0);
      const kept = changes.find(({ key }) => key.startsWith("session/"));
      const value = String(kept?.value).replaceAll(`"e":"AQAB"`, `"e":"AQ"`);
      expect(value).toContain(`"e":"AQ"`);
      const write = { key: kept?.key ?? "", ifRevision: kept?.revision ?? 0, value };
      expect(await store.documents.write([write], [])).toBe(null);
      const view = bench.client.product.sessions.fetch("shop", "idp");
      expect(JSON.stringify(await view)).toContain(`"e":"AQ"`);
      expect(await faultOf(bench.run(token))).toBe("SESSION_INVALID");
      await bench.client.product.delete("shop", { force: true });
    }
  });
});

describe("a key that is not for verifying by the named algorithms", () => {
  const ec = jwkOf("ES256", "k");
  const other = (curve: string) =>
    generateKeyPairSync("ec", { namedCurve: curve }).publicKey.export({ format: "jwk" });
  const x25519 = generateKeyPairSync("x25519").publicKey.export({ format: "jwk" });
  const ed448 = generateKeyPairSync("ed448").publicKey.export({ format: "jwk" });
  const short = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const secret = KEYS.RS256.privateKey.export({ format: "jwk" });
  const secretPem = String(KEYS.RS256.privateKey.export({ type: "pkcs8", format: "pem" }));

  const CASES: readonly (readonly [string, Jwk | string, Algorithm, RegExp])[] = [
    ["for encryption", { ...rsa, use: "enc" }, "RS256", /has use "enc", expects "sig"/],
    ["of an odd use", { ...rsa, use: ["sig"] }, "RS256", /has use an array of 1/],
    ["that signs only", { ...rsa, key_ops: ["sign"] }, "RS256", /key_ops without "verify"/],
    ["of odd operations", { ...rsa, key_ops: "verify" }, "RS256", /key_ops without "verify"/],
    ["of another alg", { ...rsa, alg: "PS256" }, "RS256", /is for alg "PS256", which is not/],
    ["of an alg of secrets", { ...rsa, alg: "HS256" }, "RS256", /is for alg "HS256"/],
    ["of an alg that is none", { ...rsa, alg: 256 }, "RS256", /has alg 256, expects a text/],
    ["with an even exponent", withExponent([1, 0, 0]), "RS256", /exponent e that is not odd/],
    ["with an exponent of 0", withExponent([0]), "RS256", /exponent e|cannot be read/],
    ["with a huge exponent", withExponent(Array(16).fill(255)), "RS256", /more than 64 bits/],
    ["that is short", short.publicKey.export({ format: "jwk" }), "RS256", /has 1024 bits/],
    [
      "that is short, in PEM",
      String(short.publicKey.export({ type: "spki", format: "pem" })),
      "PS256",
      /has 1024 bits, expects 2048 to 16384/,
    ],
    ["of another curve", other("P-384"), "ES256", /is not a key for ES256/],
    ["of a curve of coins", other("secp256k1"), "ES256", /is not a key for ES256/],
    ["off its curve", { ...ec, y: ec.x }, "ES256", /cannot be read/],
    ["for agreements", x25519, "EdDSA", /is not a key for EdDSA/],
    ["of a longer curve", ed448, "EdDSA", /is not a key for EdDSA/],
    ["without its numbers", { kty: "RSA" }, "RS256", /cannot be read/],
    ["of an odd kind", { kty: "AKP", pub: "x" }, "RS256", /expects a public JWK of kty RSA/],
    ["that is private", secret, "RS256", /is a private key: give only its public part/],
    ["that is half private", { ...rsa, p: secret.p }, "RS256", /is a private key/],
    ["that is private, in PEM", secretPem, "RS256", /is a private key/],
    ["that is a secret", { kty: "oct", k: "c2VjcmV0" }, "RS256", /is a shared secret/],
  ];

  it.each(CASES)("%s is refused in a definition, and not shown", async (_, key, alg, why) => {
    await using client = await clientWith([]);
    const inSet = typeof key === "string" ? [] : [{ jwks: { keys: [jwkOf(alg, "right"), key] } }];
    for (const given of [{ public_key: key }, ...inSet]) {
      const input = { ...ISSUER, algorithms: [alg], ...given };
      const fault = await callAny(client.product.sessions, "create", "shop", input).then(
        () => null,
        (error: unknown) => error,
      );
      if (!DuctapeError.is(fault)) throw new Error("it was taken");
      const [path = ""] = Object.keys(given);
      expect([fault.code, fault.issues?.map((issue) => issue.path)]).toEqual([
        "VALIDATION",
        [path],
      ]);
      expect(fault.message).toMatch(why);
      if (path === "jwks") expect(fault.message).toContain("keys[1]");
      for (const part of secretsIn(key)) expect(fault.message).not.toContain(part.slice(0, 16));
    }
    expect(await client.product.sessions.fetchAll("shop")).toEqual([]);
  });

  it.each(CASES)("%s is passed over in a set that is fetched", async (name, key, alg) => {
    if (typeof key === "string") return;
    keySet = { keys: [{ ...key, kid: "k" }, null, "x", { ...without(jwkOf(alg, "k")), kid: "r" }] };
    const jwks = `${url}/${encodeURIComponent(name)}`;
    await using bench = await issuerBench({ algorithms: [alg], jwks });
    expect(await faultOf(bench.run(signed(alg, CLAIMS, { kid: "k" })))).toBe("SESSION_INVALID");
    expect(await faultOf(bench.run(signed(alg, CLAIMS, { kid: "r" })))).toBe("no fault");
  });

  it("is refused for one of several algorithms, and by apply", async () => {
    await using client = await clientWith([]);
    const algorithms = ["RS256", "ES256"];
    const input = { ...ISSUER, algorithms, public_key: pemOf("RS256") };
    await expect(callAny(client.product.sessions, "create", "shop", input)).rejects.toThrow(
      "public_key: is not a key for ES256",
    );
    const sessions = [{ ...ISSUER, algorithms: ["RS256"], public_key: withExponent([1]) }];
    await expect(
      callAny(client.product, "apply", { products: [{ tag: "shop", sessions }] }),
    ).rejects.toMatchObject({ code: "VALIDATION" });
  });

  it("is distinguished from a verifying key by its use, key_ops or alg", async () => {
    for (const says of [{ use: "sig" }, { key_ops: ["verify"] }, { alg: "RS256", x5c: ["x"] }]) {
      await using bench = await issuerBench({
        algorithms: ["RS256"],
        public_key: { ...rsa, ...says },
      });
      expect(await faultOf(bench.run(signed("RS256")))).toBe("no fault");
    }
    const named = { ...jwkOf("EdDSA", "k"), alg: "EdDSA" };
    await using bench = await issuerBench({ algorithms: ["EdDSA"], public_key: named });
    expect(await faultOf(bench.run(signed("EdDSA")))).toBe("no fault");
  });
});

function secretsIn(key: Jwk | string): string[] {
  if (typeof key === "string") return key.split("\n").slice(1, -2);
  return ["d", "p", "q", "k"].flatMap((name) => {
    const value = key[name];
    return typeof value === "string" ? [value] : [];
  });
}

it("a secret in place of a URL or a key is not shown", async () => {
  await using client = await clientWith([]);
  const pem = String(KEYS.ES256.privateKey.export({ type: "pkcs8", format: "pem" }));
  const wrong = [
    { jwks: pem },
    { jwks: "https://admin:hunter2-secret@a.example/keys" },
    { public_key: pem.replaceAll("\n", " ") },
    { jwks: [KEYS.ES256.privateKey.export({ format: "jwk" })] },
  ];
  for (const given of wrong) {
    const input = { ...ISSUER, algorithms: ["ES256"], ...given };
    const fault = await callAny(client.product.sessions, "create", "shop", input).catch(String);
    expect(fault).toMatch(/VALIDATION|jwks|public_key/);
    expect(fault).not.toContain("hunter2");
    expect(fault).not.toContain(pem.split("\n")[1]?.slice(0, 16));
  }
});

describe("a token that does not say which key is its own", () => {
  const pairs = Array.from({ length: 9 }, () => generateKeyPairSync("ec", { namedCurve: "P-256" }));
  const jwks = (kidOf: (i: number) => object) => ({
    keys: pairs.map(({ publicKey }, i) => ({
      ...publicKey.export({ format: "jwk" }),
      ...kidOf(i),
    })),
  });
  const token = (i: number, header: object) =>
    signed("ES256", { ...CLAIMS, jti: String(i) }, header, pairs[i]?.privateKey);

  it.each([
    ["as it has no kid, and the keys have some", (i: number) => ({ kid: `k${i}` }), {}],
    ["as neither has a kid", () => ({}), {}],
    ["as several keys share its kid", () => ({ kid: "same" }), { kid: "same" }],
    ["as the keys have no kid, and it has one", () => ({}), { kid: "any" }],
  ])("is tried with the first 8 keys that fit: %s", async (_, kidOf, header) => {
    const others = [jwkOf("RS256", "rsa"), jwkOf("EdDSA", "ed")];
    const set = { keys: [...others, ...jwks(kidOf).keys] };
    keySet = set;
    for (const place of [set, `${url}/${encodeURIComponent(JSON.stringify(header))}${_}`]) {
      await using bench = await issuerBench({ jwks: place });
      const faults: string[] = [];
      for (const i of pairs.keys()) faults.push(await faultOf(bench.run(token(i, header))));
      expect(faults).toEqual([...Array(8).fill("no fault"), "SESSION_INVALID"]);
      const stranger = signed("ES256", CLAIMS, header);
      await expect(bench.run(stranger)).rejects.toMatchObject({
        code: "SESSION_INVALID",
        message: "session.token: is not a valid token of this session",
      });
    }
  });

  it("is tried with no key of another name", async () => {
    await using bench = await issuerBench({ jwks: jwks((i) => ({ kid: `k${i}` })) });
    expect(await faultOf(bench.run(token(0, { kid: "k0" })))).toBe("no fault");
    expect(await faultOf(bench.run(token(0, { kid: "k1" })))).toBe("SESSION_INVALID");
    expect(await faultOf(bench.run(token(0, { kid: "k" })))).toBe("SESSION_INVALID");
  });

  it("uses a key just fetched, if the set has changed", async () => {
    const [first, second] = jwks(() => ({})).keys;
    keySet = { keys: [first] };
    await using bench = await issuerBench({ jwks: `${url}/rotated` });
    expect(await faultOf(bench.run(token(0, {})))).toBe("no fault");
    keySet = { keys: [second] };
    expect(await faultOf(bench.run(token(1, {})))).toBe("SESSION_INVALID");
    bench.clock.advance(30_000);
    expect(await faultOf(bench.run(token(1, {})))).toBe("no fault");
  });
});
