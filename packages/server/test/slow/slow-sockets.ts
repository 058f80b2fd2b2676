// A process of the tests: sockets to a port that send a head a byte a second, and are opened again
// where the server ends them. It writes `open` when all are, and at SIGTERM how many were ended.
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const [port = "", count = ""] = process.argv.slice(2);
const SECOND_MS = 1_000;
const HEAD = `POST /v1/quota/run HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${"a".repeat(2_000)}`;

let opened = 0;
let ended = 0;

function open(): void {
  const socket = connect(Number(port), "127.0.0.1");
  let at = 0;
  const timer = setInterval(() => socket.write(HEAD[at++] ?? "a"), SECOND_MS);
  socket.on("connect", () => {
    opened++;
    if (opened === Number(count)) console.log("open");
  });
  // What it is told, and that it may be told by a reset, is as the server likes.
  socket.on("error", () => undefined).resume();
  socket.on("close", () => {
    clearInterval(timer);
    ended++;
    open();
  });
}

process.on("SIGTERM", () => {
  console.log(`${ended}`);
  process.exit(0);
});
// One after the other, as one process that floods a server from afar would.
for (let i = 0; i < Number(count); i++) {
  open();
  await delay(1);
}
