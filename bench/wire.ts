// The leanest caller of HTTP there is, so that the server and not the bench is what is measured:
// sockets that write the same bytes and wait for as many as an answer has.
import { connect, type Socket } from "node:net";

/** A request as bytes. */
export function requestOf(url: string, key: string, path: string, body: string): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    `Host: ${new URL(url).host}`,
    `Authorization: Bearer ${key}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

/** Makes `calls` over `width` connections, each its next after its last was answered. */
export async function callOver(
  url: string,
  request: Buffer,
  width: number,
  calls: number,
): Promise<void> {
  const { port, hostname } = new URL(url);
  let next = 0;
  const each = Array.from({ length: width }, async () => {
    const socket = connect({ port: Number(port), host: hostname, noDelay: true });
    while (next++ < calls) await answerTo(socket, request);
    socket.destroy();
  });
  await Promise.all(each);
}

/** Resolves when one answer has come; rejects if it is not 200. */
function answerTo(socket: Socket, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    const read = (data: Buffer): void => {
      text += data.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      if (head === -1) return;
      const length = /content-length: (\d+)/i.exec(text.slice(0, head))?.[1];
      if (text.length < head + 4 + Number(length)) return;
      socket.off("data", read).off("error", reject);
      if (text.startsWith("HTTP/1.1 200")) resolve();
      else reject(new Error(text));
    };
    socket.on("data", read).on("error", reject);
    socket.write(request);
  });
}
