// A process of the tests that holds amounts or slots of one store. It writes a line for whatever
// was acknowledged, so that what it held when it is killed is known.
import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Ductape, type Decision, type QuotaInput } from "ductape";

const [store = "", mode = "", rounds = "0"] = process.argv.slice(2);
const CALLERS = 40;
const SUBJECTS = 3;
const AMOUNT_MAX = 9;
const place = { env: "prd", product_tag: "shop", quota_tag: "q" } as const;
const ductape = new Ductape({ store, timeoutMs: 60_000 });

const say = (...words: readonly unknown[]): void => void writeSync(1, `${words.join(" ")}\n`);
const below = (n: number): number => Math.floor(Math.random() * n);
const run = async (input: Omit<QuotaInput, keyof typeof place>): Promise<Decision> =>
  await ductape.processor.quota.run({ ...place, ...input });

/** Reserves, extends, books parts, commits or releases; returns what was committed. */
async function settleOne(subject: string): Promise<number> {
  const asked = { action: "reserve", amount: 1 + below(AMOUNT_MAX), at_least: 1 } as const;
  const hold = await run({ ...asked, subject, ttl_ms: 60_000 });
  const id = hold.reservation?.id;
  if (!hold.allowed || id === undefined) return 0;
  const held = { subject, reservation: id };
  let [left, committed] = [hold.amount, 0];
  if (below(3) === 0) {
    const amount = 1 + below(AMOUNT_MAX);
    const extended = await run({ ...held, action: "extend", amount, ttl_ms: 60_000 });
    if (extended.allowed) left = amount;
  }
  if (below(3) === 0) {
    const amount = below(left + 1);
    await run({ ...held, action: "commit", amount, final: false });
    left -= amount;
    committed += amount;
  }
  if (below(3) === 0) {
    await run({ ...held, action: "release" });
    return committed;
  }
  const amount = below(left + 1);
  await run({ ...held, action: "commit", amount });
  return committed + amount;
}

async function settle(): Promise<void> {
  const sums = Array.from({ length: SUBJECTS }, () => 0);
  const caller = async (_: unknown, number: number): Promise<void> => {
    for (let round = 0; round < Number(rounds); round++) {
      const user = (number + round) % SUBJECTS;
      const committed = await settleOne(`user-${user}`);
      sums[user] = (sums[user] ?? 0) + committed;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  say(JSON.stringify(sums));
}

/** Holds some slots, with a heartbeat, and gives them back now and then, until it is killed. */
async function holdSlots(slots: number): Promise<void> {
  const holder = async (_: unknown, number: number): Promise<void> => {
    const reservations = Array.from({ length: 1_000 }, (__, i) => `${process.pid}-${number}-${i}`);
    for (const reservation of reservations) {
      say("reserve", reservation);
      const reserved = await run({ action: "reserve", reservation, ttl_ms: 1_000 });
      if (!reserved.allowed) say("denied", reservation);
      else await keep(reserved, reservation);
    }
  };
  await Promise.all(Array.from({ length: slots }, holder));
}

async function keep(reserved: Decision, reservation: string): Promise<void> {
  say("held", reservation, endOf(reserved));
  for (let beat = below(4); beat >= 0; beat--) {
    await delay(100 + below(300));
    say("extend", reservation);
    say("held", reservation, endOf(await run({ action: "extend", reservation, ttl_ms: 1_000 })));
  }
  say("settle", reservation);
  await run({ action: below(2) === 0 ? "commit" : "release", reservation });
  say("settled", reservation);
}

function endOf({ reservation }: Decision): number {
  return Date.parse(reservation?.expires_at ?? "");
}

if (mode === "settle") await settle();
else await holdSlots(Number(rounds));
await ductape.close();
