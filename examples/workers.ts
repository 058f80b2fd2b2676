// Five slots shared by workers in processes of their own. A crashed worker's slot comes back by
// itself, when its hold expires; a worker that finds no slot waits as long as the answer says.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Ductape } from "ductape";

const WORKERS = 8;
const SLOTS = 5;
const TO_CRASH = 2;
const pool = { product_tag: "studio", env: "prd", quota_tag: "renders" } as const;
const [job, store] = process.argv.slice(2);

if (job === undefined || store === undefined) await manage();
else await work(job, store);

/** Starts workers, kills two of them at work, and shows what becomes of the slots. */
async function manage(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "workers-"));
  const file = `sqlite:${join(folder, "slots.db")}`;
  const ductape = new Ductape({ store: file });
  await ductape.product.create({ tag: "studio" });
  await ductape.product.environments.create("studio", { slug: "prd" });
  await ductape.product.quotas.create("studio", {
    tag: "renders",
    rules: [{ name: "in-flight", limit: SLOTS, window: "concurrent" }],
  });
  const takenSlots = async () =>
    (await ductape.processor.quota.run({ ...pool, action: "check" })).held;

  console.log(`${WORKERS} workers share ${SLOTS} slots`);
  const workers = Array.from({ length: WORKERS }, (_, i) =>
    fork(fileURLToPath(import.meta.url), [`job-${i}`, file]),
  );
  const atWork: ChildProcess[] = [];
  for (const worker of workers) {
    worker.on("message", () => {
      atWork.push(worker);
      // Nobody ends before every slot is taken; then some of those that took one crash.
      if (atWork.length > SLOTS) worker.send("finish");
      if (atWork.length !== SLOTS) return;
      for (const crashing of atWork.slice(0, TO_CRASH)) crashing.kill("SIGKILL");
      for (const other of atWork.slice(TO_CRASH)) other.send("finish");
    });
  }
  const ended = Promise.all(workers.map((worker) => once(worker, "exit")));
  const state = { hasEnded: false, most: 0 };
  void ended.then(() => (state.hasEnded = true));
  while (!state.hasEnded) {
    state.most = Math.max(state.most, await takenSlots());
    await delay(5);
  }
  const finished = (await ended).filter(([code]) => code === 0).length;
  console.log(`at most ${state.most} slots were taken at once`);
  console.log(`${WORKERS - finished} workers crashed at work, ${finished} finished`);
  // Those of the crashed ones end by themselves.
  while ((await takenSlots()) > 0) await delay(50);
  console.log(`${await takenSlots()} slots are taken now`);
  await ductape.close();
  rmSync(folder, { recursive: true });
}

/** A worker: takes a slot, works with a heartbeat, and gives the slot back. */
async function work(reservation: string, file: string): Promise<void> {
  await using ductape = new Ductape({ store: file });
  const lease = { ...pool, reservation, ttl_ms: 2_000 };
  for (;;) {
    const slot = await ductape.processor.quota.run({ ...lease, action: "reserve" });
    if (slot.allowed) break;
    // By then the first slot is free at the latest; it may be earlier, as its worker finishes.
    await delay(Math.min(100, slot.retry_after_ms ?? 100));
  }
  const end = new AbortController();
  process.once("message", () => end.abort());
  process.send?.("at work");
  while (!end.signal.aborted) {
    await delay(300);
    await ductape.processor.quota.run({ ...lease, action: "extend" });
  }
  await ductape.processor.quota.run({ ...pool, reservation, action: "release" });
  process.disconnect();
}
