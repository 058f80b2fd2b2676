import type { AnswerKey } from "./answer.js";
import { copyOf, type Cell, type Cells } from "./cell.js";
import type { Leg } from "./leg.js";

/** A copy of the counters a plan touches, so that several steps can be taken back as one. */
export class Draft implements Cells {
  readonly #base: Cells;
  readonly #cells = new Map<string, Map<string, { leg: Leg; cell: Cell }>>();

  constructor(base: Cells) {
    this.#base = base;
  }

  get(leg: Leg): Cell | undefined {
    const drafted = this.#cells.get(leg.rule.space)?.get(leg.subject);
    if (drafted !== undefined) return drafted.cell;
    const cell = this.#base.get(leg);
    return cell && copyOf(cell);
  }

  put(leg: Leg, cell: Cell): void {
    const space = this.#cells.get(leg.rule.space);
    if (space === undefined)
      this.#cells.set(leg.rule.space, new Map([[leg.subject, { leg, cell }]]));
    else space.set(leg.subject, { leg, cell });
  }

  getAnswer(key: AnswerKey): string | undefined {
    return this.#base.getAnswer(key);
  }

  putAnswer(key: AnswerKey, text: string, expiresMs: number): void {
    this.#base.putAnswer(key, text, expiresMs);
  }

  commit(): void {
    for (const space of this.#cells.values()) {
      for (const { leg, cell } of space.values()) {
        leg.cell = this.#base.get(leg);
        this.#base.put(leg, cell);
        leg.cell = cell;
      }
    }
  }
}
