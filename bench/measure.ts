import { cpus } from "node:os";

/** A way to do the same work: `run(n)` makes n calls and resolves when all are answered. */
export interface Contender {
  readonly name: string;
  run(calls: number): Promise<void>;
}

/** The middle of some figures. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Nanoseconds a call of each contender: warmed up, then in turn, the median of `rounds`. */
export async function compare(
  contenders: readonly Contender[],
  calls: number,
  rounds = 7,
): Promise<Map<string, { medianNs: number; perRound: number[] }>> {
  const rows = new Map(
    contenders.map(({ name }) => [name, { medianNs: 0, perRound: [] as number[] }]),
  );
  for (const contender of contenders) await contender.run(Math.ceil(calls / 2));
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      const startNs = process.hrtime.bigint();
      await contender.run(calls);
      const tookNs = Number(process.hrtime.bigint() - startNs);
      rows.get(contender.name)?.perRound.push(tookNs / calls);
    }
  }
  for (const row of rows.values()) row.medianNs = median(row.perRound);
  return rows;
}

/** Runs `call` n times with `inFlight` callers. */
export async function withCallers(
  inFlight: number,
  calls: number,
  call: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < calls) await call(next++);
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, calls) }, caller));
}

/** What the figures were measured on. */
export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model.trim() || "unknown CPU"}, Node ${process.version}`;
}
