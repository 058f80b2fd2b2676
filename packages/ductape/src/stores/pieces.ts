/** Most rows of a piece that is read from, or written to, a store at once. */
export const PIECE_ROWS = 1_000;

/** The rows in pieces of at most {@link PIECE_ROWS}. */
export async function* piecesOf<T>(rows: AsyncIterable<T>): AsyncGenerator<T[]> {
  let piece: T[] = [];
  for await (const row of rows) {
    piece.push(row);
    if (piece.length < PIECE_ROWS) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}
