import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EmbeddedDuctape, type Ductape } from "ductape";
import { callAny, clientWith, faultOf } from "./support.js";

let ductape: Ductape;
beforeAll(async () => {
  ductape = await clientWith([]);
});
afterAll(() => ductape.close());

let made = 0;
/** Makes a feature of any shape, with a tag of its own. */
const create = (fields: object): Promise<unknown> =>
  callAny(ductape.product.features, "create", "shop", { tag: `f${++made}`, ...fields });

const step = (tag: string, parents: readonly string[], ...events: readonly object[]) => ({
  tag,
  parents,
  events: events.length > 0 ? events : [{ type: "quota", event: tag }],
});

describe("a definition of a feature", () => {
  it("gets the default of every field that is left out", async () => {
    const bare = await ductape.product.features.create("shop", {
      tag: "bare",
      input: { n: { type: "integer" }, hint: { type: "string", default: "none" } },
      quotas: [{ quota: "q" }],
      handler: { url: "https://example.com/" },
    });
    expect(bare).toMatchObject({
      name: "bare",
      description: "",
      input: {
        n: {
          type: "integer",
          required: true,
          default: null,
          min: null,
          max: null,
          max_length: null,
          values: null,
        },
        hint: { required: false, default: "none", max_length: 10_000 },
      },
      quotas: [{ quota: "q", amount: 1, settle: null, allow_fail: false }],
      sequence: [],
      output: null,
      handler: { url: "https://example.com/", timeout_ms: 30_000 },
      ttl_ms: 60_000,
      revision: 1,
    });
    const none = await ductape.product.features.create("shop", { tag: "none" });
    expect(none).toMatchObject({ input: {}, quotas: [], handler: null });
  });

  it("keeps what a patch does not name, and null restores a default", async () => {
    const { features } = ductape.product;
    await features.create("shop", { tag: "p", quotas: [{ quota: "a" }], ttl_ms: 5_000 });
    const changed = await features.update("shop", "p", { output: { ok: true } });
    expect(changed).toMatchObject({ quotas: [{ quota: "a" }], ttl_ms: 5_000, revision: 2 });
    const reset = await features.update("shop", "p", { ttl_ms: null, quotas: null });
    expect(reset).toMatchObject({ quotas: [], ttl_ms: 60_000, output: { ok: true } });
    await features.delete("shop", "p");
    expect(await faultOf(features.fetch("shop", "p"))).toMatchObject({
      code: "FEATURE_NOT_FOUND",
      message: 'feature_tag: product "shop" has no feature "p"',
    });
  });

  it.each<[object, string, string | RegExp]>([
    [{ quota: "q" }, "quota", "is not a known field; did you mean quotas?"],
    [{ quotas: 7 }, "quotas", "expects an array of at most 16, got 7"],
    [
      { quotas: Array.from({ length: 17 }, () => ({ quota: "q" })) },
      "quotas",
      /at most 16, got an array of 17$/,
    ],
    [{ quotas: [7] }, "quotas[0]", "expects an object, got 7"],
    [{ quotas: [{}] }, "quotas[0].quota", "expects a string, got undefined"],
    [{ quotas: [{ quota: "q", amount: -1 }] }, "quotas[0].amount", /from 0 to .*, got -1$/],
    [
      { quotas: [{ quota: "q", amount: "2 - 3" }] },
      "quotas[0].amount",
      'expects a number from 0 to 9007199254740991, got -1 from "2 - 3"',
    ],
    [{ quotas: [{ quota: "q", amount: "1/0" }] }, "quotas[0].amount", /gives Infinity/],
    [{ quotas: [{ quota: "q", amount: Number.NaN }] }, "quotas[0].amount", /got NaN$/],
    [{ quotas: [{ quota: "q", amount: true }] }, "quotas[0].amount", /an expression.*got true$/],
    [{ quotas: [{ quota: "q", amount: "a b" }] }, "quotas[0].amount", /^expects one of min/],
    [
      { quotas: [{ quota: "q", amount: "$Input{n}" }] },
      "quotas[0].amount",
      "$Input{n} leads nowhere; of $Input none is known here",
    ],
    [
      { quotas: [{ quota: "q", amount: "$Result{n}" }] },
      "quotas[0].amount",
      "$Result{n} is not known yet; known here are $Input, $Session",
    ],
    [
      { quotas: [{ quota: "q", settle: "$Quota{other}{used}" }] },
      "quotas[0].settle",
      "$Quota{other}{used} is not known yet; known here are $Input, $Session, $Result, $Feature",
    ],
    [
      { quotas: [{ quota: "q" }], output: { a: "$Quota{other}{used}" } },
      "output.a",
      "$Quota{other}{used} leads nowhere; of $Quota known: q",
    ],
    [{ quotas: [{ quota: "q", allow_fail: 1 }] }, "quotas[0].allow_fail", /^expects true or false/],
    [
      { quotas: [{ quota: "q" }, { quota: "q" }] },
      "quotas[1].quota",
      'is named before: "q"; add both amounts in one place',
    ],
    [{ input: [] }, "input", "expects an object of fields, got an array of 0"],
    [{ input: { "": { type: "string" } } }, 'input.""', /^expects a name of 1 to 64/],
    [
      { input: JSON.parse('{"__proto__":{"type":"string"}}') },
      "input.__proto__",
      /^expects a name/,
    ],
    [{ input: { n: { type: "int" } } }, "input.n.type", /^expects one of integer, .*, got "int"$/],
    [{ input: { n: { type: "string", min: 1 } } }, "input.n.min", /^does not apply to the type/],
    [{ input: { n: { type: "number", max_length: 1 } } }, "input.n.max_length", /^does not apply/],
    [{ input: { n: { type: "number", min: 2, max: 1 } } }, "input.n.max", /at least min, 2, got 1/],
    [{ input: { n: { type: "string", max_length: 0 } } }, "input.n.max_length", /^expects 1 to/],
    [{ input: { n: { type: "string", values: [] } } }, "input.n.values", /1 to 100 values/],
    [{ input: { n: { type: "integer", values: [1, 1.5] } } }, "input.n.values[1]", /got 1.5$/],
    [{ input: { n: { type: "integer", max: 5, default: 6 } } }, "input.n.default", /at most 5/],
    [{ output: "$Result{a}" }, "output", /^expects an object/],
    [{ output: { a: "$Nothing{b}" } }, "output.a", /begins with one of/],
    [{ output: { a: "$Result{b} +" } }, "output.a", /^expects a number, a path/],
    [{ output: { a: { b: [1] } } }, "output.a.b", /an object of these, got an array of 1$/],
    [{ handler: { url: "ftp://x" } }, "handler.url", /^expects an http or https URL/],
    [{ handler: { url: "https://u:p@x/" } }, "handler.url", /got one with a password$/],
    [{ handler: { url: "https://x", timeout_ms: 0 } }, "handler.timeout_ms", /from 1 to 600000/],
    [{ handler: {} }, "handler", /^$/],
    [{ ttl_ms: 999 }, "ttl_ms", "expects milliseconds, an integer from 1000 to 86400000, got 999"],
  ])("%j is refused at its place", async (fields, path, message) => {
    if (path === "handler") {
      // `{}` means left out.
      expect(await create(fields)).toMatchObject({ handler: null });
      return;
    }
    const { code, issues } = await faultOf(create(fields));
    expect([code, issues?.map((issue) => issue.path)]).toEqual(["VALIDATION", [path]]);
    const wanted = typeof message === "string" ? message : expect.stringMatching(message);
    expect(issues?.[0]?.message).toEqual(wanted);
  });

  it("is refused where its handler is at a forbidden address", async () => {
    await using careful = new EmbeddedDuctape({ store: "memory:", outgoing: "public" });
    await careful.product.create({ tag: "shop" });
    for (const url of ["http://127.0.0.1/", "http://localhost:80/", "http://169.254.169.254/"]) {
      const input = { tag: "f", handler: { url } };
      expect(await faultOf(careful.product.features.create("shop", input))).toMatchObject({
        issues: [{ path: "handler.url" }],
      });
    }
  });
});

