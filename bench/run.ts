// Prints the published table: `run.ts [part]`. Each row is measured side by side, in turn, in one
// process; each part has a process of its own, so that none pays for what another left in memory.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { benchCaches } from "./caches.js";
import { benchHolds } from "./holds.js";
import { benchFeatures } from "./features.js";
import { benchHttp } from "./http.js";
import { benchMemory } from "./memory.js";
import { benchPostgres } from "./postgres.js";
import { benchRedis } from "./redis.js";
import { benchRolling } from "./rolling.js";
import { benchRoom } from "./room.js";
import { benchSessions } from "./sessions.js";
import { benchSqlite } from "./sqlite.js";
import { machine } from "./measure.js";

const benches: Readonly<Record<string, () => Promise<string[]>>> = {
  memory: benchMemory,
  sqlite: benchSqlite,
  postgres: benchPostgres,
  redis: benchRedis,
  room: benchRoom,
  http: benchHttp,
  caches: benchCaches,
  sessions: benchSessions,
  rolling: benchRolling,
  holds: benchHolds,
  features: benchFeatures,
};
const part = process.argv[2];
const bench = part === undefined ? undefined : benches[part];
if (bench !== undefined) for (const line of await bench()) console.log(`| ${line} |`);
else if (part !== undefined) {
  console.error(`bench: expects one of ${Object.keys(benches).join(", ")}, got ${part}`);
  process.exitCode = 2;
} else {
  console.log(machine());
  console.log("| case | ours | rate-limiter-flexible 11.4 | ratio |\n|---|---|---|---|");
  for (const name of Object.keys(benches)) {
    const file = fileURLToPath(import.meta.url);
    const { status } = spawnSync(process.execPath, [...process.execArgv, file, name], {
      stdio: "inherit",
    });
    if (status !== 0) process.exitCode = 1;
  }
}
