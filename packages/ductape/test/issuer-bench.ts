import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { EmbeddedOptions, SessionDefinition } from "ductape";
import { manualClock } from "ductape/testing";
import { encoded } from "./forge.js";
import { START_MS } from "./session-bench.js";
import { clientWith, inputOf } from "./support.js";

/** The instant of all tokens, in seconds. */
export const NOW_S = START_MS / 1_000;
/** What an identity provider says of a person. */
export const CLAIMS = {
  iss: "https://login.example.com/",
  aud: ["https://api.example.com", "other"],
  sub: "auth0|u-7",
  org: { plan: "pro" },
  iat: NOW_S,
  exp: NOW_S + 3_600,
};

/** The algorithms that tokens are made with here. */
export type Algorithm = "RS256" | "PS256" | "ES256" | "EdDSA";
/** A pair for each algorithm. */
export const KEYS = {
  RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  PS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: generateKeyPairSync("ed25519"),
};

/** A token as an identity provider makes it, by node:crypto alone. */
export function signed(
  alg: Algorithm,
  claims: object = CLAIMS,
  header: object = {},
  key?: KeyObject,
) {
  const text = `${encoded({ alg, typ: "JWT", ...header })}.${encoded(claims)}`;
  const privateKey = key ?? KEYS[alg].privateKey;
  const options = {
    RS256: { key: privateKey },
    PS256: { key: privateKey, padding: 6, saltLength: 32 },
    ES256: { key: privateKey, dsaEncoding: "ieee-p1363" as const },
    EdDSA: { key: privateKey },
  }[alg];
  const digest = alg === "EdDSA" ? null : "sha256";
  return `${text}.${sign(digest, Buffer.from(text), options).toString("base64url")}`;
}

/** The public key of an algorithm as PEM. */
export const pemOf = (alg: Algorithm) =>
  String(KEYS[alg].publicKey.export({ type: "spki", format: "pem" }));
/** The public key of an algorithm as a JWK. */
export const jwkOf = (alg: Algorithm, kid: string) => ({
  ...KEYS[alg].publicKey.export({ format: "jwk" }),
  kid,
});

/** A client with a session definition of an outside issuer. */
export async function issuerBench(
  definition: Partial<SessionDefinition>,
  options: EmbeddedOptions = {},
) {
  const clock = manualClock(START_MS);
  const quota = { tag: "q", limit: 100, period: "day", scope: "$Session{sub}" } as const;
  const client = await clientWith([quota], { clock, ...options });
  await client.product.sessions.create("shop", {
    tag: "idp",
    issuer: CLAIMS.iss,
    audience: "https://api.example.com",
    algorithms: ["RS256", "PS256", "ES256", "EdDSA"],
    ...definition,
  });
  const run = (token: string) =>
    client.processor.quota.run({ ...inputOf(), session: { tag: "idp", token } });
  return { client, clock, run, [Symbol.asyncDispose]: () => client.close() };
}
