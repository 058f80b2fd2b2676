import { createServer, connect, type AddressInfo, type Socket } from "node:net";

/**
 * What becomes of the bytes that a server answers: `pass` forwards them, `hold` keeps them back
 * until `pass`, `cut` ends the connection instead, `half` does so in the middle of them.
 */
export type Replies = "pass" | "hold" | "cut" | "half";

/** A TCP proxy before a server, that disturbs the answers. Requests always reach the server. */
export interface Proxy {
  readonly port: number;
  /** Takes effect at once, also on open connections. */
  set(replies: Replies): void;
  /** Answers that were cut. */
  readonly cuts: number;
  /** Ends all connections; new ones are accepted. */
  cutAll(): void;
  close(): Promise<void>;
}

/** Starts a proxy before a port of this machine. */
export async function startProxy(serverPort: number): Promise<Proxy> {
  let replies: Replies = "pass";
  let cuts = 0;
  const pairs = new Set<{ client: Socket; server: Socket; held: Buffer[] }>();
  const listener = createServer((client) => {
    const server = connect(serverPort, "127.0.0.1");
    const pair = { client, server, held: [] as Buffer[] };
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", end);
    }
    client.on("data", (data) => void server.write(data));
    server.on("data", (data: Buffer) => {
      if (replies === "pass") client.write(data);
      else if (replies === "hold") pair.held.push(data);
      else {
        cuts++;
        if (replies === "cut") end();
        else client.write(data.subarray(0, Math.ceil(data.length / 2)), end);
      }
    });
  });
  const cutAll = (): void => {
    for (const { client, server } of pairs) {
      client.destroy();
      server.destroy();
    }
  };
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = addressOf(listener.address());
  return {
    port,
    set(wanted) {
      replies = wanted;
      if (wanted !== "pass") return;
      for (const { client, held } of pairs) for (const data of held.splice(0)) client.write(data);
    },
    get cuts() {
      return cuts;
    },
    cutAll,
    async close() {
      cutAll();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (typeof address === "object" && address !== null) return address;
  throw new Error("the proxy does not listen on a port");
}
