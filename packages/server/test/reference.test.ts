import { expect, it } from "vitest";
import { ductapeProgram } from "../src/commands/program.js";
import { ROUTES } from "../src/routes/index.js";
import { serverRoutes } from "../src/routes/server.js";
import { VERSION } from "../src/version.js";
import { cliPage, httpPage } from "./reference.js";

const place = (page: string): string =>
  new URL(`../../../docs/reference/${page}`, import.meta.url).pathname;

// `npx vitest run packages/server/test/reference.test.ts --update` rewrites the pages.
it("the HTTP page describes each route and body as it is", async () => {
  const routes = [...ROUTES, ...serverRoutes(ROUTES, VERSION)];
  await expect(httpPage(routes)).toMatchFileSnapshot(place("http.md"));
});

it("the command line page describes each command and flag as it is", async () => {
  await expect(cliPage(ductapeProgram())).toMatchFileSnapshot(place("cli.md"));
});
