/** How much a random run draws where nobody says otherwise. */
export interface Budget {
  /** Draws that are made however long they take. */
  readonly least: number;
  /** From then on it draws until so many seconds have passed since its first draw. */
  readonly seconds: number;
}

/**
 * Counts the draws of one random run from 0: as many as its budget allows on this machine, or
 * exactly as many as the variable `name` says, as `npm run soak` does.
 */
export function* draws(name: string, { least, seconds }: Budget): Generator<number, void> {
  const exact = process.env[name];
  const endMs = performance.now() + seconds * 1_000;
  const goesOn = (drawn: number): boolean =>
    exact === undefined ? drawn < least || performance.now() < endMs : drawn < Number(exact);
  for (let drawn = 0; goesOn(drawn); drawn++) yield drawn;
}
