import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/**
 * What becomes of the bytes that a server answers: `pass` forwards them, `hold` keeps them back
 * until `pass`, `cut` ends the connection instead, `half` does so in the middle of them.
 */
export type Replies = "pass" | "hold" | "cut" | "half";

const NOTHING = Buffer.alloc(0);

/** A proxy on a free port that forwards until it is stopped. */
export class Proxy {
  /** Called with each piece that a client sends; true cuts the connection after it is forwarded. */
  cutsAfter: (sent: Buffer) => boolean = () => false;
  /** What a client gets right behind an answer, in one piece with it. */
  addsTo: (reply: Buffer) => Buffer = () => NOTHING;
  /** Answers that were cut. */
  cuts = 0;
  /**
   * How late answers that pass arrive, in milliseconds. Those under way when the server ends never
   * do.
   */
  delayMs = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #replies: Replies = "pass";
  #release: (() => void)[] = [];

  private constructor(port: number) {
    this.#server = createServer((client) => this.#join(client, connect(port, "127.0.0.1")));
  }

  /** Starts one in front of a port of this machine. */
  static async start(port: number): Promise<Proxy> {
    const proxy = new Proxy(port);
    proxy.#server.listen(0, "127.0.0.1");
    await new Promise((resolve) => proxy.#server.once("listening", resolve));
    return proxy;
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("the proxy is closed");
    return address.port;
  }

  /** Takes effect at once, also on open connections. */
  set replies(wanted: Replies) {
    this.#replies = wanted;
    if (wanted === "pass") for (const release of this.#release.splice(0)) release();
  }

  /** Cuts all connections; new ones are accepted. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    const end = (): void => {
      client.destroy();
      // Not destroyed: what was forwarded still reaches the server.
      server.end();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", end);
      socket.on("close", end);
    }
    let isCut = false;
    client.on("data", (sent: Buffer) => {
      if (isCut) return;
      server.write(sent);
      isCut = this.cutsAfter(sent);
    });
    server.on("data", (told: Buffer) => {
      if (client.destroyed) return;
      const reply = Buffer.concat([told, this.addsTo(told)]);
      if (isCut) end();
      else if (this.#replies === "pass") this.#forward(client, reply);
      else if (this.#replies === "hold") this.#release.push(() => client.write(reply));
      else {
        this.cuts++;
        isCut = true;
        if (this.#replies === "half") client.write(reply.subarray(0, reply.length >> 1), end);
        else end();
      }
    });
  }
  #forward(client: Socket, reply: Buffer): void {
    if (this.delayMs === 0) client.write(reply);
    else setTimeout(() => !client.destroyed && client.write(reply), this.delayMs).unref();
  }
}
