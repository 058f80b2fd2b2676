/** What is nearly a number: digits in groups, in quotes, or with a unit of thousands behind. */
const GROUPED = /^(\d{1,3}(?:[_,' ]\d{3})+|\d+(?:_\d+)*)(\.\d+)?$/;
const SHORT = /^(\d+(?:\.\d+)?) ?([kKmM])$/;
const THOUSANDS: Readonly<Record<string, number>> = { k: 1_000, m: 1_000_000 };
const FLAGS: Readonly<Record<string, boolean>> = { yes: true, on: true, no: false, off: false };
const UNITS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"];
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
  s: "second",
  sec: "second",
  m: "minute",
  min: "minute",
  h: "hour",
  d: "day",
  w: "week",
  mo: "month",
  y: "year",
};

/** What to write in place of a value that is nearly right, after the message; else nothing. */
export function hintOf(value: unknown, message: string): string {
  if (typeof value === "number" && /wants a string/.test(message)) return `; write "${value}"`;
  if (typeof value !== "string") return "";
  const text = value.trim();
  if (/true or false/.test(message)) {
    const flag = FLAGS[text.toLowerCase()];
    return flag === undefined ? "" : `; write ${flag}`;
  }
  if (/wants one of .*lifetime/.test(message)) return periodHint(text.toLowerCase());
  return /wants (a number|an integer|milliseconds|integers)/.test(message) ? numberHint(text) : "";
}

function numberHint(text: string): string {
  if (/^(none|unlimited|infinite|infinity)$/i.test(text)) return "; write null";
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

function periodHint(text: string): string {
  const word = WORDS[text];
  if (word !== undefined) return `; write ${word}`;
  const [, count = "1", name = ""] = /^(?:every )?(\d+)? ?([a-z]+)$/.exec(text) ?? [];
  const unit = UNITS.find((each) => name === each || name === `${each}s`) ?? LETTERS[name];
  if (unit === undefined) return "";
  return `; write ${Number(count) === 1 ? unit : `{ every: ${Number(count)}, unit: ${unit} }`}`;
}
