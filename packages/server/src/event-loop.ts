/**
 * Holds answers until all requests that arrived in one turn of the event loop are decided, so that
 * the answers leave together. Each answer wakes a caller on the network: written between requests,
 * each write costs as much as all other work on a request.
 */
export class EventLoop {
  #end: Promise<void> | null = null;

  /** The current turn: resolves at its end. */
  now(): Promise<void> {
    this.#end ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#end = null;
        resolve();
      });
    });
    return this.#end;
  }

  /** Resolves at the end of a turn, or at once if it is over. */
  async endOf(turn: Promise<void>): Promise<void> {
    if (turn === this.#end) await turn;
  }
}
