import { createHmac, generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DuctapeError } from "ductape";
import { manualClock } from "ductape/testing";
import { openStore } from "../src/stores/url.js";
import { encoded, forged, opened, secretsOf, type Part } from "./forge.js";
import { DATA, HOUR_MS, sessionBench, START_MS, TARGET, USER_SESSION } from "./session-bench.js";
import { contextOf } from "./support.js";

const MESSAGE = "session.token: is not a valid token of this session";

/** Counts what reaches it: no token may make us ask anybody for anything. */
let requests = 0;
let server: Server;
let url = "";
beforeAll(async () => {
  server = createServer((_, response) => {
    requests++;
    response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

async function attackBench(options: { encrypted?: boolean } = {}) {
  const clock = manualClock(START_MS);
  const store = openStore("memory:", contextOf(clock));
  const bench = await sessionBench({ store, clock }, options);
  const { token, refreshToken } = await bench.start();
  const secrets = await secretsOf(store);
  const [[kid, secret] = ["", new Uint8Array()]] = secrets;
  const sign = (header: Part, claims: Part) => forged(header, claims, secret);
  return { ...bench, clock, store, token, refreshToken, kid, secret, sign };
}

type AttackBench = Awaited<ReturnType<typeof attackBench>>;

/** Expects each token to be refused in the same words, and nothing to be counted or asked. */
async function expectRefused(
  { run, client, token }: AttackBench,
  tokens: readonly string[],
  code = "SESSION_INVALID",
): Promise<void> {
  expect(tokens.length).toBeGreaterThan(0);
  const before = requests;
  const faults = await Promise.all(
    tokens.map((text) =>
      run(text).then(
        () => null,
        (error: unknown) => error,
      ),
    ),
  );
  for (const [i, fault] of faults.entries()) {
    const told = `${tokens[i]?.slice(0, 200)}`;
    if (!DuctapeError.is(fault)) throw new Error(`not refused: ${told} (${String(fault)})`);
    expect([fault.code, told]).toEqual([code, told]);
    if (code === "SESSION_INVALID") expect(fault.message).toBe(MESSAGE);
    expect(fault.cause).toBe(undefined);
  }
  const quota = client.processor.quota;
  const counted = { env: "prd", product_tag: "shop", quota_tag: "q", action: "check" } as const;
  expect(await quota.run({ ...counted, subject: DATA.userId })).toMatchObject({ used: 0 });
  expect(requests).toBe(before);
  const genuine = { ...counted, session: { tag: TARGET.tag, token } };
  if (code === "SESSION_INVALID") expect(await quota.run(genuine)).toMatchObject({ used: 0 });
}

/** The text with each of its bits flipped, one at a time. */
function flipsOf(text: string): string[] {
  const bytes = Buffer.from(text, "latin1");
  return Array.from({ length: bytes.length * 8 }, (_, bit) => {
    const copy = Buffer.from(bytes);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return copy.toString("latin1");
  });
}

const own = ({ token }: AttackBench) => opened(token);

/** Groups of attacks: each names what it tries and makes its tokens from a genuine one. */
const ATTACKS: Readonly<Record<string, (bench: AttackBench) => string[]>> = {
  "an algorithm other than the session's": (bench) => {
    const { header, claims } = own(bench);
    const algs = ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "hs256", "dir"];
    const others = [["HS256"], null, 256, true, { alg: "HS256" }, "HS256 ", "A256GCM"];
    const { alg: _, ...without } = header;
    const signed = [...algs, ...others].map((alg) => bench.sign({ ...header, alg }, claims));
    const unsigned = algs.map((alg) => `${encoded({ ...header, alg })}.${encoded(claims)}.`);
    return [...signed, ...unsigned, bench.sign(without, claims)];
  },
  "an HMAC made with a public key, or with a short, empty or guessed one": (bench) => {
    const { header, claims } = own(bench);
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pem = String(publicKey.export({ type: "spki", format: "pem" }));
    const secrets = [pem, `\n ${pem}`, pem.trim(), "", "secret", "\0", "0".repeat(32), bench.kid];
    return secrets.map((secret) => forged(header, claims, secret));
  },
  "a key id that is missing, unknown, a path, SQL or a name that objects inherit": (bench) => {
    const { header, claims } = own(bench);
    const { kid: _, ...without } = header;
    const kids = ["", "x", "A".repeat(16), "../../dev/null", "' OR 1=1 --", "__proto__", "0", null];
    const others = [
      "constructor",
      "toString",
      7,
      [bench.kid],
      {},
      `${bench.kid} `,
      "A".repeat(999),
    ];
    const all = [...kids, ...others].map((kid) => bench.sign({ ...header, kid }, claims));
    return [...all, bench.sign(without, claims)];
  },
  "a key brought along or pointed at": (bench) => {
    const { header, claims } = own(bench);
    const jwk = { kty: "oct", k: Buffer.from("a".repeat(32)).toString("base64url") };
    const hints = [{ jku: url }, { x5u: url }, { jwk }, { x5c: ["MIIB"] }, { jku: url, kid: "x" }];
    return hints.flatMap((hint) => [
      bench.sign({ ...header, ...hint }, claims),
      forged({ ...header, ...hint }, claims, "a".repeat(32)),
    ]);
  },
  "a header with more or other members than ours": (bench) => {
    const { header, claims } = own(bench);
    const more = [{ crit: ["exp"] }, { crit: [] }, { b64: false, crit: ["b64"] }, { zip: "DEF" }];
    const types = ["JWT", "", "DUCTAPE-SESSION+JWT", null, "application/ductape-session+jwt"];
    const headers = [...more, { cty: "JWT" }, ...types.map((typ) => ({ typ }))];
    const { typ: _, ...without } = header;
    return [...headers, {}].map((change, i) =>
      bench.sign(i === headers.length ? without : { ...header, ...change }, claims),
    );
  },
  "a text that is not canonical base64url": (bench) => {
    const [header = "", claims = "", signature = ""] = bench.token.split(".");
    const last = signature.slice(-1);
    const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 32 bytes leave two stray bits in the last digit: the same bytes in other words.
    const strays = [1, 2, 3].map((bits) => digits[digits.indexOf(last) | bits] ?? "");
    const at = digits.indexOf(last);
    expect(at % 4).toBe(0);
    return [
      ...strays.map((digit) => `${header}.${claims}.${signature.slice(0, -1)}${digit}`),
      ...[" ", "\n", "\t", "=", "\r", "\0", "\u00a0", "é"].flatMap((extra) => [
        `${bench.token}${extra}`,
        `${extra}${bench.token}`,
        `${header}.${claims}${extra}.${signature}`,
        `${header}${extra}.${claims}.${signature}`,
      ]),
      bench.token.replaceAll("-", "+").replaceAll("_", "/").replace(/$/, "="),
    ];
  },
  "another number of parts": (bench) => {
    const [header = "", claims = "", signature = ""] = bench.token.split(".");
    return [
      "",
      ".",
      "..",
      "....",
      header,
      `${header}.${claims}`,
      `${header}.${claims}.`,
      `.${claims}.${signature}`,
      `${header}..${signature}`,
      `${bench.token}.`,
      `${bench.token}.${signature}`,
      `${bench.token}.${signature}.${signature}`,
      `${header}..${claims}.${signature}.${signature}`,
    ];
  },
  "a header or claims that are no JSON object, or name a member twice": (bench) => {
    const { header, claims } = own(bench);
    const [first, second] = [JSON.stringify(header), JSON.stringify(claims)];
    const wrong = ["", "null", "[]", "1", '"a"', "{", `${second}x`, `[${second}]`, "\ufeff{}"];
    const twice = (text: string, more: string) => `${text.slice(0, -1)},${more}}`;
    return [
      ...wrong.map((text) => bench.sign(header, text)),
      ...wrong.map((text) => bench.sign(text, claims)),
      bench.sign(twice(first, '"alg":"HS256"'), claims),
      bench.sign(twice(first, String.raw`"\u0061lg":"HS256"`), claims),
      bench.sign(header, twice(second, '"sub":"u-1"')),
      bench.sign(header, twice(second, String.raw`"s\u0075b":"u-1"`)),
      bench.sign(header, second.replace('"team":', '"team":"x","team":')),
      bench.sign(header, Buffer.from([0x7b, 0xff, 0x7d]).toString("latin1")),
    ];
  },
  "a token past 8 kB": (bench) => {
    const { header, claims } = own(bench);
    const long = (length: number) => ({
      ...claims,
      data: { userId: "u-1", x: "x".repeat(length) },
    });
    return [bench.sign(header, long(6_200)), "a".repeat(8_193), `${"a.".repeat(100_000)}a`];
  },
  "a signature that is cut, empty, of another token, or of other claims": (bench) => {
    const { header, claims } = own(bench);
    const [head = "", body = "", signature = ""] = bench.token.split(".");
    const other = bench.sign(header, { ...claims, sub: "u-2" });
    const [, otherBody = "", otherSignature = ""] = other.split(".");
    return [
      ...Array.from(signature, (_, i) => `${head}.${body}.${signature.slice(0, i)}`),
      `${head}.${body}.${otherSignature}`,
      `${head}.${otherBody}.${signature}`,
      `${head}.${body}.${createHmac("sha512", bench.secret).update("x").digest("base64url")}`,
    ];
  },
  "an instant that is missing, no number, ahead of time, or too far away": (bench) => {
    const { header, claims } = own(bench);
    const nowS = START_MS / 1_000;
    const not = [undefined, null, "1e12", String(nowS + 60), true, [nowS + 60], {}, -1, 1e300];
    const changes = [
      ...not.map((exp) => ({ exp })),
      ...not.map((iat) => ({ iat })),
      ...not.slice(1).map((nbf) => ({ nbf })),
      { iat: nowS + 31 },
      { nbf: nowS + 31 },
      { exp: nowS + 367 * 86_400 },
      { iat: nowS - 400 * 86_400 },
    ];
    const texts = ["NaN", "Infinity", "1e999"].map((exp) =>
      JSON.stringify(claims).replace(/"exp":\d+/, `"exp":${exp}`),
    );
    return [...changes.map((change) => ({ ...claims, ...change })), ...texts].map((each) =>
      bench.sign(header, each),
    );
  },
  "claims for another product, environment, session or end": (bench) => {
    const { header, claims } = own(bench);
    const changes = [
      { iss: "ductape2" },
      { iss: undefined },
      { aud: "shop/dev/" },
      { aud: "other/prd/" },
      { aud: ["shop/prd/"] },
      { aud: undefined },
      { tag: "other" },
      { tag: undefined },
      { def: "another" },
      { sid: undefined },
      { sub: undefined },
      { sub: 7 },
      { jti: undefined },
      { data: undefined },
      { data: "u-1" },
      { data: [] },
    ];
    return changes.map((change) => bench.sign(header, { ...claims, ...change }));
  },
  "a refresh token, and a token under another tag": (bench) => [
    bench.refreshToken,
    `${TARGET.tag}:${bench.refreshToken}`,
    `other:${bench.token}`,
    `:${bench.token}`,
    `${TARGET.tag}::${bench.token}`,
    `${TARGET.tag}:${TARGET.tag}:${bench.token}`,
    `${TARGET.tag}.${bench.token}`,
    `${TARGET.tag}:`,
    `Bearer ${bench.token}`,
  ],
};

describe("a token is refused in the same words, and nothing is counted or fetched, for", () => {
  it.each(Object.entries(ATTACKS))("%s", async (_, attack) => {
    await using bench = await attackBench();
    await expectRefused(bench, attack(bench));
  });

  it("any single bit that is flipped", { timeout: 60_000 }, async () => {
    for (const encrypted of [false, true]) {
      await using bench = await attackBench({ encrypted });
      const tag = `${TARGET.tag}:`;
      const flips = flipsOf(`${tag}${bench.token}`).slice(0, tag.length * 8);
      await expectRefused(bench, [...flipsOf(bench.token), ...flips]);
    }
  });

  it("a genuine token of another product, environment, session or form", async () => {
    await using bench = await attackBench();
    const { client, sessions } = bench;
    await client.product.create({ tag: "other" });
    await client.product.environments.create("other", { slug: "prd" });
    await client.product.environments.create("shop", { slug: "dev" });
    await client.product.sessions.create("other", USER_SESSION);
    await client.product.sessions.create("shop", { ...USER_SESSION, tag: "admin" });
    await client.product.sessions.create("shop", { ...USER_SESSION, tag: "s", encrypted: true });
    const targets = [{ product: "other" }, { env: "dev" }, { tag: "admin" }, { tag: "s" }];
    const started = await Promise.all(
      targets.map((target) => sessions.start({ ...TARGET, ...target, data: DATA })),
    );
    await expectRefused(
      bench,
      started.flatMap(({ token, refreshToken }) => [token, refreshToken]),
    );
    // A token verified in its own place is still invalid elsewhere.
    for (const [i, { token }] of started.entries()) {
      const target = { ...TARGET, ...targets[i], token };
      expect(await sessions.decrypt(target)).toEqual(DATA);
      await expectRefused(bench, [token]);
    }
  });

  it("an encrypted token made by who has no key, or asked for in another way", async () => {
    await using bench = await attackBench({ encrypted: true });
    const [header = "", key = "", nonce = "", text = "", tag = ""] = bench.token.split(".");
    const ours = { alg: "dir", enc: "A256GCM", typ: "ductape-session+jwt", kid: bench.kid };
    expect(encoded(ours)).toBe(header);
    const changed = (change: object) =>
      [encoded({ ...ours, ...change }), key, nonce, text, tag].join(".");
    await expectRefused(bench, [
      changed({ zip: "DEF" }),
      changed({ alg: "PBES2-HS256+A128KW", p2c: 1e9, p2s: "aa" }),
      changed({ alg: "A256KW" }),
      changed({ enc: "A128CBC-HS256" }),
      changed({ jku: url }),
      [header, "AAAA", nonce, text, tag].join("."),
      [header, key, "AAAA", text, tag].join("."),
      [header, key, nonce, text, "AAAA"].join("."),
      [header, key, nonce, tag, text].join("."),
      bench.sign({ ...ours, alg: "HS256", enc: undefined }, {}),
    ]);
  });
});

describe("a token", () => {
  it("may be from 30 s ahead, and expires at exactly its millisecond", async () => {
    await using bench = await attackBench();
    const { header, claims } = opened(bench.token);
    const nowS = START_MS / 1_000;
    const right = [{}, { iat: nowS + 30 }, { nbf: nowS + 30 }, { exp: nowS + 1 }];
    for (const change of right) {
      const token = bench.sign(header, { ...claims, ...change });
      expect(await bench.run(token, { action: "check" })).toMatchObject({ allowed: true });
    }
    const over = [nowS, nowS - 1, nowS - 0.001].map((exp) =>
      bench.sign(header, { ...claims, exp }),
    );
    await expectRefused(bench, over, "SESSION_EXPIRED");
  });

  it("that is revoked or expired is reported so only if it is genuine", async () => {
    await using bench = await attackBench();
    const { header, claims } = opened(bench.token);
    const changed = forged(header, claims, "not the key");
    await bench.sessions.revoke({ ...TARGET, identifier: DATA.userId });
    await expectRefused(bench, [bench.token], "SESSION_REVOKED");
    const same = bench.sign(header, { ...claims, jti: "another token of the session" });
    await expectRefused(bench, [same, `${TARGET.tag}:${bench.token}`], "SESSION_REVOKED");
    await expect(bench.run(changed)).rejects.toMatchObject({ code: "SESSION_INVALID" });
    bench.clock.advance(8 * HOUR_MS);
    await expectRefused(bench, [bench.token], "SESSION_EXPIRED");
    await expect(bench.run(changed)).rejects.toMatchObject({ code: "SESSION_INVALID" });
  });
});

describe("random tokens", () => {
  it("with unknown keys make a few reads of the store, however many they are", async () => {
    await using bench = await attackBench();
    const { header, claims } = opened(bench.token);
    const { changes } = bench.store.documents;
    let reads = 0;
    bench.store.documents.changes = (sequence) => {
      reads++;
      return changes.call(bench.store.documents, sequence);
    };
    const startedMs = performance.now();
    const kids = Array.from({ length: 2_000 }, (_, i) => i.toString(36).padStart(16, "k"));
    await expectRefused(
      bench,
      kids.map((kid) => bench.sign({ ...header, kid }, claims)),
    );
    const intervals = Math.ceil((performance.now() - startedMs) / 250);
    // One read for all of them; the rest is the poll that runs anyway.
    expect(reads).toBeLessThanOrEqual(1 + intervals + 1);
  });
});
