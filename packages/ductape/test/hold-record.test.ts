// The text of a hold's record: what is written is what is read.
import {
  array,
  assert,
  boolean,
  constant,
  constantFrom,
  integer,
  maxSafeInteger,
  oneof,
  option,
  property,
  record,
  string,
  type Arbitrary,
} from "fast-check";
import { describe, expect, it } from "vitest";
import { STATUSES, type Answer } from "../src/decide/answer.js";
import type { Hold, HoldPart } from "../src/decide/hold.js";
import type { CheckNumbers } from "../src/decide/outcome.js";
import { FOREVER_MS } from "../src/decide/period.js";
import { holdText, readHold } from "../src/stores/hold-record.js";
import { seedOf } from "./support.js";

const seed = seedOf();
const NOW_MS = Date.UTC(2026, 4, 15, 12);
const amount = oneof(integer({ min: 0, max: 99 }), maxSafeInteger().map(Math.abs));
const instant = oneof(
  integer({ min: -100_000, max: 100_000 }).map((ms) => NOW_MS + ms),
  constantFrom(0, FOREVER_MS),
);
const window = record({ startMs: instant, endMs: instant });
/** JSON has no line ends. */
const line = string({ unit: "binary" }).map((text) => JSON.stringify(text));

const check: Arbitrary<CheckNumbers> = record({
  window,
  used: amount,
  held: amount,
  granted: amount,
  previousUsed: amount,
  admits: boolean(),
  inTheWay: boolean(),
  rolling: option(record({ leavesMs: instant, fitsMs: option(instant) })),
  heldFitsMs: oneof(
    constant(0),
    integer({ min: 1, max: 100_000 }).map((ms) => NOW_MS + ms),
  ),
  countedIn: option(window),
  alerts: constantFrom([0, 0], [0, 0.8], [0.07, 1.5]),
}).map(({ alerts: [alertedFrom = 0, alerted = 0], ...rest }) => ({
  ...rest,
  alertedFrom,
  alerted,
}));

const answer: Arbitrary<Answer> = record({
  expiresMs: instant,
  status: constantFrom(...STATUSES),
  fingerprint: line,
  details: line,
  amount,
  hold: option(
    record({
      held: amount,
      charged: amount,
      excess: amount,
      isExpired: boolean(),
      expiresMs: instant,
    }),
  ),
  checks: array(check, { maxLength: 3 }),
}).map((rest) => ({ ...rest, nowMs: NOW_MS }));

const part: Arbitrary<HoldPart> = record({
  window,
  windowVersion: integer({ min: 1, max: 9 }),
  endMs: instant,
  edition: integer({ min: 0, max: 1_000 }),
});

const hold: Arbitrary<Hold> = record({
  owners: line,
  openedMs: instant,
  expiresMs: instant,
  held: amount,
  charged: amount,
  settled: amount,
  parts: array(part, { minLength: 1, maxLength: 3 }),
  reserved: answer,
  settlement: option(
    record({ answer, status: constantFrom("committed", "released"), settledMs: instant }),
  ),
}).map(({ settlement, ...rest }) =>
  settlement === null
    ? { ...rest, status: "open", settledMs: 0, settlement }
    : {
        ...rest,
        status: settlement.status,
        settledMs: settlement.settledMs,
        settlement: settlement.answer,
      },
);

describe("the record of a hold", () => {
  it(`is read as it was written; seed ${seed}`, () => {
    assert(
      property(hold, (each) => {
        expect(readHold(holdText(each))).toEqual(each);
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it("is lines of integers, then texts", () => {
    const reserved: Answer = {
      nowMs: NOW_MS,
      expiresMs: NOW_MS + 60_000,
      status: "done",
      fingerprint: "f",
      details: '[["day","day",9],"job"]',
      amount: 5,
      hold: { held: 5, charged: 0, excess: 0, isExpired: false, expiresMs: NOW_MS + 60_416 },
      checks: [],
    };
    const open: Hold = {
      owners: '[["1/shop/prd/q/day/uid/","ada"]]',
      openedMs: NOW_MS,
      expiresMs: NOW_MS + 60_416,
      status: "open",
      held: 5,
      charged: 0,
      settled: 0,
      settledMs: 0,
      parts: [
        {
          window: { startMs: NOW_MS - 1_000, endMs: NOW_MS + 9_000 },
          windowVersion: 2,
          endMs: NOW_MS + 9_000,
          edition: 3,
        },
      ],
      reserved,
      settlement: null,
    };
    expect(holdText(open).split("\n")).toEqual([
      `${NOW_MS},60416,0,5,0,0,`,
      "1000,9000,2,9000,3",
      '[["1/shop/prd/q/day/uid/","ada"]]',
      `${NOW_MS},60000,0,5,60416,5,0,0,0`,
      "f",
      '[["day","day",9],"job"]',
    ]);
    const settled = {
      ...open,
      status: "released",
      settledMs: NOW_MS,
      settlement: reserved,
    } as const;
    expect(holdText(settled).split("\n")[0]).toBe(`${NOW_MS},60416,2,5,0,0,0`);
  });

  it.each(["", "1,2,0,5,0,0,\n1,2,3,4,5\no\na", "1,2,9,5,0,0,\n1,2,3,4,5\no\n1,2,0\nf\nd"])(
    "is refused if it is %j",
    (text) => {
      expect(() => readHold(text)).toThrow("cannot be read");
    },
  );
});
