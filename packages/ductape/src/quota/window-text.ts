import { rememberingInPlaces, type Places } from "../base/memo.js";
import { FOREVER_MS, type Span } from "../decide/period.js";

/** The window of a rule, ISO 8601 in UTC; `end` is null for a lifetime. */
export interface ResultWindow {
  start: string;
  end: string | null;
}

/** Formatting a date costs more than a decision, and windows stay the same for many calls. */
const TEXTS_MAX = 256;
const PLACES: Places<Span> = {
  place: ({ startMs, endMs }) => ((startMs / 1_000) ^ (endMs / 60_000)) & (TEXTS_MAX - 1),
  isSame: (a, b) => a.startMs === b.startMs && a.endMs === b.endMs,
};

/** The bounds of a window as in results. The object is shared: copy it. */
export const windowText: (window: Span) => ResultWindow = rememberingInPlaces(
  PLACES,
  ({ startMs, endMs }) => ({
    start: isoOf(startMs),
    end: endMs === FOREVER_MS ? null : isoOf(endMs),
  }),
);

/** An instant, ISO 8601 in UTC. */
export const isoOf = (atMs: number): string => new Date(atMs).toISOString();

/** When a window ends; null: never. */
export const endOf = (window: ResultWindow | null): string | null =>
  window === null ? null : window.end;
