import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Ductape, type Decision, type QuotaInput } from "ductape";
import { BY_USER, closeClients, decided, EXPIRY_MS, setUp } from "../caching.js";
import { randomOf, seedOf, storeUrls, temporaryFolder } from "../support.js";

const folder = temporaryFolder();
afterEach(closeClients);
afterAll(folder.remove);

const SEED = seedOf();
const CHECKS = 1_000_000;
const WAVE = 100;

describe.each(storeUrls(folder.path))("a million checks of a hot counter on %s", (url) => {
  it.each([1, WAVE])(
    "read the store at most once in each expiry, %i at a time",
    async (inFlight) => {
      const { clock, check, counted } = await setUp(url, { limit: 10, period: "day", ...BY_USER });
      const before = counted.asked;
      const fromMs = clock();
      for (let done = 0; done < CHECKS; done += inFlight) {
        if (done % WAVE === 0) clock.advance(1);
        const waiting = Array.from({ length: inFlight }, () => check({ subject: "a" }));
        for (const { age_ms } of await Promise.all(waiting)) {
          if (age_ms >= EXPIRY_MS) throw new Error(`an answer is ${age_ms} ms old`);
        }
      }
      const asked = counted.askedMs.slice(before);
      const gaps = asked.slice(1).map((atMs, i) => atMs - (asked[i] ?? 0));
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(EXPIRY_MS);
      expect(asked.length).toBeLessThanOrEqual(Math.ceil((clock() - fromMs) / EXPIRY_MS));
    },
  );
});

/** The counter from one instant on, until the next state. */
interface State {
  readonly atMs: number;
  readonly window: number;
  readonly used: number;
}

const LIMIT = 20;
const WINDOW_MS = 60_000;

/** The counter's whole history, kept without the engine. */
class History {
  readonly states: State[] = [{ atMs: 0, window: 0, used: 0 }];
  /** The state that the last change of each client left. */
  readonly #own = new Map<Ductape, number>();

  usedAt(nowMs: number, state = this.states.at(-1)): number {
    return state?.window === Math.floor(nowMs / WINDOW_MS) ? state.used : 0;
  }

  change(client: Ductape, nowMs: number, used: number): void {
    this.states.push({ atMs: nowMs, window: Math.floor(nowMs / WINDOW_MS), used });
    this.#own.set(client, this.states.length - 1);
  }

  /** What a copy of that age may say: all that held since, from the client's own last change. */
  seenBy(client: Ductape, nowMs: number, ageMs: number): Set<number> {
    const seen = new Set<number>();
    for (let i = this.states.length - 1; i >= (this.#own.get(client) ?? 0); i--) {
      seen.add(this.usedAt(nowMs, this.states[i]));
      if ((this.states[i]?.atMs ?? 0) < nowMs - ageMs) break;
    }
    return seen;
  }
}

function usedAfter({ action, amount }: QuotaInput, used: number): number {
  const by = typeof amount === "number" ? amount : 0;
  if (action === "increment") return used + by <= LIMIT ? used + by : used;
  if (action === "decrement") return Math.max(0, used - by);
  if (action === "set") return by;
  return action === "reset" ? 0 : used;
}

const ACTIONS = ["check", "check", "check", "increment", "increment", "increment"] as const;
const OTHERS = ["decrement", "set", "reset"] as const;

/** What is wrong with an answer, or null; goes on with the history. */
function wrongIn(
  told: Decision,
  input: QuotaInput,
  client: Ductape,
  history: History,
  nowMs: number,
): string | null {
  const { source, age_ms, used, allowed } = told;
  const asks = input.action === "check" || input.action === "increment";
  const amount = typeof input.amount === "number" ? input.amount : 0;
  if (source === "cache") {
    if (input.cache === undefined) return "it comes from a cache that was not named";
    if (input.action !== "check" && allowed) return "a cache admitted it";
    if (age_ms < 0 || age_ms >= EXPIRY_MS) return `it is ${age_ms} ms old`;
    if (allowed !== (amount === 0 || used + amount <= LIMIT)) return "it was not decided anew";
    return history.seenBy(client, nowMs, age_ms).has(used) ? null : "nothing of its age says so";
  }
  const before = history.usedAt(nowMs);
  const after = usedAfter(input, before);
  if (used !== after) return `it should be ${after}`;
  if (asks && allowed !== (amount === 0 || before + amount <= LIMIT)) return "it is misjudged";
  if (input.action !== "check" && allowed) history.change(client, nowMs, after);
  return null;
}

describe("two clients with caches on one file", () => {
  it(`return nothing older than the expiry, and count all they admit (SEED=${SEED})`, async () => {
    const random = randomOf(SEED);
    const quota = { limit: LIMIT, period: "minute" } as const;
    const { client, clock, path } = await setUp(`sqlite:${folder.path}/two.db`, quota);
    clock.set(Math.ceil(clock() / WINDOW_MS) * WINDOW_MS);
    await using other = new Ductape({ store: path, clock });
    const history = new History();
    const sources = { cache: 0, store: 0 };
    for (let turn = 0; turn < 30_000; turn++) {
      clock.advance(random.pick([0, 0, 0, 1, 50, 300, 999, 1_000]));
      const who = random.pick([client, other]);
      const action = random.below(10) === 0 ? random.pick(OTHERS) : random.pick(ACTIONS);
      const input: Partial<QuotaInput> = {
        action,
        ...(action === "reset" ? {} : { amount: random.below(9) }),
        ...(random.below(4) === 0 ? {} : { cache: "c" }),
      };
      const told = await decided(who, input);
      const whole = { env: "prd", product_tag: "shop", quota_tag: "q", action, ...input };
      const wrong = wrongIn(told, whole, who, history, clock());
      if (wrong !== null) {
        const asked = `turn ${turn} of SEED=${SEED}: ${JSON.stringify(input)}`;
        throw new Error(`${asked} got ${told.used} used from the ${told.source}: ${wrong}`);
      }
      sources[told.source === "cache" ? "cache" : "store"]++;
    }
    // Both ways were taken often, or nothing was tried.
    expect(sources.cache).toBeGreaterThan(3_000);
    expect(sources.store).toBeGreaterThan(3_000);
  });
});
