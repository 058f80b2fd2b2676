import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compactScript, scriptSource } from "../lua.js";
import { scriptText } from "../src/stores/redis/scripts.js";
import { firstDifference, firstRollingDifference, ROLLING_LUA } from "./equivalence.js";
import { hasRedis, startRedis, type RedisServer } from "./redis.js";
import { seedOf } from "./support.js";

const SEED = seedOf();
const PLANS = Number(process.env["PLANS"] ?? 6_000);
/** Faults are looked for in the same few worlds: one alone may lack a rule that shows it. */
const WORLDS = 40;
/** These show the rare ones soonest; they go first. */
const TELLING = [15, 36] as const;
const WORLD_PLANS = 5_000;

/** Faults planted in the script: what stands there, and what stood. */
const MUTANTS: readonly (readonly [to: string, from: string])[] = [
  ["previousUsed + amount >= limit", "previousUsed + amount > limit"],
  ["and used + amount >= limit then", "and used + amount > limit then"],
  ["local isOutside = now > endMs or", "local isOutside = now >= endMs or"],
  ["if now <= kind.endMs and", "if now < kind.endMs and"],
  ["now > kind.startMs then return false", "now >= kind.startMs then return false"],
  ["isOutside and (now > sinceMs or", "isOutside and (now >= sinceMs or"],
  ["return now > cell.startMs or", "return now >= cell.startMs or"],
  ["if cell and cell.shape >= kind.shape", "if cell and cell.shape > kind.shape"],
  ["if enters and not cell or", "if enters or not cell or"],
  ["if now <= cell.startMs and entersNow", "if now < cell.startMs and entersNow"],
  ["return action == SET end", "return action == RESET or action == SET end"],
  ["local enters = entersNow(action)", "local enters = speaks[leg] and entersNow(action)"],
  ["if now <= untilMs then", "if now < untilMs then"],
  ["if not sinceMs then used", "if sinceMs >= startMs then used"],
  ["local goesOn = now <= cell.endMs", "local goesOn = now < cell.endMs"],
  ["elseif goesOn then", "elseif goesOn or cell.startMs >= startMs then"],
  ["if true then startMs, endMs = cell", "if goesOn then startMs, endMs = cell"],
  ["if entries[i] >= leftMs then sum", "if entries[i] > leftMs then sum"],
  ["entries[gone + 1] < leftMs do", "entries[gone + 1] <= leftMs do"],
  ["if newest >= rest then", "if newest > rest then"],
  ["now < entries[count - 1] then", "now <= entries[count - 1] then"],
  ["if count > 0 and now == entries", "if count > 0 and now <= entries"],
  ["if left < room then return", "if left <= room then return"],
  ["isPast = atMs <= kind.startMs", "isPast = atMs < kind.startMs"],
  ["return atMs <= cell.endMs and", "return atMs < cell.endMs and"],
  ["used > shareOf(limit, fraction)", "used >= shareOf(limit, fraction)"],
  [
    "if near < 0 then return near end",
    "if math.abs(share - near) <= near * 2 ^ -51 then return near end",
  ],
  ["return kind.byPlan == 1 and", "return kind.byPlan == 2 or kind.byPlan == 1 and"],
  ["kind.byPlan == 1 and action == SET", "kind.byPlan == 1 and action == INCREMENT"],
  ["if request[kind + 4] > 1 then planned", "if request[kind + 4] > 0 then planned"],
  ["elseif used + amount >= AMOUNT_MAX then", "elseif used + amount > AMOUNT_MAX then"],
  ["(useds[leg] >= AMOUNT_MAX or", "(useds[leg] > AMOUNT_MAX or"],
  ["or lifted >= AMOUNT_MAX)", "or lifted > AMOUNT_MAX)"],
  ["lifted + 0 end", "lifted + max(0, kinds[leg].limit) end"],
  ["if action == GRANT then lifted", "if action == GRANT and speaks[leg] then lifted"],
  ["if answer and answer.expiresMs >= now then", "if answer and answer.expiresMs > now then"],
  ["and answer.status or DONE, true", "and answer.status or CONFLICT, true"],
  ["if status == DONE then used, alerted", "if status ~= DONE then used, alerted"],
  ["if alerted ~= alertedFrom then alertedFrom", "if alerted == alertedFrom then alertedFrom"],
  ["fits = fitMs[leg] == 0 and", "fits = fitMs[leg] == -1 and"],
  ["return cell", "return cell and copyOf(cell)"],
  ["if not areAllDone and not step.answer then", "if not areAllDone and step.status == DONE then"],
  ["if step.answer then keepAnswer", "if not isFaulty and step.answer then keepAnswer"],
  ["local isArmed = not cell or action", "local isArmed = not cell or previousUsed == 0 or action"],
  ["if action == RESET then alertedFrom = 1 end", "if action == RESET then alertedFrom = 0 end"],
  ["if cell.entries and cell.endMs > startsMs", "if cell.entries or cell.endMs > startsMs"],
  ["cell.endMs >= startsMs[leg] then", "cell.endMs > startsMs[leg] then"],
  ["cell.lastEndMs > startsMs[leg] then", "cell.lastEndMs <= startsMs[leg] then"],
  ["cell.planned ~= UNKNOWN and kind.limit", "cell.planned == UNKNOWN and kind.limit"],
  ["limit >= 0 and cell.granted == 0 then", "limit >= 0 and cell.granted ~= 0 then"],
  [
    "return cell.startMs == startsMs",
    "return cell.shape == kind.shape and cell.startMs == startsMs",
  ],
  ["elseif kind.remembers and cell.lastUsed", "elseif kind.remembers and not cell.lastUsed"],
  ["cell.lastUsed = 0", "cell.lastUsed = nil"],
  ["if change ~= CHANGED then last", "if change == CHANGED then last"],
  ["p ~= UNKNOWN and request[kind + 7]", "p == UNKNOWN and request[kind + 7]"],
  ["if g == 0 and ended >= 0", "if g ~= 0 and ended >= 0"],
  [
    "local whole = before[place + 1]",
    "local whole = #text >= LAST_AT and text or before[place + 1]",
  ],
  ["local whole = text", "local whole = #text >= LAST_AT and text or before[place + 1]"],
  ["stored[place] = counted", "stored[place] = change == COUNTED and counted or counted .. last"],
  ["cell.endMs = now + periodMs", "cell.endMs = max(now, entries[#entries - 1] or now) + periodMs"],
];
/** Faults in the part that joins amounts of a rolling window, which few random plans come to. */
const ROLLING_MUTANTS: readonly (readonly [to: string, from: string])[] = [
  ["if count > 2 * ROLLING_PARTS", "if count > 2 * ROLLING_ENTRIES_MAX"],
  ["if count >= 2 * ROLLING_ENTRIES_MAX", "if count > 2 * ROLLING_ENTRIES_MAX"],
  ["if part ~= nextPart", "if part == nextPart"],
  ["if true then", "if part == nextPart then"],
  ["for i = 1, count - 5, 2", "for i = 1, count - 3, 2"],
  ["for i = 3, count - 3, 2", "for i = 1, count - 3, 2"],
  ["local delay = entries[i + 3] * (nextMs", "local delay = entries[i + 1] * (nextMs"],
  ["local delay = nextMs - entries[i]", "local delay = entries[i + 1] * (nextMs - entries[i])"],
  ["if delay <= leastDelay", "if delay < leastDelay"],
  ["part = 0 + part", "part = nextPart"],
];
const TRAFFICS = 200;

