import { afterAll, describe, expect, it } from "vitest";
import { Ductape, type ErrorCode } from "ductape";
import { manualClock } from "ductape/testing";
import { callAny, clientWith, faultOf, storeUrls, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const RULE = { limit: 1, period: "day" } as const;

/** One kind of definition, by the arguments that its methods take before its own. */
interface Kind {
  readonly name: string;
  readonly id: "tag" | "slug";
  readonly label: "name" | "env_name";
  readonly missing: ErrorCode;
  readonly fields: object;
  readonly own: (ductape: Ductape) => object;
  readonly product: readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    name: "a product",
    id: "tag",
    label: "name",
    missing: "PRODUCT_NOT_FOUND",
    fields: {},
    own: ({ product }) => product,
    product: [],
  },
  {
    name: "an environment",
    id: "slug",
    label: "env_name",
    missing: "ENVIRONMENT_NOT_FOUND",
    fields: {},
    own: ({ product }) => product.environments,
    product: ["shop"],
  },
  {
    name: "a quota",
    id: "tag",
    label: "name",
    missing: "QUOTA_NOT_FOUND",
    fields: RULE,
    own: ({ product }) => product.quotas,
    product: ["shop"],
  },
];

/** The methods of a kind, for definitions in product `shop`. */
function methodsOf(ductape: Ductape, { own, product, id, fields }: Kind) {
  const call = (name: string, ...args: unknown[]) =>
    callAny(own(ductape), name, ...product, ...args);
  return {
    create: (tag: string, more: object = {}) => call("create", { [id]: tag, ...fields, ...more }),
    update: (tag: string, patch: object) => call("update", tag, patch),
    fetch: (tag: string) => call("fetch", tag),
    fetchAll: () => call("fetchAll"),
    delete: (tag: string) => call("delete", tag),
  };
}

let files = 0;
const CASES = KINDS.flatMap((kind) =>
  storeUrls(folder.path).map((url) => [kind.name, url, kind] as const),
);

