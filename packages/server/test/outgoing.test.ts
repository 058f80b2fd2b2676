// The requests that a definition causes, and what is shown of the answers.
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EmbeddedDuctape } from "ductape";
import { CLAIMS, jwkOf, signed } from "../../ductape/test/issuer-bench.js";
import { START_MS } from "../../ductape/test/session-bench.js";
import { inputOf, start, temporaryFolder } from "./support.js";

/** A page of the server's own network. */
let internal: Server;
let url = "";
let hits = 0;
let body = "";
beforeAll(async () => {
  internal = createServer((_, response) => {
    hits++;
    response.end(body);
  });
  await new Promise<void>((resolve) => internal.listen(0, "127.0.0.1", resolve));
  const address = internal.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/keys`;
});
afterAll(() => new Promise((resolve) => internal.close(resolve)));

const definition = (jwks: string) => ({
  tag: "idp",
  issuer: CLAIMS.iss,
  audience: "https://api.example.com",
  algorithms: ["ES256"] as const,
  jwks,
});
const token = signed("ES256", CLAIMS, { kid: "a" });
const withToken = { body: inputOf({ session: { tag: "idp", token } }) };

/** A store that a program with another setting has written `jwks` to, and a server on it. */
async function serverOn(jwks: string, outgoing?: string | readonly string[]) {
  const folder = temporaryFolder();
  const store = `sqlite:${folder.path}/a.db`;
  await using program = new EmbeddedDuctape({ store });
  await program.product.create({ tag: "shop" });
  await program.product.environments.create("shop", { slug: "prd" });
  await program.product.quotas.create("shop", { tag: "q", limit: 5, period: "day" });
  await program.product.sessions.create("shop", definition(jwks));
  const server = await start({ store, outgoing, clock: () => START_MS });
  const end = async () => {
    await server.close();
    folder.remove();
  };
  return { ...server, [Symbol.asyncDispose]: end };
}

describe("the keys at a jwks URL", () => {
  const internalPage = "internal-secret: rotate-me";

  it("are not asked for within the server's own network", async () => {
    body = internalPage;
    const before = hits;
    for (const jwks of [url, url.replace("127.0.0.1", "localhost")]) {
      await using server = await serverOn(jwks);
      const { status, body: problem } = await server.call("/v1/quota/run", withToken);
      expect([status, problem["code"]]).toEqual([503, "ISSUER_UNAVAILABLE"]);
      expect(problem["detail"]).toContain("nor one that DUCTAPE_OUTGOING allows");
    }
    expect(hits).toBe(before);
  });

  it("cannot be defined if the address shows that it is forbidden", async () => {
    await using server = await serverOn("https://idp.example/keys");
    const path = "/v1/products/shop/sessions";
    for (const jwks of [url, "https://169.254.169.254/a", "https://[::ffff:10.0.0.1]/a"]) {
      const { status, body: problem } = await server.call(path, {
        body: { ...definition(jwks), tag: "other" },
      });
      expect([status, problem["code"]]).toEqual([400, "VALIDATION"]);
      expect(problem["issues"]).toMatchObject([
        { path: "jwks", message: expect.stringContaining("that DUCTAPE_OUTGOING allows") },
      ]);
    }
  });

  it("are fetched there if a setting allows it, and other content is not shown", async () => {
    for (const outgoing of ["127.0.0.0/8", ["127.0.0.1"], "any"]) {
      await using server = await serverOn(url, outgoing);
      for (const page of [internalPage, `"${internalPage}"`, `{"keys":"${internalPage}"}`]) {
        body = page;
        const { status, body: problem } = await server.call("/v1/quota/run", withToken);
        expect([status, problem["code"]]).toEqual([503, "ISSUER_UNAVAILABLE"]);
        expect(JSON.stringify(problem)).not.toMatch(/internal|secret|rotate|token/i);
      }
      expect(server.warnings.join()).not.toContain("internal");
    }
    body = JSON.stringify({ keys: [jwkOf("ES256", "a")] });
    await using server = await serverOn(url, ["127.0.0.1"]);
    const { status, body: result } = await server.call("/v1/quota/run", withToken);
    expect([status, result["allowed"]]).toEqual([200, true]);
  });
});

it("a setting of networks that are none keeps the server from starting", async () => {
  await expect(start({ outgoing: "localhost" })).rejects.toMatchObject({
    code: "VALIDATION",
    issues: [{ path: "options.outgoing" }],
  });
});
