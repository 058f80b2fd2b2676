import { once } from "node:events";
import { connect } from "node:net";

/** What came back over a socket: the status, the head and the body as text. */
export interface RawReply {
  readonly status: number;
  readonly head: string;
  readonly text: string;
  /** Bytes that were written before the answer came. */
  readonly sentBytes: number;
}

/** What is written, piece after piece. */
export type Pieces = Iterable<string | Buffer> | AsyncIterable<string | Buffer>;

/**
 * Writes bytes as they are, until the server answers or closes, and reads what it says. A socket
 * that says nothing for 20 s is an error.
 */
export function sendRaw(port: number, pieces: Pieces): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    let sentBytes = 0;
    const end = (): void => {
      socket.destroy();
      resolve({ ...partsOf(Buffer.concat(chunks).toString("latin1")), sentBytes });
    };
    const write = async (): Promise<void> => {
      for await (const piece of pieces) {
        if (chunks.length > 0 || socket.destroyed) return;
        sentBytes += piece.length;
        if (!socket.write(piece)) await Promise.race([once(socket, "drain"), once(socket, "data")]);
      }
    };
    socket.setTimeout(20_000, () => socket.destroy(new Error("the server said nothing")));
    socket.on("connect", () => void write().catch(reject));
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      if (isWhole(Buffer.concat(chunks).toString("latin1"))) end();
    });
    socket.on("end", end);
    socket.on("error", (error) => (chunks.length > 0 ? end() : reject(error)));
  });
}

function partsOf(text: string): { status: number; head: string; text: string } {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0);
  return { status, head, text: rest.join("\r\n\r\n") };
}

function isWhole(text: string): boolean {
  const { head, text: body } = partsOf(text);
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  return length !== undefined && body.length >= Number(length);
}

/** The head of a request, with these lines beside the host's. */
export function headOf(first: string, ...lines: readonly string[]): string {
  return [`${first} HTTP/1.1`, "Host: localhost", ...lines, "", ""].join("\r\n");
}