describe.each(CASES)("%s on %s", (_, url, kind) => {
  const { id, label, missing } = kind;
  const clock = manualClock("2026-01-31T00:00:00Z");
  const connect = () => clientWith([], { store: url.replace("store", `${files++}`), clock });

  it("is made, changed, listed and deleted, and counts its changes from 1", async () => {
    await using ductape = await connect();
    const { create, update, fetch, fetchAll, delete: remove } = methodsOf(ductape, kind);
    const created_at = new Date(clock()).toISOString();
    const before = await fetchAll();
    const made = await create("b", { [label]: "B" });
    const stamps = { revision: 1, created_at, updated_at: created_at };
    expect(made).toMatchObject({ [id]: "b", [label]: "B", description: "", ...stamps });
    expect(await fetch("b")).toEqual(made);
    clock.advance(1_000);
    const updated_at = new Date(clock()).toISOString();
    const changed = await update("b", { [label]: "C" });
    expect(changed).toEqual({ ...Object(made), [label]: "C", revision: 2, updated_at });
    const others = [await create("a"), changed, await create("c")];
    expect(await fetchAll()).toEqual([...others, ...asArray(before)]);
    for (const tag of ["a", "b", "c"]) expect(await remove(tag)).toBeUndefined();
    expect(await fetchAll()).toEqual(before);
    for (const call of [() => fetch("b"), () => update("b", {}), () => remove("b")]) {
      const fault = await faultOf(call);
      expect(fault).toMatchObject({ code: missing, retryable: false });
      expect(fault.message).toContain('"b"');
    }
    // A revision of the one that was deleted never fits the new one.
    const again = await create("b");
    expect(again).toMatchObject({ [label]: "b", created_at: updated_at });
    const late = await faultOf(() => update("b", { if_revision: 2, [label]: "late" }));
    expect(late.code).toBe("REVISION_CONFLICT");
    expect(await fetch("b")).toEqual(again);
  });

  it("is made once, and ALREADY_EXISTS changes nothing", async () => {
    await using ductape = await connect();
    const { create, fetch } = methodsOf(ductape, kind);
    const tries = Array.from({ length: 20 }, (__, i) => create("b", { [label]: `try ${i}` }));
    const settled = await Promise.allSettled(tries);
    const won = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect(won).toEqual([await fetch("b")]);
    const fault = await faultOf(() => create("b", { [label]: "later" }));
    expect(fault).toMatchObject({
      code: "ALREADY_EXISTS",
      message: expect.stringContaining('"b"'),
    });
    expect(await fetch("b")).toEqual(won[0]);
  });

  it("is changed only in the revision that is wanted", async () => {
    await using ductape = await connect();
    const { create, update, fetch } = methodsOf(ductape, kind);
    await create("b");
    for (const if_revision of [undefined, {}, 3]) await update("b", { if_revision });
    const before = await fetch("b");
    expect(before).toMatchObject({ revision: 4 });
    const late = await faultOf(() => update("b", { if_revision: 3, [label]: "late" }));
    expect(late).toMatchObject({ code: "REVISION_CONFLICT" });
    expect(late.message).toBe("if_revision: expects 3, but the stored revision is 4");
    for (const if_revision of [0, -1, 1.5, Number.NaN, "4", 4n, null, [4], 2 ** 53]) {
      const fault = await faultOf(() => update("b", { if_revision, [label]: "bad" }));
      expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: "if_revision" }] });
    }
    expect(await fetch("b")).toEqual(before);
  });

  it("is changed by exactly one of many that want the same revision", async () => {
    const store = url.replace("store", `${files++}`);
    await using ductape = await clientWith([], { store, clock });
    await using other =
      ductape.guarantees.shared === "process" ? ductape : new Ductape({ store, clock });
    const { create, fetch } = methodsOf(ductape, kind);
    await create("b");
    const tries = Array.from({ length: 20 }, (__, i) => {
      const { update: updateNow } = methodsOf(i % 2 === 0 ? ductape : other, kind);
      return updateNow("b", { if_revision: 1, [label]: `try ${i}` });
    });
    const settled = await Promise.allSettled(tries);
    const won = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect(won).toEqual([await fetch("b")]);
    const faults = settled.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
    expect(faults).toEqual(
      faults.map(() => expect.objectContaining({ code: "REVISION_CONFLICT" })),
    );
  });

  it("loses none of many changes made at once", async () => {
    const store = url.replace("store", `${files++}`);
    await using ductape = await clientWith([], { store, clock });
    await using other =
      ductape.guarantees.shared === "process" ? ductape : new Ductape({ store, clock });
    await methodsOf(ductape, kind).create("b");
    const changes = Array.from({ length: 100 }, (__, i) =>
      methodsOf(i % 2 === 0 ? ductape : other, kind).update("b", { [label]: `change ${i}` }),
    );
    await Promise.all(changes);
    expect(await methodsOf(other, kind).fetch("b")).toMatchObject({ revision: 101 });
  });

  it("cannot be renamed", async () => {
    await using ductape = await connect();
    const { create, update, fetch } = methodsOf(ductape, kind);
    const made = await create("b");
    const fault = await faultOf(() => update("b", { [id]: "c", [label]: "renamed" }));
    expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: id }] });
    expect(fault.message).toBe(`${id}: cannot change from "b" to "c": make a new one`);
    expect(await fetch("b")).toEqual(made);
    expect(await update("b", { [id]: "b" })).toMatchObject({ [id]: "b" });
  });

  it("keeps a field that is left out or {}, and null restores its default", async () => {
    await using ductape = await connect();
    const { create, update, fetch } = methodsOf(ductape, kind);
    await create("b", { [label]: "B", description: "text" });
    for (const value of [undefined, {}]) {
      await update("b", { [id]: value, [label]: value, description: value });
      expect(await fetch("b")).toMatchObject({ [label]: "B", description: "text" });
    }
    const cleared = await update("b", { [label]: null, description: null });
    expect(cleared).toMatchObject({ [label]: "b", description: "" });
    const fault = await faultOf(() => update("b", { [id]: null }));
    expect(fault).toMatchObject({ code: "VALIDATION", issues: [{ path: id }] });
  });
});

const asArray = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

