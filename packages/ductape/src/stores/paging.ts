/** The most rows that are read from, or written to, a store at once. */
export const CHUNK_ROWS = 1_000;

/** The rows in chunks of at most {@link CHUNK_ROWS}. */
export async function* chunksOf<T>(rows: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T[]> {
  let chunk: T[] = [];
  for await (const row of rows) {
    chunk.push(row);
    if (chunk.length < CHUNK_ROWS) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** All rows of a kind by key, in chunks; `read` returns those after a key. */
export async function* pagesOf<T extends { readonly key: string }>(
  read: (after: string) => Promise<readonly T[]>,
): AsyncGenerator<readonly T[]> {
  let after: string | undefined = "";
  while (after !== undefined) {
    const rows: readonly T[] = await read(after);
    if (rows.length > 0) yield rows;
    after = rows.length < CHUNK_ROWS ? undefined : rows.at(-1)?.key;
  }
}
