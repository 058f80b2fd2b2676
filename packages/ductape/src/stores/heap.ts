import { getHeapStatistics } from "node:v8";

/** How large the heap of this process may become, in bytes. */
export const HEAP_BYTES_MAX = getHeapStatistics().heap_size_limit;

/** What a counter in memory takes at most: one of a rolling rule with a long subject. */
const COUNTER_BYTES_MAX = 2_500;

/**
 * Most counters of a file or a server that are also kept in memory: 200,000, and no more than a
 * quarter of the heap holds where every one is as large as can be. More, and the memory is emptied
 * and fills again.
 */
export const COPIES_MAX = Math.min(200_000, Math.floor(HEAP_BYTES_MAX / 4 / COUNTER_BYTES_MAX));
