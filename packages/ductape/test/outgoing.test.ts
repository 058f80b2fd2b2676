import type { LookupAddress } from "node:dns";
import { createServer, type RequestListener, type Server } from "node:http";
import { isIP, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Outgoing, OutgoingError, parseNetworks } from "../src/base/outgoing.js";

const FORBIDDEN_CHARS = /no public address/;
/** What an internal page says, and nobody outside may read. */
const INTERNAL = "root:x:0:0:internal-secret";

const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";

/** On every address of this machine, IPv4 and IPv6. */
let server: Server;
let port = 0;
let connections = 0;
let listener: RequestListener = (_, response) => response.end(INTERNAL);
const sockets = new Set<Socket>();
beforeAll(async () => {
  server = createServer((request, response) => listener(request, response));
  server.on("connection", (socket) => {
    connections++;
    sockets.add(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "::", resolve));
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterEach(() => {
  listener = (_, response) => response.end(INTERNAL);
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

const request = (host: string, path = "/") => ({
  url: `http://${host}:${port}${path}`,
  timeoutMs: 5_000,
  bytesMax: 1_000,
});

/** Why a request failed; it must be a fault that is fit for any caller. */
async function reasonOf(answer: Promise<unknown>): Promise<string> {
  const error = await answer.then(
    () => null,
    (fault: unknown) => fault,
  );
  if (!(error instanceof OutgoingError)) throw new Error(`no such fault: ${String(error)}`);
  expect(error.cause).toBe(undefined);
  expect(error.message).not.toContain("secret");
  return error.message;
}

const found = (...addresses: string[]): LookupAddress[] =>
  addresses.map((address) => ({ address, family: isIP(address) }));

/** Every spelling of an address that leads somewhere a stranger has no business. */
const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  loopback: [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0X7F.1",
    "0177.0.0.1",
    "017700000001",
    "0x7f.0.0.0x1",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[::ffff:0:127.0.0.1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
  ],
  unspecified: ["0.0.0.0", "0", "0x0", "0.1.2.3", "[::]", "[::ffff:0.0.0.0]"],
  private: ["10.0.0.1", "10.1", "0xa.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
  "private, in IPv6": ["[::ffff:10.0.0.1]", "[64:ff9b::10.0.0.1]", "[2002:a00:1::1]"],
  "unique local and site local": ["[fc00::1]", "[fd12:3456::1]", "[fec0::1]"],
  "link-local and metadata": [
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "[fe80::1]",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "[::ffff:168.63.129.16]",
  ],
  "shared by carriers": ["100.64.0.1", "100.127.255.255"],
  "multicast, broadcast and reserved": [
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "[ff02::1]",
    "[2001:db8::1]",
    "[2001::1]",
    "[100::1]",
    "[5f00::1]",
    "[4000::1]",
  ],
};

describe("to public addresses alone, nothing is sent to an address that is", () => {
  it.each(Object.entries(SPELLINGS))("%s, however it is spelled", async (_, hosts) => {
    const outgoing = new Outgoing([]);
    const before = connections;
    for (const host of hosts) {
      const asked = request(host);
      expect(await reasonOf(outgoing.send(asked)), host).toMatch(FORBIDDEN_CHARS);
      expect(outgoing.refusal(asked.url), host).toMatch(/expects a public address/);
    }
    expect(connections).toBe(before);
  });

  it.each(Object.entries(SPELLINGS))("%s, where a name leads there", async (_, hosts) => {
    const before = connections;
    for (const host of hosts) {
      const { hostname } = new URL(`http://${host}`);
      const address = hostname.replaceAll(/[[\]]/g, "").replace(/^localhost\.?$/, "127.0.0.1");
      const outgoing = new Outgoing([], async () => found(address));
      expect(outgoing.refusal("https://idp.example/"), host).toBe(null);
      expect(await reasonOf(outgoing.send(request("idp.example"))), host).toMatch(FORBIDDEN_CHARS);
    }
    expect(connections).toBe(before);
  });

  it("of this machine's own link, with a zone", async () => {
    const outgoing = new Outgoing([], async () => found("fe80::1%lo"));
    expect(await reasonOf(outgoing.send(request("a.example")))).toMatch(FORBIDDEN_CHARS);
  });

  it("is allowed if it is public", () => {
    const outgoing = new Outgoing([]);
    for (const host of ["8.8.8.8", "[2606:4700::1111]", "[64:ff9b::8.8.8.8]", "idp.example"]) {
      expect(outgoing.refusal(`https://${host}/keys`), host).toBe(null);
    }
  });
});

describe("a request to a name", () => {
  it("goes to the checked addresses, whatever the resolver says later", async () => {
    const answers = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]];
    let asked = 0;
    const outgoing = new Outgoing(["127.0.0.2"], async () => found(...(answers[asked++] ?? [])));
    const reached: (string | undefined)[] = [];
    listener = ({ socket }, response) => {
      reached.push(socket.localAddress);
      response.end("ok");
    };
    expect(await outgoing.send(request("turns.example"))).toEqual({ status: 200, text: "ok" });
    expect([asked, reached]).toEqual([1, ["::ffff:127.0.0.2"]]);
    expect(await reasonOf(outgoing.send(request("turns.example")))).toMatch(FORBIDDEN_CHARS);
    expect([asked, reached.length]).toEqual([2, 1]);
  });

  it("uses no forbidden one among several addresses", async () => {
    const outgoing = new Outgoing(["127.0.0.3/32"], async () =>
      found("10.0.0.1", "::1", "127.0.0.3", "169.254.169.254"),
    );
    let reached: string | undefined;
    listener = ({ socket }, response) => {
      reached = socket.localAddress;
      response.end("ok");
    };
    expect(await outgoing.send(request("mixed.example"))).toEqual({ status: 200, text: "ok" });
    expect(reached).toBe("::ffff:127.0.0.3");
  });

  it("that does not exist fails like one that is forbidden", async () => {
    const missing = new Outgoing([], () => Promise.reject(new Error("ENOTFOUND internal-secret")));
    const forbidden = new Outgoing([], async () => found("10.0.0.1"));
    const reasons = [missing, forbidden].map((each) => reasonOf(each.send(request("a.example"))));
    const [first, second] = await Promise.all(reasons);
    expect(first).toBe(second);
  });
});

describe("an answer", () => {
  const outgoing = new Outgoing(["127.0.0.1", "::1"]);

  it("that redirects is reported, and not followed", async () => {
    const paths: (string | undefined)[] = [];
    listener = ({ url }, response) => {
      paths.push(url);
      response.writeHead(302, { location: `http://[::1]:${port}/internal` }).end(INTERNAL);
    };
    const answer = await outgoing.send(request("127.0.0.1", "/keys"));
    expect(answer).toEqual({ status: 302, text: "" });
    expect(paths).toEqual(["/keys"]);
  });

  it("of another status is not read", async () => {
    listener = (_, response) => response.writeHead(500).end(INTERNAL);
    expect(await outgoing.send(request("127.0.0.1"))).toEqual({ status: 500, text: "" });
  });

  it("with too many bytes is cut off, even if it never ends", async () => {
    listener = (_, response) => {
      response.writeHead(200);
      const more = () =>
        void (response.write(INTERNAL.repeat(100)) || response.once("drain", more));
      response.on("drain", more);
      more();
    };
    expect(await reasonOf(outgoing.send(request("127.0.0.1")))).toBe("it has more than 1000 bytes");
  });

  it.each<readonly [string, RequestListener]>([
    ["never comes", () => undefined],
    ["stops after its headers", (_, response) => void response.writeHead(200).flushHeaders()],
    [
      "comes a byte at a time",
      (_, response) => {
        const timer = setInterval(() => response.write("s"), 20);
        response.on("close", () => clearInterval(timer));
      },
    ],
    ["is only hints of others to come", (_, response) => void response.writeProcessing()],
    ["changes the protocol", (_, { socket }) => void socket?.write(SWITCH)],
  ])("that %s ends in its time", async (_, slow) => {
    listener = slow;
    const asked = { ...request("127.0.0.1"), timeoutMs: 300 };
    const startedMs = performance.now();
    expect(await reasonOf(outgoing.send(asked))).toMatch(/^it (took more than 300 ms|failed)/);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  it("that is not HTTP, or is cut off, fails with a code only", async () => {
    listener = (_, { socket }) => void socket?.end(`${INTERNAL}\r\n\r\n`);
    expect(await reasonOf(outgoing.send(request("127.0.0.1")))).toMatch(/^it failed \(HPE_\w+\)$/);
    listener = (_, response) => {
      response.writeHead(200, { "content-length": "500" }).write(INTERNAL);
      setTimeout(() => response.socket?.destroy(), 10);
    };
    expect(await reasonOf(outgoing.send(request("127.0.0.1")))).toBe("it failed (ECONNRESET)");
  });

  it("of a resolver that never comes ends in its time", async () => {
    const silent = new Outgoing([], () => new Promise(() => undefined));
    const asked = { ...request("a.example"), timeoutMs: 50 };
    expect(await reasonOf(silent.send(asked))).toBe("it took more than 50 ms");
  });
});

describe("the setting", () => {
  const parse = (value: unknown) => parseNetworks({ path: "DUCTAPE_OUTGOING", value });

  it("accepts any, public, and addresses and ranges as a text or an array", async () => {
    expect(parse(undefined)).toBe("any");
    expect(parse("public")).toEqual([]);
    expect(parse("10.1.0.0/16, ::1")).toEqual(["10.1.0.0/16", "::1"]);
    expect(parse(["192.168.1.7"])).toEqual(["192.168.1.7"]);
    const before = connections;
    await new Outgoing("any").send(request("127.0.0.1"));
    await new Outgoing(["::1/128"]).send(request("[::1]"));
    await new Outgoing(["127.0.0.0/8"]).send(request("[::ffff:127.0.0.1]"));
    expect(connections - before).toBe(3);
  });

  it.each([null, 5, "", "none", "10.1", "10.0.0.0/33", "::1/129", "example.com", ["any"], [7], {}])(
    "refuses %j, and names itself",
    (value) => {
      expect(() => parse(value)).toThrow(/^DUCTAPE_OUTGOING: expects "any", "public"/);
    },
  );
});
