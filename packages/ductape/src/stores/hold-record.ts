import { answerText, readAnswer } from "../decide/answer.js";
import type { Hold, HoldPart, HoldStatus } from "../decide/hold.js";

// How stores keep a hold: one text, which holds.lua writes too.

const STATUSES: readonly HoldStatus[] = ["open", "committed", "released"];
const ANSWER_LINES = 3;

/**
 * A hold as text, in lines: its numbers, its parts, its owners, the three lines of the answer to
 * its `reserve`, and if it is settled the three of the answer to that. The numbers are
 * `opened,ttl,status,held,charged,settled,when`: epoch milliseconds, how long after it expires, 0
 * open, 1 committed or 2 released, amounts, and how long after it was settled, or nothing. The
 * parts, joined by `;`, are `before,after,version,end,edition`: how long before it was opened its
 * window began, how long after it ends, its version, how long after it is counted, and the edition.
 */
export function holdText(hold: Hold): string {
  const { openedMs, held, charged, settled, settledMs, settlement } = hold;
  const ttlMs = hold.expiresMs - openedMs;
  const when = settledMs === 0 ? "" : settledMs - openedMs;
  const status = STATUSES.indexOf(hold.status);
  const numbers = `${openedMs},${ttlMs},${status},${held},${charged},${settled},${when}`;
  let parts = "";
  for (const part of hold.parts) {
    if (parts !== "") parts += ";";
    parts += partText(part, openedMs);
  }
  const lines = [numbers, parts, hold.owners, answerText(hold.reserved)];
  if (settlement !== null) lines.push(answerText(settlement));
  return lines.join("\n");
}

function partText({ window, windowVersion, endMs, edition }: HoldPart, openedMs: number): string {
  const [before, after] = [openedMs - window.startMs, window.endMs - openedMs];
  return `${before},${after},${windowVersion},${endMs - openedMs},${edition}`;
}

/** Reads what {@link holdText} or holds.lua wrote. Throws on any other text. */
export function readHold(text: string): Hold {
  const [numbers = "", parts = "", owners, ...answers] = text.split("\n");
  const [opened, ttl, digit, held, charged, settled, when = ""] = numbers.split(",");
  const status = STATUSES[Number(digit)];
  const isSettled = answers.length === 2 * ANSWER_LINES;
  if (
    status === undefined ||
    owners === undefined ||
    !(isSettled || answers.length === ANSWER_LINES)
  ) {
    throw new Error("the stored record of a hold cannot be read");
  }
  const openedMs = Number(opened);
  return {
    owners,
    openedMs,
    expiresMs: openedMs + Number(ttl),
    status,
    held: Number(held),
    charged: Number(charged),
    settled: Number(settled),
    settledMs: when === "" ? 0 : openedMs + Number(when),
    parts: parts.split(";").map((part) => readPart(part.split(",").map(Number), openedMs)),
    reserved: readAnswer(linesOf(answers, 0)),
    settlement: isSettled ? readAnswer(linesOf(answers, ANSWER_LINES)) : null,
  };
}

function readPart(numbers: readonly number[], openedMs: number): HoldPart {
  const [before = 0, after = 0, windowVersion = 0, end = 0, edition = 0] = numbers;
  const window = { startMs: openedMs - before, endMs: openedMs + after };
  return { window, windowVersion, endMs: openedMs + end, edition };
}

const linesOf = (lines: readonly string[], from: number): string =>
  lines.slice(from, from + ANSWER_LINES).join("\n");
