/** The calls that are not over yet, for the end of a client to wait for. */
export class UnderWay {
  #count = 0;
  #waiting: (() => void)[] = [];

  /** Counts a call until it has settled. Returns it as it is. */
  track<T>(call: Promise<T>): Promise<T> {
    this.begin();
    const end = (): void => this.end();
    call.then(end, end);
    return call;
  }

  /** One more call; {@link end} must follow. */
  begin(): void {
    this.#count++;
  }

  /** One call is over. */
  end(): void {
    this.#count--;
    if (this.#count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Resolves when no call is under way, also none that another has begun at its end. */
  async none(): Promise<void> {
    while (this.#count > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
