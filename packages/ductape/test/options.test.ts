import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { Ductape, DuctapeError } from "ductape";
import { clientWith, inputOf, temporaryFolder } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
afterEach(() => {
  vi.unstubAllEnvs();
});

const quota = { tag: "q", limit: 5, period: "lifetime" } as const;
const input = inputOf();

/** A constructor call with any options. */
function makeAny(options: unknown): DuctapeError {
  try {
    Reflect.construct(Ductape, [options]);
  } catch (error) {
    if (DuctapeError.is(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("an option of the client", () => {
  it.each<readonly [string, unknown]>([
    ["options", null],
    ["options", 5],
    ["options", "memory:"],
    ["options", []],
    ["options.stor", { stor: "memory:" }],
    ["options.store", { store: "" }],
    ["options.store", { store: null }],
    ["options.store", { store: 5 }],
    ["options.store", { store: { open: 1 } }],
    ["options.store", { store: "mysql://h" }],
    ["options.store", { store: "sqlite:" }],
    ["options.store", { store: "sqlite::memory:" }],
    ["options.store", { store: "sqlite:a\0b" }],
    ["options.store", { store: "sqlite:a?driver=other" }],
    ["options.store", { store: "sqlite:a?driver=node:sqlite?x" }],
    ["options.clock", { clock: 5 }],
    ["options.clock", { clock: null }],
    ["options.onStoreError", { onStoreError: "ignore" }],
    ["options.onStoreError", { onStoreError: null }],
    ["options.timeoutMs", { timeoutMs: 0 }],
    ["options.timeoutMs", { timeoutMs: "5000" }],
    ["options.timeoutMs", { timeoutMs: true }],
    ["options.timeoutMs", { timeoutMs: Number.NaN }],
    ["options.timeoutMs", { timeoutMs: 2 ** 31 }],
    ["options.secret", { secret: "" }],
    ["options.secret", { secret: "x".repeat(31) }],
    ["options.secret", { secret: null }],
    ["options.outgoing", { outgoing: "private" }],
    ["options.outgoing", { outgoing: ["10.0.0.0/40"] }],
    ["options.outgoing", { outgoing: null }],
    ["options.logger", { logger: { warn: 5 } }],
    ["options.logger", { logger: () => undefined }],
  ])("is VALIDATION that names %s, for case %#", (path, options) => {
    const fault = makeAny(options);
    expect(fault.code).toBe("VALIDATION");
    expect(fault.issues?.map((issue) => issue.path)).toEqual([path]);
    expect(fault.message).toMatch(/expects|must|did you mean/);
  });

  it("may be undefined or {}, and so may all of them", async () => {
    vi.stubEnv("DUCTAPE_STORE", "memory:");
    const made = Reflect.construct(Ductape, [
      { store: {}, clock: {}, onStoreError: {}, timeoutMs: {}, logger: {} },
    ]);
    for (const ductape of [new Ductape(), new Ductape({}), new Ductape({ store: undefined })]) {
      expect(ductape.guarantees.name).toBe("memory");
    }
    expect(made).toMatchObject({ guarantees: { name: "memory" } });
  });

  it("never shows the password of a URL", () => {
    const fault = makeAny({ store: "mysql://user:secret@host/db" });
    expect(fault.message).toContain('got "mysql:..."');
    expect(fault.message).not.toContain("secret");
  });
});

describe("a variable", () => {
  it.each([
    ["DUCTAPE_STORE", ["", "mysql://h", "sqlite:"]],
    ["DUCTAPE_ON_STORE_ERROR", ["", "ignore", "THROW"]],
    ["DUCTAPE_SECRET", ["", "too short"]],
    ["DUCTAPE_HANDLER_SECRET", ["", "secret", "whsec_c2hvcnQ="]],
    ["DUCTAPE_TIMEOUT_MS", ["", " ", "0", "-5", "5s", "1e3", "0x10", "NaN", "2147483648"]],
  ])("is VALIDATION that names %s where it is wrong or empty", (name, values) => {
    for (const value of values) {
      vi.stubEnv(name, value);
      const fault = makeAny({});
      expect(fault.code, value).toBe("VALIDATION");
      expect(fault.issues?.map((issue) => issue.path)).toEqual([name]);
    }
  });

  it("is overridden by the option", async () => {
    vi.stubEnv("DUCTAPE_STORE", "mysql://h");
    vi.stubEnv("DUCTAPE_ON_STORE_ERROR", "ignore");
    vi.stubEnv("DUCTAPE_TIMEOUT_MS", "never");
    await using ductape = await clientWith([quota], { onStoreError: "throw", timeoutMs: 5 });
    expect(await ductape.processor.quota.run(input)).toMatchObject({ used: 1 });
  });

  it("applies if no option is given", async () => {
    vi.stubEnv("DUCTAPE_STORE", `sqlite:${folder.path}/store.db`);
    vi.stubEnv("DUCTAPE_ON_STORE_ERROR", "deny");
    const ductape = new Ductape({ logger: { warn: () => undefined } });
    expect(ductape.guarantees.name).toBe("sqlite");
    await ductape.close();
    expect(await ductape.processor.quota.run(input)).toMatchObject({
      degraded: true,
      allowed: false,
    });
  });
});

describe("a logger that fails", () => {
  it("fails neither the call nor the process", async () => {
    const logger = {
      warn: () => {
        throw new Error("the logger is broken");
      },
    };
    await using ductape = await clientWith([{ ...quota, alerts: [0.2] }], { logger });
    ductape.onAlert(() => {
      throw new Error("the listener is broken");
    });
    expect(await ductape.processor.quota.run(input)).toMatchObject({ used: 1 });
  });
});
