import { getHeapStatistics } from "node:v8";

/** The maximum size of this process's heap, in bytes. */
export const HEAP_BYTES_MAX = getHeapStatistics().heap_size_limit;

/** The most bytes of a counter in memory: one of a rolling rule with a long subject. */
const COUNTER_BYTES_MAX = 2_500;

/**
 * The most counters of a file or a server that are also kept in memory: 200,000, and at most what
 * fits into a quarter of the heap if each has the maximum size. Beyond that the memory is emptied
 * and fills again.
 */
export const COPIES_MAX = Math.min(200_000, Math.floor(HEAP_BYTES_MAX / 4 / COUNTER_BYTES_MAX));

/** The most holds of a file or a server that are also kept in memory, the latest ones. */
export const HOLDS_MAX = Math.min(50_000, Math.floor(COPIES_MAX / 4));
