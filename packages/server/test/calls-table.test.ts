// That every row of the tables of calls has its route.
import type { Command } from "commander";
import { ALL_CALLS, type Call } from "ductape/calls";
import { expect, it } from "vitest";
import { SCOPES } from "../src/access.js";
import { SERVER_CALLS } from "../src/calls.js";
import { ductapeProgram } from "../src/commands/program.js";
import { ROUTES } from "../src/routes/index.js";
import { serverRoutes } from "../src/routes/server.js";

const ROWS = new Map([...ALL_CALLS, ...Object.entries(SERVER_CALLS)]);
const ALL = [...ROUTES, ...serverRoutes(ROUTES, "0.1.0")];

it("every row has one route, with its scopes, and every route is of a row", () => {
  const told = ({ method, path, scopes }: Pick<Call, "method" | "path" | "scopes">) =>
    `${method} ${path} ${scopes?.join(" ")}`;
  expect(ALL.map(told).toSorted()).toEqual([...ROWS.values()].map(told).toSorted());
});

it("every row has its commands, and every command that is not its own is of a row", () => {
  const leaves = (command: Command, above: string): string[] =>
    command.commands.length === 0
      ? [`${above}${command.name()}`]
      : command.commands.flatMap((part) => leaves(part, `${above}${command.name()} `));
  const all = ductapeProgram().commands.flatMap((command) => leaves(command, ""));
  const actions = "check increment decrement set reset grant reserve commit extend release".split(
    " ",
  );
  const others = ["serve", "export", "schema", "completion"];
  expect(all.toSorted()).toEqual(
    [
      ...[...ROWS.values()].flatMap(({ commands }) => commands),
      ...actions.map((action) => `quota ${action}`),
      ...others,
    ].toSorted(),
  );
});

it("only what needs no key is outside /v1", () => {
  const open = [...ROWS.values()].filter(({ scopes }) => scopes === null);
  expect(open.filter(({ path }) => path.startsWith("/v1"))).toEqual([]);
  expect(ROUTES.filter(({ path }) => !path.startsWith("/v1"))).toEqual([]);
});

it("keys name each scope once, after those that include it", () => {
  expect(SCOPES).toEqual([
    "*",
    "quota:admin",
    "quota:check",
    "quota:increment",
    "quota:decrement",
    "quota:set",
    "quota:reset",
    "quota:grant",
    "quota:reserve",
    "quota:commit",
    "quota:extend",
    "quota:release",
    "catalogue:*",
    "catalogue:read",
    "catalogue:write",
    "features:*",
    "features:run",
    "features:reserve",
    "features:commit",
    "features:extend",
    "features:release",
    "features:check",
    "sessions:*",
    "sessions:start",
    "sessions:decrypt",
    "sessions:refresh",
    "sessions:revoke",
    "sessions:list",
    "sessions:rotate",
    "usage:read",
    "keys:admin",
  ]);
});
