import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compactScript, decideLua, scriptSource } from "../lua.js";
import { scriptText } from "../src/stores/redis/scripts.js";
import { firstDifference, firstRollingDifference } from "./equivalence.js";
import { hasRedis, startRedis, type RedisServer } from "./redis.js";
import { seedOf } from "./support.js";

const SEED = seedOf();
const PLANS = Number(process.env["PLANS"] ?? 6_000);
/** Faults are looked for in the same few worlds: one alone may lack a rule that shows it. */
const WORLDS = 40;
/** These show the rare ones soonest; they go first. */
const TELLING = [15, 36] as const;
const WORLD_PLANS = 5_000;

/** Faults planted in the script: the faulty text and the original. */
const MUTANTS: readonly (readonly [to: string, from: string])[] = [
  // The common call, which is written by hand.
  ["and used + held + amount >= limit then", "and used + held + amount > limit then"],
  ["local isOutside = now > endMs or", "local isOutside = now >= endMs or"],
  ["isOutside and (now > sinceMs or", "isOutside and (now >= sinceMs or"],
  ["if now <= untilMs then", "if now < untilMs then"],
  ["if not sinceMs then used", "if sinceMs >= startMs then used"],
  ["if request[terms + 4] > 1 then planned", "if request[terms + 4] > 0 then planned"],
  [
    "elseif used + held + amount >= AMOUNT_MAX then",
    "elseif used + held + amount > AMOUNT_MAX then",
  ],
  ["if change ~= CHANGED then last", "if change == CHANGED then last"],
  ["p ~= UNKNOWN and request[terms + 7]", "p == UNKNOWN and request[terms + 7]"],
  ["if g == 0 and ended >= 0", "if g ~= 0 and ended >= 0"],
  ["stored[place] = counted", "stored[place] = change == COUNTED and counted or counted .. last"],
  // What is made of TypeScript.
  ["+ previousHeld + asks >= limit", "+ previousHeld + asks > limit"],
  ["if nowMs <= window.endMs and", "if nowMs < window.endMs and"],
  ["nowMs > window.startMs then", "nowMs >= window.startMs then"],
  ["return nowMs > counter.window.startMs or", "return nowMs >= counter.window.startMs or"],
  [
    "counter.windowVersion >= rule.windowVersion then",
    "counter.windowVersion > rule.windowVersion then",
  ],
  [
    "if counter == nil or counter.windowVersion == rule",
    "if counter == nil or counter.windowVersion ~= rule",
  ],
  ["if false then", "if entersNow(step.action) and speaksTo(step, check) then"],
  ["if entersNow(step.action) then", "if entersNow(step.action) and speaksTo(step, check) then"],
  ["if nowMs <= counter.window.startMs and", "if nowMs < counter.window.startMs and"],
  ['return action == "set"', 'return action == "reset" or action == "set"'],
  ["local goesOn = nowMs <= counter", "local goesOn = nowMs < counter"],
  ["elseif goesOn then", "elseif goesOn or counter.window.startMs >= window.startMs then"],
  ["if true then\n                    window", "if goesOn then\n                    window"],
  [">= leftMs then\n                sum", "> leftMs then\n                sum"],
  ["(entries[gone + 1] or 0) < leftMs do", "(entries[gone + 1] or 0) <= leftMs do"],
  ["if newest >= rest then", "if newest > rest then"],
  ["if nowMs < (entries[last", "if nowMs <= (entries[last"],
  ["if nowMs == (entries[last", "if nowMs <= (entries[last"],
  ["nowMs and left < room then", "nowMs and left <= room then"],
  ["= atMs <= window.startMs", "= atMs < window.startMs"],
  ["return nowMs <= window.endMs and", "return nowMs < window.endMs and"],
  ["used > shareOf(limit, fraction)", "used >= shareOf(limit, fraction)"],
  ["return near < 0 and near", "return math.abs(share - near) <= near * 2 ^ (-51) and near"],
  [
    'return action == "reserve" or limit ~= rule.defaultLimit',
    'return action == "increment" or action == "reserve" or limit ~= rule.defaultLimit',
  ],
  [
    'return action == "increment" or action == "reserve"',
    'return action == "increment" or action == "reserve" or limit ~= rule.defaultLimit',
  ],
  ['return action == "set" or action', 'return action == "increment" or action'],
  ["return used + held >= AMOUNT_MAX or", "return used + held > AMOUNT_MAX or"],
  ["or lifted >= AMOUNT_MAX", "or lifted > AMOUNT_MAX"],
  ["isGrant and granted or granted", "isGrant and granted + (check.limit or 0) or granted"],
  ['step.action == "grant"\n', 'step.action == "grant" and speaksTo(step, seen.check)\n'],
  ["seen.used = seen.used", "seen.used = seen.previousUsed"],
  ["seen.alerted = seen.alerted", "seen.alerted = seen.alertedFrom"],
  [
    "if not areAllDone and not outcome.isReplayed then",
    'if not areAllDone and outcome.status == "done" and not outcome.isReplayed then',
  ],
  [
    'if not areAllDone and outcome.status == "done" then',
    'if not areAllDone and outcome.status == "done" and not outcome.isReplayed then',
  ],
  [
    "if step.answerKey ~= nil then\n                        keep",
    "if not isFaulty and step.answerKey ~= nil then\n                        keep",
  ],
  [
    "local isArmed = counter == nil or action",
    "local isArmed = counter == nil or previousUsed == 0 or action",
  ],
  [
    'if action == "reset" then\n        alertedFrom = 1',
    'if action == "reset" then\n        alertedFrom = 0',
  ],
  ["if entries ~= nil and window.endMs > startMs", "if entries ~= nil or window.endMs > startMs"],
  ["or window.endMs >= startMs then", "or window.endMs > startMs then"],
  ["last.window.endMs > startMs and last", "last.window.endMs <= startMs and last"],
  ["local known = check.limit", "local known = counter.knownLimit or check.limit"],
  ["if limit == nil or granted ~= 0 then", "if limit == nil or granted == 0 then"],
  [
    "elseif counter.windowVersion ~= rule.windowVersion then",
    "elseif counter.window ~= seen.window or counter.windowVersion ~= rule.windowVersion then",
  ],
  [
    "elseif rule.remembersLast and counter.last ~= nil then",
    "elseif rule.remembersLast and counter.last == nil then",
  ],
  [
    "\n        nowMs + periodMs,\n        lastEnd",
    "\n        newestMs + periodMs,\n        lastEnd",
  ],
  ["isCheckStale(step, check, found[i], nowMs)", "isCheckStale(step, check, found[i + 1], nowMs)"],
  // What reads and writes around it.
  ["or 'done', isReplayed", "or 'conflict', isReplayed"],
  ["if readAnswer(text) < nowMs then", "if readAnswer(text) <= nowMs then"],
  ["return repeatIf(true, text)", "return repeatIf(fingerprint == key.fingerprint, text)"],
  ["if alerted ~= alertedFrom then alertedFrom", "if alerted == alertedFrom then alertedFrom"],
  ["or '0'", "or 'n'"],
  ["return counter\n", "return counter and copyOf(counter)\n"],
  [
    "if counter.entries then copy.entries = counter.entries end",
    "if counter.entries then copy.entries = { unpack(counter.entries) } end",
  ],
  [
    "local listed = before[place + 1]",
    "local listed = #text >= LAST_AT and text or before[place + 1]",
  ],
  ["local listed = text", "local listed = #text >= LAST_AT and text or before[place + 1]"],
  ["if knownLimit == UNLIMITED then knownLimit", "if knownLimit == UNKNOWN then knownLimit"],
  ["if number > 0 then return number end", "if number >= 0 then return number end"],
  ["picksLimit = picks == 2", "picksLimit = picks ~= 0"],
  ["defaultLimit = limit, alerts", "defaultLimit = picks == 2 and UNKNOWN or limit, alerts"],
  ["isSoft = false", "isSoft = request[place + 3] == 1"],
  ["local isOther = false", "local isOther = speaksToOne and request[at + 2] == 0"],
  ["local key = place", "local key = name * place"],
  ["reported = count\n    answerKey", "reported = request[at + 2]\n    answerKey"],
  ["draft.changed = base.changed", "draft.changed = draft.put"],
];
/** Faults in the part that joins amounts of a rolling window, which few random plans come to. */
const ROLLING_MUTANTS: readonly (readonly [to: string, from: string])[] = [
  ["if #entries > 2 * ROLLING_PARTS", "if #entries > 2 * ROLLING_ENTRIES_MAX"],
  ["if #entries >= 2 * ROLLING_ENTRIES_MAX", "if #entries > 2 * ROLLING_ENTRIES_MAX"],
  ["if part ~= nextPart", "if part == nextPart"],
  ["if true then", "if part == nextPart then"],
  ["while i + 4 < #entries", "while i + 2 < #entries"],
  ["local i = 2\n        while i + 2", "local i = 0\n        while i + 2"],
  ["(entries[i + 3 + 1] or 0) * (next", "(entries[i + 1 + 1] or 0) * (next"],
  ["local delay = (nextMs - (", "local delay = (entries[i + 1 + 1] or 0) * (nextMs - ("],
  ["if delay <= leastDelay", "if delay < leastDelay"],
  ["part = 0 + part", "part = nextPart"],
];
const TRAFFICS = 200;

