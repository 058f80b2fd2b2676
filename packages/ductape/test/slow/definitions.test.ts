import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { Ductape, DuctapeError } from "ductape";
import { clientWith, inputOf, temporaryFolder } from "../support.js";
import { otherProcess, untilSeen, valueOf, type Answer } from "./other-process.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const QUOTA = { tag: "q", limit: 5, period: "lifetime" } as const;

let files = 0;
const newStore = () => `sqlite:${folder.path}/${files++}.db`;

const codes = (answers: readonly Answer[]) => answers.map(({ code = "OK" }) => code).toSorted();

describe("a second process on the same file", () => {
  it("sees a creation at once, and a change or deletion within a second", async () => {
    const store = newStore();
    await using ductape = await clientWith([], { store });
    await using other = otherProcess(store);
    const { environments, quotas } = ductape.product;
    expect(await other.run()).toEqual({ code: "QUOTA_NOT_FOUND" });
    await quotas.create("shop", QUOTA);
    expect(valueOf(await other.run({ amount: 5 }))).toMatchObject({ allowed: true, used: 5 });

    const waits: number[] = [];
    const within = async (path: object, wanted: (answer: Answer) => boolean) => {
      waits.push(await untilSeen(() => other.run(path), wanted));
    };
    await quotas.update("shop", "q", { limit: 6 });
    // Right after the change it is decided by the one definition or the other, and never a fault.
    expect(["5", "6"]).toContain(String(valueOf(await other.run({ action: "check" }))["limit"]));
    await within({ action: "check" }, (answer) => valueOf(answer)["limit"] === 6);
    await environments.update("shop", "prd", { active: false });
    await within({ action: "check" }, ({ code }) => code === "ENVIRONMENT_INACTIVE");
    await environments.update("shop", "prd", { active: true });
    expect(valueOf(await other.run({ action: "check" }))).toMatchObject({ used: 5 });
    await quotas.delete("shop", "q");
    await within({ action: "check" }, ({ code }) => code === "QUOTA_NOT_FOUND");
    await quotas.create("shop", QUOTA);
    expect(valueOf(await other.run())).toMatchObject({ allowed: true, used: 1 });
    await ductape.product.delete("shop", { force: true });
    await within({ action: "check" }, ({ code }) => code === "PRODUCT_NOT_FOUND");
    expect(Math.max(...waits), `waited ${waits.map(Math.round).join(", ")} ms`).toBeLessThan(1_000);
  });

  it("reads and changes definitions as they are, not as it saw them last", async () => {
    const store = newStore();
    await using ductape = await clientWith([QUOTA], { store });
    await using other = otherProcess(store);
    const { quotas } = ductape.product;
    for (let limit = 10; limit < 30; limit += 2) {
      const made = await quotas.update("shop", "q", { limit });
      const seen = await other.ask("product.quotas.fetch", "shop", "q");
      expect(seen.value).toEqual(made);
      const patch = { limit: limit + 1, if_revision: made.revision };
      const changed = await other.ask("product.quotas.update", "shop", "q", patch);
      expect(await quotas.fetch("shop", "q")).toEqual(changed.value);
      await expect(quotas.update("shop", "q", patch)).rejects.toMatchObject({
        code: "REVISION_CONFLICT",
      });
    }
    expect(await quotas.fetch("shop", "q")).toMatchObject({ revision: 21 });
  });

  it("counts exactly while the other changes limits, windows, order and rules", async () => {
    const store = newStore();
    const rule = { name: "all", limit: 1_000_000_000, period: "lifetime" } as const;
    await using ductape = await clientWith([{ tag: "q", rules: [rule] }], { store });
    await using other = otherProcess(store);
    await other.ask("count", inputOf());
    const periods = ["year", "lifetime", { every: 10, unit: "year" }] as const;
    const forms = periods.map((period) => ({ ...rule, period }));
    const more = { name: "more", limit: 1_000_000_000, period: "day" } as const;
    let own = 0;
    for (let change = 0; change < 60; change++) {
      const form = forms[change % forms.length] ?? rule;
      const limit = rule.limit + change;
      const rules = change % 2 === 0 ? [more, { ...form, limit }] : [{ ...form, limit }];
      await ductape.product.quotas.update("shop", "q", { rules });
      const result = await ductape.processor.quota.run(inputOf());
      if (result.allowed) own++;
      await delay(20);
    }
    const { admitted, faults } = valueOf(await other.ask("stop"));
    expect(faults).toEqual([]);
    expect(Number(admitted)).toBeGreaterThan(100);
    await ductape.product.quotas.update("shop", "q", { rules: [rule] });
    const check = await ductape.processor.quota.run(inputOf({ action: "check" }));
    expect(check).toMatchObject({ used: Number(admitted) + own });
  });
});