describe.runIf(hasRedis("the equivalence of apply.lua"))("apply.lua", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.remove());

  it(`decides ${PLANS} random plans as apply.ts does (SEED=${SEED})`, async () => {
    expect(await firstDifference(server.admin(), scriptText("apply"), SEED, PLANS)).toBe(null);
  });

  it.each(MUTANTS)("with %s instead of %s is found out", async (to, from) => {
    const source = scriptSource("apply");
    expect(source.split(from).length, `stands once: ${from}`).toBe(2);
    const mutant = compactScript(source.replace(from, () => to));
    let found: string | null = null;
    for (const seed of [...TELLING, ...Array.from({ length: WORLDS }, (_, i) => i + 1)]) {
      found ??= await firstDifference(server.admin(), mutant, seed, WORLD_PLANS);
    }
    expect(found, `no difference in ${WORLDS} worlds of ${WORLD_PLANS} plans`).not.toBe(null);
  });

  it(`keeps ${TRAFFICS} random traffics as rolling.ts does (SEED=${SEED})`, async () => {
    expect(await firstRollingDifference(server.admin(), ROLLING_LUA, SEED, TRAFFICS)).toBe(null);
  });

  it.each(ROLLING_MUTANTS)("with %s instead of %s joins other amounts", async (to, from) => {
    expect(ROLLING_LUA.split(from).length, `stands once: ${from}`).toBe(2);
    const mutant = ROLLING_LUA.replace(from, () => to);
    const found = await firstRollingDifference(server.admin(), mutant, 1, TRAFFICS);
    expect(found, `no difference in ${TRAFFICS} traffics`).not.toBe(null);
  });
});