describe("a good definition", () => {
  it("is kept with every default written out, and {} for each optional field", async () => {
    await using ductape = await clientWith([]);
    const { quotas } = ductape.product;
    const empty = {
      name: {},
      description: {},
      decimals: {},
      unit: {},
      rules: {},
      scope: {},
      window: {},
    };
    const more = { time_zone: {}, week_start: {}, anchor: {}, on_exceed: {}, alerts: {} };
    const quota = { tag: "a", limit: 1, period: "day", ...empty, ...more } as const;
    const kept = await quotas.create("shop", quota);
    expect(kept).toEqual({
      tag: "a",
      name: "a",
      description: "",
      decimals: 0,
      rounding: "exact",
      unit: "requests",
      rules: [
        {
          name: "default",
          scope: "product",
          limit: 1,
          period: "day",
          window: "calendar",
          time_zone: "UTC",
          week_start: "monday",
          anchor: null,
          on_exceed: "reject",
          alerts: [],
          history: 0,
        },
      ],
      revision: 1,
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      updated_at: kept.created_at,
    });
    const rule = { ...RULE, name: "default" };
    const beside = { limit: {}, period: {}, scope: {}, anchor: {} };
    const asRules = await callAny(quotas, "create", "shop", { tag: "b", ...beside, rules: [rule] });
    expect(asRules).toMatchObject({ rules: kept.rules });
    const { environments } = ductape.product;
    const env = { slug: "dev", env_name: {}, description: {}, active: {} };
    const stamps = { revision: 1, created_at: expect.any(String), updated_at: expect.any(String) };
    expect(await environments.create("shop", env)).toEqual({
      slug: "dev",
      env_name: "dev",
      description: "",
      active: true,
      ...stamps,
    });
    const product = { tag: "other", name: {}, description: {}, co_locate: {} };
    expect(await ductape.product.create(product)).toEqual({
      tag: "other",
      name: "other",
      description: "",
      co_locate: false,
      ...stamps,
    });
  });

  it("may be made of the rules of another as they are kept", async () => {
    await using ductape = await clientWith([
      { tag: "q", limit: 5, period: "month", anchor: "2026-01-31T00:00:00Z", alerts: [1, 0.5, 1] },
      { tag: "r", limit: 5, period: "month" },
    ]);
    const { quotas } = ductape.product;
    for (const tag of ["q", "r"]) {
      const { rules } = await quotas.fetch("shop", tag);
      const copy = await quotas.create("shop", { tag: `copy of ${tag}`, rules });
      expect(copy.rules).toEqual(rules);
    }
    expect((await quotas.fetch("shop", "q")).rules[0]?.alerts).toEqual([0.5, 1]);
  });

  it("is a copy: what the caller does with its objects later changes nothing", async () => {
    await using ductape = await clientWith([]);
    const { quotas } = ductape.product;
    const values = { pro: 2 };
    const alerts = [0.5];
    const limit = { by: "$Session{plan}", values, default: 1 };
    const made = await quotas.create("shop", { tag: "q", limit, period: "day", alerts });
    const before = structuredClone(made);
    values.pro = 3;
    alerts.push(1);
    for (const view of [made, ...(await quotas.fetchAll("shop"))]) {
      Object.assign(view, { tag: "changed" });
      Object.assign(Object(view.rules[0]?.limit).values, { pro: 4 });
      Object.assign(Object(view.rules[0]), { period: "changed" });
    }
    expect(await quotas.fetch("shop", "q")).toEqual(before);
  });

  it("is read once, field by field", async () => {
    await using ductape = await clientWith([]);
    let reads = 0;
    const input = {
      get tag() {
        return ["q", 1, 1n][reads++];
      },
      limit: 1,
      period: "day",
    };
    const made = await callAny(ductape.product.quotas, "create", "shop", input);
    expect(made).toMatchObject({ tag: "q", name: "q" });
    expect(reads).toBe(1);
  });

  it.each([
    ["a limit of the largest count", { limit: Number.MAX_SAFE_INTEGER }],
    ["a limit of 0", { limit: 0 }],
    ["no limit", { limit: null }],
    ["six decimals", { decimals: 6, limit: 9_007_199_254.5 }],
    ["a tag with every kind of character", { tag: "a/b%2F é😀\"' *" }],
    ["a tag of 255 characters", { tag: "x".repeat(255) }],
    ["a name of 1,000 characters", { name: "x".repeat(1_000), description: "" }],
    ["an anchor at the end of a leap February", { anchor: "2028-02-29T23:59:59.999+14:00" }],
    ["a long period", { period: { every: 10_000, unit: "year" }, anchor: "0001-01-01T00:00Z" }],
    ["a zone in any case", { time_zone: "europe/PARIS" }],
    ["sixteen alerts", { alerts: Array.from({ length: 16 }, (_, i) => (i + 1) / 16) }],
    ["the bounds of an alert", { alerts: [1e-6, 10] }],
    ["a deep selector", { scope: "$Session{a}{b c}{__proto__}{é}" }],
  ] as const)("takes %s", async (_, fields) => {
    await using ductape = await clientWith([]);
    const quota = { tag: "q", limit: 1, period: "day", ...fields } as const;
    const made = await ductape.product.quotas.create("shop", quota);
    expect(await ductape.product.quotas.fetch("shop", quota.tag)).toEqual(made);
    const { tag } = made;
    expect(tag).toBe(quota.tag);
  });

  it("accepts sixteen rules", async () => {
    await using ductape = await clientWith([]);
    const rules = Array.from({ length: 16 }, (_, i) => ({ ...RULE, name: `r${i}` }));
    const made = await ductape.product.quotas.create("shop", { tag: "q", rules });
    expect(made).toMatchObject({ rules });
  });
});
