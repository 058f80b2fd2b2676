import type { Reply } from "./batch.js";

/** What apply.lua returned, as the client library gives it. Throws where it is none. */
export function replyOf(value: unknown): Reply {
  const [numbers, statuses, ...answers] = Array.isArray(value) ? value : [];
  if (!Buffer.isBuffer(numbers) || !Buffer.isBuffer(statuses) || !answers.every(isText)) {
    throw new Error("the script returned something else than numbers and statuses");
  }
  return { numbers, statuses: statuses.toString("latin1"), answers };
}

function isText(value: unknown): value is Buffer | null {
  return value === null || Buffer.isBuffer(value);
}
