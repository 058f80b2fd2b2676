/**
 * Holds answers until all requests that came in one turn of the event loop are decided, so that
 * they leave one after the other. A caller on a network is woken by each answer: written between
 * requests, each write costs as much as all other work on a request.
 */
export class Turns {
  #end: Promise<void> | null = null;

  /** The turn that is under way: resolves at its end. */
  now(): Promise<void> {
    this.#end ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#end = null;
        resolve();
      });
    });
    return this.#end;
  }

  /** Resolves at the end of a turn; at once where it is over. */
  async endOf(turn: Promise<void>): Promise<void> {
    if (turn === this.#end) await turn;
  }
}
