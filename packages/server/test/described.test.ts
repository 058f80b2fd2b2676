// What the OpenAPI document says of each field, and shows of each body.
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { namedSchemas, openApiOf, schemaName } from "../src/openapi.js";
import { takesBody } from "../src/route.js";
import { ROUTES } from "../src/routes/index.js";
import { serverRoutes } from "../src/routes/server.js";
import { PROBLEM } from "../src/schema/problem.js";
import { EXAMPLES } from "../src/schema/examples.js";
import { WORDS } from "../src/schema/words.js";
import { SCENES, answers, play } from "./story.js";
import { recordOf } from "./support.js";

const ALL = [...ROUTES, ...serverRoutes(ROUTES, "0.1.0")];

/** Every field of a schema by its path, with its description. */
function* fieldsOf(path: string, value: unknown): Generator<readonly [string, unknown]> {
  if (typeof value !== "object" || value === null) return;
  const { properties = {}, anyOf = [], items } = recordOf(value);
  for (const [name, field] of Object.entries(recordOf(properties))) {
    yield [`${path}.${name}`, recordOf(field)["description"]];
    yield* fieldsOf(`${path}.${name}`, field);
  }
  if (Array.isArray(anyOf)) for (const each of anyOf) yield* fieldsOf(path, each);
  yield* fieldsOf(path, items);
}

describe("the OpenAPI document", () => {
  it("describes every field and parameter", () => {
    const fields = Object.entries(namedSchemas()).flatMap(([id, schema]) => [
      ...fieldsOf(id, schema),
    ]);
    expect(fields.length).toBeGreaterThan(300);
    expect(fields.filter(([, description]) => !description).map(([path]) => path)).toEqual([]);
    const operations = Object.values(recordOf(openApiOf(ALL, "0.1.0")["paths"])).flatMap((path) =>
      Object.values(recordOf(path)).map(recordOf),
    );
    const told = operations.flatMap(({ parameters = [], operationId }) =>
      Array.isArray(parameters)
        ? parameters.map((each) => {
            const { name, description, schema } = recordOf(each);
            const said = description ?? recordOf(schema)["description"];
            return [`${String(operationId)}.${String(name)}`, said] as const;
          })
        : [],
    );
    expect(told.length).toBeGreaterThan(50);
    expect(told.filter(([, said]) => !said).map(([path]) => path)).toEqual([]);
  });

  it("has no words for fields that are not there", () => {
    const text = JSON.stringify(openApiOf(ALL, "0.1.0"));
    const unused = Object.entries(WORDS).filter(([, said]) => !text.includes(JSON.stringify(said)));
    expect(unused).toEqual([]);
  });

  it("shows an example of every body, which fits its schema", () => {
    const bodies = [
      PROBLEM,
      ...ALL.flatMap(({ method, input, answers: told }) => [
        ...(takesBody(method) ? [input] : []),
        ...Object.values(told).flatMap(({ schema }) => schema ?? []),
      ]),
    ];
    const wrong = bodies.flatMap((schema) => {
      const id = schemaName(schema);
      const examples = Object.entries(EXAMPLES[id] ?? {});
      if (examples.length === 0 && id !== "OpenApi") return [`${id} has no example`];
      return examples.flatMap(([title, value]) => {
        const { success, error } = z.safeParse(schema, value);
        return success ? [] : [`${id}, ${title}: ${error.message}`];
      });
    });
    expect(wrong).toEqual([]);
    const ids = new Set(bodies.map(schemaName));
    expect(Object.keys(EXAMPLES).filter((id) => !ids.has(id))).toEqual([]);
  });

  // `npx vitest run packages/server/test/described.test.ts --update` rewrites the answers.
  it("shows the answers that a server gives to the requests it shows", async () => {
    const played = await play();
    expect(played.map(([, { status }]) => status)).toEqual(SCENES.map(({ status }) => status));
    const sent = new Set(SCENES.flatMap(({ body }) => (body === undefined ? [] : [body[0]])));
    const shown = ALL.filter(({ method }) => takesBody(method)).map(({ input }) =>
      schemaName(input),
    );
    expect(shown.filter((id) => !sent.has(id))).toEqual([]);
    const text = `${JSON.stringify(await answers(), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot("../src/schema/answers.json");
  });
});
