import { copyFileSync, renameSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape } from "ductape";
import { DATA, faultOf, sessionBench, TARGET } from "./session-bench.js";
import { inputOf, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const silent = { warn: () => undefined };
const canMove = process.platform !== "win32";
if (!canMove) console.warn("SKIPPED: files replaced while in use, which Windows does not allow");

let files = 0;

/** A client on a file with a session that it has seen, and copies of the file before and after. */
async function opened() {
  const path = `${folder.path}/${files++}.db`;
  const store = `sqlite:${path}`;
  await (await sessionBench({ store, clock: undefined })).client.close();
  copyFileSync(path, `${path}.before`);
  const maker = new Ductape({ store });
  const first = await maker.processor.sessions.start({ ...TARGET, data: DATA });
  await maker.close();
  copyFileSync(path, `${path}.after`);
  const client = new Ductape({ store, logger: silent });
  const { sessions, quota } = client.processor;
  const run = (token: string) =>
    faultOf(quota.run(inputOf({ session: { tag: TARGET.tag, token } })));
  expect(await run(first.token)).toBe("no fault");
  return { path, store, client, sessions, run, first };
}

describe.runIf(canMove)("a store's file that is replaced under a client", () => {
  it("is asked for its keys: no token of other ones is taken, new ones are its own", async () => {
    const { path, store, client, sessions, run, first } = await opened();
    renameSync(`${path}.before`, path);
    expect(await faultOf(client.product.fetchAll())).toBe("STORE_UNAVAILABLE");
    expect(await run(first.token)).toBe("SESSION_INVALID");
    const { token } = await sessions.start({ ...TARGET, data: DATA });
    expect(await run(token)).toBe("no fault");
    await using other = new Ductape({ store });
    expect(await other.processor.sessions.decrypt({ ...TARGET, token })).toEqual(DATA);
    await client.close();
  });

  it("is asked for its revocations: one that it does not hold is none", async () => {
    const { path, client, sessions, run, first } = await opened();
    await sessions.revoke({ ...TARGET, sessionId: first.sessionId });
    expect(await run(first.token)).toBe("SESSION_REVOKED");
    renameSync(`${path}.after`, path);
    expect(await faultOf(client.product.fetchAll())).toBe("STORE_UNAVAILABLE");
    expect(await run(first.token)).toBe("no fault");
    await client.close();
  });
});