describe("a sequence", () => {
  const feature = (event: string, input: object = {}) => ({ type: "feature", event, input });
  it.each<[string, readonly object[], string, string | RegExp]>([
    [
      "an unknown parent",
      [step("a", ["b"])],
      "sequence[0].parents[0]",
      'expects the tag of a step of this sequence, got "b"',
    ],
    ["a step of its own", [step("a", ["a"])], "sequence", /a cycle of parents, got one in "a"$/],
    [
      "a cycle",
      [step("a", []), step("b", ["d"]), step("c", ["b"]), step("d", ["c"])],
      "sequence",
      'expects steps without a cycle of parents, got one in "b", "c", "d"',
    ],
    ["a tag twice", [step("a", []), step("a", [])], "sequence[1].tag", /^is the tag of another/],
    ["no events", [{ tag: "a", events: [] }], "sequence[0].events", "expects at least one event"],
    [
      "an event of another type",
      [step("a", [], { type: "action", event: "charge", app: "stripe" })],
      "sequence[0].events[0].type",
      'expects "quota" or "feature", got "action"; do any other work in the feature\'s ' +
        "handler, which runs after the sequence",
    ],
    [
      "a field of the other type",
      [step("a", [], { type: "feature", event: "g", amount: 1 })],
      "sequence[0].events[0].amount",
      /^is not a known field/,
    ],
    [
      "a feature that it has run before",
      [step("a", [], feature("g")), step("b", ["a"], feature("g"))],
      "sequence[1].events[0].event",
      'is named before: "g"; run it once',
    ],
    [
      "a feature whose result is not known yet",
      [step("a", [], feature("g")), step("b", [], feature("h", { n: "$Feature{g}{n}" }))],
      "sequence[1].events[0].input.n",
      "$Feature{g}{n} leads nowhere; of $Feature none is known here",
    ],
  ])("with %s is refused", async (_, sequence, path, message) => {
    const { issues } = await faultOf(create({ sequence }));
    const wanted = typeof message === "string" ? message : expect.stringMatching(message);
    expect(issues).toEqual([{ path, message: wanted }]);
  });

  it("may read what its ancestors found, and must not run the feature itself", async () => {
    const sequence = [
      step("c", ["b"], { type: "quota", event: "t", amount: "$Feature{g}{n} + $Quota{q}{used}" }),
      step("a", [], feature("g")),
      step("b", ["a"]),
    ];
    expect(await create({ quotas: [{ quota: "q" }], sequence })).toMatchObject({ revision: 1 });
    const self = { tag: "self", sequence: [step("a", [], feature("self"))] };
    expect((await faultOf(create(self))).issues).toEqual([
      { path: "sequence[0].events[0].event", message: "must not be the feature itself" },
    ]);
  });
});
