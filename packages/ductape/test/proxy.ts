import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A proxy on a free port that forwards, until it is told otherwise. */
export class Proxy {
  /** Drops what the server answers. */
  dropsReplies = false;
  /** Called with each piece that a client sends; true cuts the connection after it is forwarded. */
  cutsAfter: (sent: Buffer) => boolean = () => false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

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

  /** Cuts all connections. */
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
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", end);
      socket.on("close", end);
    }
    let isCut = false;
    client.on("data", (sent) => {
      if (isCut) return;
      server.write(sent);
      isCut = this.cutsAfter(sent);
    });
    server.on("data", (reply) => {
      if (isCut) end();
      else if (!this.dropsReplies) client.write(reply);
    });
  }
}
