import { SignJWT, jwtVerify } from "jose";
import type { Ductape, QuotaInput } from "ductape";
import { compare, type Contender } from "./measure.js";
import { clientOf, INCREMENT } from "./shop.js";

const USERS = 1_000;
const TARGET = { product: "shop", env: "prd", tag: "user" } as const;

async function clientWithSessions(): Promise<Ductape> {
  const ductape = await clientOf("memory:");
  await ductape.product.sessions.create("shop", {
    tag: "user",
    schema: { userId: "u", plan: "free" },
    selector: "$Session{userId}",
    expiry: 7,
  });
  return ductape;
}

const startAll = (ductape: Ductape, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, i) =>
      ductape.processor.sessions.start({
        ...TARGET,
        data: { userId: `user-${i % USERS}`, plan: "free" },
      }),
    ),
  );

/** A call with a session already seen beside one with a subject; then a token not seen before. */
export async function benchSessions(): Promise<string[]> {
  return [await seenSessions(), await firstSeenTokens()];
}

async function seenSessions(): Promise<string> {
  const ductape = await clientWithSessions();
  const tokens = (await startAll(ductape, USERS)).map(({ token }) => token);
  const { quota } = ductape.processor;
  let i = 0;
  const contender = (name: string, whose: readonly Partial<QuotaInput>[]): Contender => {
    const inputs = whose.map((each) => ({ ...INCREMENT, ...each }));
    return {
      name,
      async run(calls) {
        for (let call = 0; call < calls; call++) await quota.run(inputs[i++ % USERS] ?? INCREMENT);
      },
    };
  };
  const bySession = contender(
    "session",
    tokens.map((token) => ({ session: { tag: "user", token } })),
  );
  const bySubject = contender(
    "subject",
    tokens.map((_, user) => ({ subject: `user-${user}` })),
  );
  const rows = await compare([bySession, bySubject], 200_000);
  await ductape.close();
  return rowOf(rows, "session", "subject", "memory: a session seen before, beside a subject", 1.5);
}

async function firstSeenTokens(): Promise<string> {
  const ductape = await clientWithSessions();
  const tokens = (await startAll(ductape, 40_000)).map(({ token }) => token);
  const { sessions } = ductape.processor;
  let next = 0;
  const first: Contender = {
    name: "first",
    async run(calls) {
      for (let call = 0; call < calls; call++) {
        await sessions.decrypt({ ...TARGET, token: tokens[next++] ?? "" });
      }
    },
  };
  // The same claims, verified by jose alone with a key that is ready.
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign", "verify"]);
  const claims = Buffer.from(tokens[0]?.split(".")[1] ?? "", "base64url").toString();
  const plain = await Promise.all(
    Array.from({ length: 40_000 }, (_, i) =>
      new SignJWT({ ...JSON.parse(claims), jti: `jti-${i}` })
        .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: "a-key-of-16-long" })
        .sign(key),
    ),
  );
  let verified = 0;
  const peer: Contender = {
    name: "peer",
    async run(calls) {
      const options = { algorithms: ["HS256"], issuer: "ductape", audience: "shop/prd/" };
      for (let call = 0; call < calls; call++) {
        await jwtVerify(plain[verified++] ?? "", key, options);
      }
    },
  };
  const rows = await compare([first, peer], 5_000);
  await ductape.close();
  return rowOf(rows, "first", "peer", "an HS256 token not seen before, beside jose alone", 1.3);
}

type Rows = Awaited<ReturnType<typeof compare>>;

function rowOf(rows: Rows, ours: string, theirs: string, title: string, target: number): string {
  const ns = (name: string) => rows.get(name)?.medianNs ?? Number.NaN;
  const ratio = (ns(ours) / ns(theirs)).toFixed(2);
  return (
    `${title} | ${ns(ours).toFixed(0)} ns | ${ns(theirs).toFixed(0)} ns | ` +
    `${ratio} x time (<= ${target})`
  );
}