const SOURCE = scriptSource("apply");
/** What keeps the amounts of a rolling window. */
const ROLLING = decideLua(["dropLeft", "addAmount"]);

describe.runIf(hasRedis("the equivalence of apply.lua"))("apply.lua", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.remove());

  it(`decides ${PLANS} random plans as JavaScript does (SEED=${SEED})`, async () => {
    expect(await firstDifference(server.admin(), scriptText("apply"), SEED, PLANS)).toBe(null);
  });

  it.each(MUTANTS)("with %s instead of %s is found out", async (to, from) => {
    expect(SOURCE.split(from).length, `stands once: ${from}`).toBe(2);
    const mutant = compactScript(SOURCE.replace(from, () => to));
    let found: string | null = null;
    for (const seed of [...TELLING, ...Array.from({ length: WORLDS }, (_, i) => i + 1)]) {
      found ??= await firstDifference(server.admin(), mutant, seed, WORLD_PLANS, 0);
    }
    expect(found, `no difference in ${WORLDS} worlds of ${WORLD_PLANS} plans`).not.toBe(null);
  });

  it(`keeps ${TRAFFICS} random traffics as JavaScript does (SEED=${SEED})`, async () => {
    expect(await firstRollingDifference(server.admin(), ROLLING, SEED, TRAFFICS)).toBe(null);
  });

  it.each(ROLLING_MUTANTS)("with %s instead of %s joins other amounts", async (to, from) => {
    expect(ROLLING.split(from).length, `stands once: ${from}`).toBe(2);
    const mutant = ROLLING.replace(from, () => to);
    const found = await firstRollingDifference(server.admin(), mutant, 1, TRAFFICS);
    expect(found, `no difference in ${TRAFFICS} traffics`).not.toBe(null);
  });
});
