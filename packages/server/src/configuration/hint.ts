import { PERIOD_UNITS } from "ductape";

/** Nearly a number: digits in groups, in quotes, or followed by k or M. */
const GROUPED = /^(\d{1,3}(?:[_,' ]\d{3})+|\d+(?:_\d+)*)(\.\d+)?$/;
const SHORT = /^(\d+(?:\.\d+)?) ?([kKmM])$/;
const THOUSANDS: Readonly<Record<string, number>> = { k: 1_000, m: 1_000_000 };
const FLAGS: Readonly<Record<string, boolean>> = { yes: true, on: true, no: false, off: false };
/** Milliseconds in the units that people write for a cache. */
const MS: Readonly<Record<string, number>> = {
  millisecond: 1,
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
};
const CACHE_MS_MAX = 86_400_000;
const SESSION_UNITS = ["second", "minute", "hour", "day", "week", "month", "year"];
const UNITS: readonly string[] = ["millisecond", ...PERIOD_UNITS];
const WORDS: Readonly<Record<string, string>> = {
  hourly: "hour",
  daily: "day",
  weekly: "week",
  monthly: "month",
  quarterly: "quarter",
  yearly: "year",
  annually: "year",
  forever: "lifetime",
  never: "lifetime",
};
const LETTERS: Readonly<Record<string, string>> = {
  ms: "millisecond",
  s: "second",
  sec: "second",
  secs: "second",
  m: "minute",
  min: "minute",
  mins: "minute",
  h: "hour",
  hr: "hour",
  hrs: "hour",
  d: "day",
  w: "week",
  mo: "month",
  y: "year",
};

/** A value that was refused. */
interface Refused {
  /** Its field after the kind of definition: `caches[0].expiry`, or `cache.expiry`. */
  readonly path: string;
  /** Why it was refused. */
  readonly message: string;
  readonly value: unknown;
  /** How it was written, if a parser read it. */
  readonly source?: string | undefined;
  /** Where it was written: in YAML, or in a flag, which accepts JSON. */
  readonly form: "yaml" | "flag";
}

/** A suggestion to append to the message if the value is nearly right; else an empty text. */
export function hintOf(refused: Refused): string {
  const { path, message, value, source = "" } = refused;
  // The message already has a suggestion.
  if (message.endsWith("?")) return "";
  if (typeof value !== "string") {
    const isText = /expects a (string|text)\b/.test(message);
    return isText && source !== "" ? `; write ${JSON.stringify(source)}` : "";
  }
  const text = value.trim();
  if (/true or false/.test(message)) {
    const flag = FLAGS[text.toLowerCase()];
    return flag === undefined ? "" : `; write ${flag}`;
  }
  const word = text.toLowerCase();
  if (/expects one of .*lifetime/.test(message)) return periodHint(word, refused);
  if (/expects one of seconds,/.test(message)) return sessionPeriodHint(word, refused);
  if (!/expects (a number|an integer|milliseconds|integers)/.test(message)) return "";
  const kind = /\b(cache|session)s?(?:\[\d+\])?\.expiry$/.exec(path)?.[1];
  const duration = kind === undefined ? null : durationOf(word);
  if (duration === null) return numberHint(text, path);
  return kind === "cache" ? cacheHint(duration) : sessionHint(duration, refused);
}

interface Duration {
  readonly count: number;
  readonly unit: string;
}

/** A duration written in words: `5s`, `30 days`, `every 2 weeks`. */
function durationOf(text: string): Duration | null {
  const [, count = "1", name = ""] = /^(?:every )?(\d+(?:\.\d+)?)? ?([a-z]+)$/.exec(text) ?? [];
  const unit = UNITS.find((each) => name === each || name === `${each}s`) ?? LETTERS[name];
  return unit === undefined ? null : { count: Number(count), unit };
}

function cacheHint({ count, unit }: Duration): string {
  const ms = count * (MS[unit] ?? Number.NaN);
  return Number.isInteger(ms) && ms >= 1 && ms <= CACHE_MS_MAX ? `; write ${ms}` : "";
}

function sessionHint({ count, unit }: Duration, { form }: Pick<Refused, "form">): string {
  if (!Number.isInteger(count) || count < 1 || !SESSION_UNITS.includes(unit)) return "";
  return `; write ${count}, and ${form === "flag" ? "--period " : "period: "}${unit}s`;
}

/** For `1 day` suggests only the unit, because the number is another field. */
function sessionPeriodHint(text: string, { form }: Pick<Refused, "form">): string {
  const duration = durationOf(WORDS[text] ?? text);
  if (duration === null || !SESSION_UNITS.includes(duration.unit)) return "";
  const { count, unit } = duration;
  if (count === 1) return `; write ${unit}s`;
  return `; write ${unit}s, and ${form === "flag" ? "--expiry " : "expiry: "}${count}`;
}

function numberHint(text: string, path: string): string {
  if (/^(none|unlimited|infinite|infinity)$/i.test(text)) {
    return /\b(limit|default)$|\.values\b/.test(path) ? "; write null" : "";
  }
  const [, count = "", unit = ""] = SHORT.exec(text) ?? [];
  if (unit !== "") {
    return `; write ${Math.round(Number(count) * (THOUSANDS[unit.toLowerCase()] ?? 1))}`;
  }
  const [, whole, fraction = ""] = GROUPED.exec(text) ?? [];
  if (whole === undefined) return "";
  const digits = whole.replaceAll(/[_,' ]/g, "");
  const how = digits === whole ? "quotes" : text.includes("_") ? "underscores" : "separators";
  return ` (a number without ${how}: ${digits}${fraction})`;
}

function periodHint(text: string, { form }: Pick<Refused, "form">): string {
  const word = WORDS[text];
  if (word !== undefined) return `; write ${word}`;
  const { count, unit } = durationOf(text) ?? { count: 0, unit: "" };
  if (!Number.isInteger(count) || count < 1 || unit === "millisecond") return "";
  if (count === 1) return `; write ${unit}`;
  const every = form === "flag" ? JSON.stringify({ every: count, unit }) : null;
  return `; write ${every ?? `{ every: ${count}, unit: ${unit} }`}`;
}