describe("four processes on the same file", () => {
  const inAll = async <T>(
    store: string,
    call: (each: ReturnType<typeof otherProcess>, i: number) => Promise<T>,
  ) => {
    const all = Array.from({ length: 4 }, () => otherProcess(store));
    try {
      // Started and open before they race.
      await Promise.all(all.map(({ ask }) => ask("product.fetchAll")));
      return await Promise.all(all.map(call));
    } finally {
      await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
    }
  };

  it("make a definition once, whatever they race for", async () => {
    const store = newStore();
    await using ductape = await clientWith([], { store });
    const won = await inAll(store, async ({ ask }) => {
      const answers: Answer[] = [];
      for (let i = 0; i < 25; i++) {
        answers.push(await ask("product.create", { tag: `p${i}` }));
        answers.push(await ask("product.environments.create", `p${i}`, { slug: "prd" }));
        answers.push(await ask("product.quotas.create", `p${i}`, QUOTA));
      }
      return answers;
    });
    for (let i = 0; i < 75; i++) {
      const answers = won.map((answersOfOne) => answersOfOne[i] ?? {});
      const lost = ["ALREADY_EXISTS", "ALREADY_EXISTS", "ALREADY_EXISTS"];
      expect(codes(answers)).toEqual([...lost, "OK"]);
    }
    expect(await ductape.product.fetchAll()).toHaveLength(26);
  });

  it("change a revision once, whatever they race for", async () => {
    const store = newStore();
    await using ductape = await clientWith([QUOTA], { store });
    const rounds = 25;
    const answers = await inAll(store, async ({ ask }, i) => {
      const all: Answer[] = [];
      for (let round = 1; round <= rounds; round++) {
        const patch = { limit: 100 * round + i, if_revision: round };
        all.push(await ask("product.quotas.update", "shop", "q", patch));
        // Until somebody has changed it, or the next revision would conflict without a race.
        await untilSeen(
          () => ask("product.quotas.fetch", "shop", "q"),
          (seen) => Number(valueOf(seen)["revision"]) > round,
        );
      }
      return all;
    });
    for (let round = 0; round < rounds; round++) {
      const lost = Array.from({ length: 3 }, () => "REVISION_CONFLICT");
      expect(codes(answers.map((all) => all[round] ?? {}))).toEqual(["OK", ...lost]);
    }
    expect(await ductape.product.quotas.fetch("shop", "q")).toMatchObject({ revision: 26 });
  });

  it("lose none of their changes when nobody names a revision", async () => {
    const store = newStore();
    await using ductape = await clientWith([QUOTA], { store });
    const answers = await inAll(store, ({ ask }, i) =>
      Promise.all(
        Array.from({ length: 100 }, (_, n) =>
          ask("product.quotas.update", "shop", "q", { limit: 1_000 * i + n }),
        ),
      ),
    );
    expect(new Set(codes(answers.flat()))).toEqual(new Set(["OK"]));
    expect(await ductape.product.quotas.fetch("shop", "q")).toMatchObject({ revision: 401 });
  });

  it("may all be the first on a new file", async () => {
    for (let round = 0; round < 3; round++) {
      const store = newStore();
      const all = Array.from({ length: 4 }, () => otherProcess(store));
      const answers = await Promise.all(
        all.map(async ({ ask, run }) => {
          const made = [
            await ask("product.create", { tag: "shop" }),
            await ask("product.environments.create", "shop", { slug: "prd" }),
            await ask("product.quotas.create", "shop", { ...QUOTA, limit: 10 }),
          ];
          const results = await Promise.all(Array.from({ length: 5 }, () => run()));
          return { made, results };
        }),
      );
      await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
      const known = new Set(["OK", "ALREADY_EXISTS"]);
      const made = answers.flatMap((answer) => codes(answer.made));
      expect(made.filter((code) => !known.has(code))).toEqual([]);
      const admitted = answers.flatMap(({ results }) => results.map(valueOf));
      expect(admitted.filter(({ allowed }) => allowed === true)).toHaveLength(10);
    }
  });
});

describe("twenty clients of one process", () => {
  it("may all be the first on a new file, and count as one", async () => {
    for (let round = 0; round < 10; round++) {
      const store = newStore();
      const clients = Array.from({ length: 20 }, () => new Ductape({ store }));
      const answers = await Promise.all(
        clients.map(async ({ product, processor }) => {
          const tries = [
            () => product.create({ tag: "shop" }),
            () => product.environments.create("shop", { slug: "prd" }),
            () => product.quotas.create("shop", QUOTA),
          ];
          let made = 0;
          for (const attempt of tries) {
            try {
              await attempt();
              made++;
            } catch (error) {
              if (!DuctapeError.is(error) || error.code !== "ALREADY_EXISTS") throw error;
            }
          }
          return { made, result: await processor.quota.run(inputOf()) };
        }),
      );
      expect(answers.reduce((sum, { made }) => sum + made, 0)).toBe(3);
      expect(answers.filter(({ result }) => result.allowed)).toHaveLength(5);
      await Promise.all(clients.map((client) => client.close()));
    }
  });
});
