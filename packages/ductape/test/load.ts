import { setTimeout as delay } from "node:timers/promises";
import { DuctapeError, type Ductape, type QuotaInput } from "ductape";
import { inputOf } from "./support.js";

/** What became of the calls of a {@link Load}. */
export interface LoadReport {
  /** Acknowledged as counted. */
  acknowledged: number;
  /** The faults by their code. */
  readonly faults: Map<string, number>;
  /** The longest call, in milliseconds. */
  longestMs: number;
}

/** Callers that count on one client until they are told to stop; after a fault they wait a bit. */
export class Load {
  readonly report: LoadReport = { acknowledged: 0, faults: new Map(), longestMs: 0 };
  readonly #callers: Promise<void>[];
  #isStopped = false;

  constructor(ductape: Ductape, callers: number, input: (call: number) => Partial<QuotaInput>) {
    let call = 0;
    const caller = async (): Promise<void> => {
      while (!this.#isStopped) await this.#call(ductape, inputOf(input(call++)));
    };
    this.#callers = Array.from({ length: callers }, caller);
  }

  /** How many calls ended with this code. */
  faultsOf(code: string): number {
    return this.report.faults.get(code) ?? 0;
  }

  /** Resolves at the next acknowledged call. */
  async goesOn(): Promise<void> {
    const before = this.report.acknowledged;
    while (this.report.acknowledged === before) await delay(1);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#callers);
  }

  async #call(ductape: Ductape, input: QuotaInput): Promise<void> {
    const sentMs = performance.now();
    try {
      const { allowed } = await ductape.processor.quota.run(input);
      if (allowed) this.report.acknowledged++;
    } catch (error) {
      if (!DuctapeError.is(error)) throw error;
      this.report.faults.set(error.code, this.faultsOf(error.code) + 1);
      await delay(5);
    } finally {
      this.report.longestMs = Math.max(this.report.longestMs, performance.now() - sentMs);
    }
  }
}
