import { afterAll, describe, expect, it } from "vitest";
import { storeSuite } from "ductape/testing";
import { POSTGRES_BIN, postgresPlace, startPostgres } from "./postgres.js";

const server = POSTGRES_BIN === null ? null : await startPostgres(["fsync = off"]);
afterAll(() => server?.stop());

describe.runIf(server !== null)("postgres", () => {
  const place = () => {
    if (server === null) throw new Error("there is no server");
    return postgresPlace(server);
  };
  it.each(storeSuite(place).map(({ name, run }) => [name, run] as const))("%s", (_name, run) =>
    run(),
  );

  it("is run", () => {
    expect(server).not.toBe(null);
  });
});
