import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compactScript, scriptSource } from "../../lua.js";
import { firstDifference } from "../equivalence.js";
import { hasRedis, startRedis, type RedisServer } from "../redis.js";

/** Faults are looked for in the same few worlds: one alone may lack what shows it. */
const WORLDS = 20;
/** These show the rare ones soonest; they go first. */
const TELLING = [4, 14, 3] as const;
const WORLD_PLANS = 5_000;

/** Faults in what the script does with holds: the faulty text and the original. */
const MUTANTS: readonly (readonly [to: string, from: string])[] = [
  // The common call, which is written by hand.
  ["isOfForm = now <= firstMs", "isOfForm = now < firstMs"],
  ["form, held = shape, 0", "form, held = shape, sum"],
  ["'<dddddddd', formNow, startMs", "'<dddddddd', form, startMs"],
  // What counters carry.
  [
    "if nowMs <= holds.firstMs then\n        return holds.sum",
    "if nowMs < holds.firstMs then\n        return holds.sum",
  ],
  [
    "(parts[i + 1] or 0) >= nowMs then\n                sum",
    "(parts[i + 1] or 0) > nowMs then\n                sum",
  ],
  [
    "(parts[i + 1] or 0) >= nowMs then\n                pushPart",
    "(parts[i + 1] or 0) > nowMs then\n                pushPart",
  ],
  ["return holdsOf(holds.edition, left)", "return holdsOf(holds.edition + 1, left)"],
  ["holdsOf(holds.edition, {})", "holdsOf(holds.edition + 1, {})"],
  ["if not isDone and atMs >= endMs then", "if not isDone and atMs > endMs then"],
  ["own = own - amount", "own = own + amount"],
  ["= carried\n", "= dropEnded(carried, nowMs)\n"],
  ["if amount < 0 then\n        return\n", "if amount <= 0 then\n        return\n"],
  ["or 0) < edition and", "or 0) <= edition and"],
  ["or 0) >= 0 and", "or 0) <= edition and"],
  // When holds end, and their windows.
  ["return math.floor(atMs / gridMs)", "return math.ceil(atMs / gridMs)"],
  ["return rollingMs >= 0 and expiresMs", "return rollingMs == 0 and expiresMs"],
  ["onGrid(fromMs, rollingMs)", "onGrid(fromMs + rollingMs, rollingMs)"],
  [
    "endOf(expiresMs, nowMs, rule.rollingMs)\n    local asks",
    "endOf(expiresMs, hold.openedMs, rule.rollingMs)\n    local asks",
  ],
  ["if nowMs > endMs then\n        return -1", "if nowMs >= endMs then\n        return -1"],
  [") and 0 or 0\n    end\n    return partAt", ") and -1 or 0\n    end\n    return partAt"],
  ["= counted.startMs <= window.startMs", "= counted.startMs < window.startMs"],
  ["= nowMs > counted.endMs", "= nowMs >= counted.endMs"],
  ["if counted.endMs < changedMs then", "if counted.endMs <= changedMs then"],
  ["= changedMs <= window.startMs", "= changedMs < window.startMs"],
  ["= changedMs < nowMs - rule.rollingMs", "= changedMs <= nowMs - rule.rollingMs"],
  // What is asked for, held and counted.
  ["previousUsed + asks > limit", "previousUsed + previousHeld + asks > limit"],
  ["previousHeld + effect.adds", "previousHeld - effect.takes + effect.adds"],
  ["local takes = own\n", "local takes = isOver and own or math.min(own, use)\n"],
  ["if isClosedNow and held < 0 then", "if isClosedNow and (held < 0 or rule.rollingMs ~= 0) then"],
  ["math.max(0, use),\n        use,", "math.max(0, use - own),\n        use,"],
  ["local asks = adds\n", "local asks = math.max(0, adds - takes)\n"],
  ["amount ~= 0 and 0 or 0\n    return look(", "amount ~= 0 and 1 or 0\n    return look("],
  ["limit - used < most then", "limit - used - held < most then"],
  ["return most\n", "return math.max(most, atLeast)\n"],
  [
    "if left < room then\n                    return endMs",
    "if left <= room then\n                    return endMs",
  ],
  ["if nextMs > nowMs and left < room then", "if nextMs > nowMs and left <= room then"],
  ["if nextMs >= nowMs then\n", "if nextMs > nowMs then\n"],
  // What is remembered, and what a repeat is answered.
  ["if terms.openedMs == 0 then\n", "if terms.openedMs ~= 0 then\n"],
  [
    "if hold.owners == terms.owners then\n        return true",
    "if hold.owners ~= terms.owners then\n        return true",
  ],
  [
    "if part.windowVersion == rule.windowVersion then",
    "if part.windowVersion ~= rule.windowVersion then",
  ],
  [
    "return hold.settled == amount\n",
    "return hold.settled == (terms.isWhole and hold.held or amount)\n",
  ],
  ['if action ~= "commit" then', 'if action ~= "commit" or not terms.isFinal then'],
  [
    "if false then\n                    isExpired",
    "if effect.isExpired then\n                    isExpired",
  ],
  ["isOver and left or left", "isOver and hold.held or left"],
  [
    "charged = charged,\n            settled",
    "charged = hold.charged + charged,\n            settled",
  ],
  ["local isHeld = effect ~= nil\n", "local isHeld = effect ~= nil and effect.addsUntilMs ~= 0\n"],
  [
    "effect.use ~= 0 or effect.adds ~= 0",
    "effect.use ~= 0 or effect.takes ~= 0 or effect.adds ~= 0",
  ],
  // What comes late, and what is taken back.
  [
    "if last == nil then\n        return",
    "if last == nil or window.endMs ~= counter.window.startMs then\n        return",
  ],
  [
    "last.used ~= 0\n    local used",
    "last.used ~= 0 and last.window.startMs == window.startMs\n    local used",
  ],
  [
    "return atMs\n",
    "return math.max(\n        atMs,\n        math.min(rule.versionSinceMs, nowMs)\n    )\n",
  ],
  ["if own >= amount then\n        entries", "if own > amount then\n        entries"],
  ["(entries[place + 1] or 0) <= atMs do", "(entries[place + 1] or 0) < atMs do"],
  ["if entries[place + 1] then\n", "if entries[place + 1] == atMs then\n"],
  [
    "seen.used = previousUsed + effect.use",
    "seen.used = previousUsed - math.min(-effect.use, own)",
  ],
  // What reads and writes around the decision, which is written by hand.
  ["if hold.status ~= 'open' then", "if hold.status == 'open' then"],
  ["'-inf', now + 5000, 'LIMIT'", "'-inf', now, 'LIMIT'"],
  ["if lists >= REMEMBERS then holds", "if lists % REMEMBERS ~= 0 then holds"],
  ["isWhole = flags > 2", "isWhole = flags >= 2"],
  ["isFinal = flags >= 1", "isFinal = flags % 2 == 1"],
  ["base:putHold(copied.key, nil)", "base:putHold(copied.key, copied.hold)"],
  ["copiedHolds[key.place] = nil end", "copiedHolds[key.place] = { key = key, hold = hold } end"],
];
const SOURCE = scriptSource("apply");

describe.runIf(hasRedis("faults in holds of apply.lua"))("apply.lua", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.remove());

  it.each(MUTANTS)("with %s instead of %s is found out", async (to, from) => {
    expect(SOURCE.split(from).length, `stands once: ${from}`).toBe(2);
    const mutant = compactScript(SOURCE.replace(from, () => to));
    let found: string | null = null;
    for (const world of [...TELLING, ...Array.from({ length: WORLDS }, (_, i) => i + 1)]) {
      found ??= await firstDifference(server.admin(), mutant, world, WORLD_PLANS);
    }
    expect(found, `no difference in ${WORLDS} worlds of ${WORLD_PLANS} plans`).not.toBe(null);
  });
});
