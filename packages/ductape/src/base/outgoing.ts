import { lookup, type LookupAddress } from "node:dns";
import { request as requestHttp, type IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import { show } from "./errors.js";
import { invalid, type Setting } from "./settings.js";

/**
 * Where requests caused by a definition may go. `"any"`: everywhere. `"public"`: only to public
 * addresses. An array, or a text with commas: also to these addresses and ranges, such as
 * `"10.1.0.0/16"`.
 */
export type Networks = string | readonly string[];

/** A request to an address that somebody wrote into a definition. */
interface OutgoingRequest {
  /** `http:` or `https:`. */
  readonly url: string;
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds for the whole request: name lookup, connection and answer. */
  readonly timeoutMs: number;
  /** The most bytes to read of an answer. */
  readonly bytesMax: number;
  /** Ends the request. */
  readonly signal?: AbortSignal;
}

/** The answer to a request. */
interface OutgoingAnswer {
  readonly status: number;
  /** The body as UTF-8; empty and not read unless the status is 2xx. */
  readonly text: string;
}

/**
 * Why a request failed. The message contains nothing that the other end sent, so any caller may see
 * it.
 */
export class OutgoingError extends Error {
  override readonly name = "OutgoingError";
}

/** Finds all addresses of a host; an address resolves to itself. Throws an error with a `code`. */
type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

type Address = ReturnType<typeof ipaddr.process>;
type Range = ReturnType<typeof ipaddr.parseCIDR>;

/** The variable that all messages about a forbidden address name. */
const VARIABLE = "DUCTAPE_OUTGOING";
/** A public address that is nevertheless a metadata service: Azure's, on each of its machines. */
const METADATA = "168.63.129.16";
/** The addresses that IANA assigns to IPv6 hosts: all others are special or unassigned. */
const GLOBAL_IPV6: Range = [ipaddr.parse("2000::"), 3];
const NAT64: Range = [ipaddr.parse("64:ff9b::"), 96];

/**
 * Sends requests to addresses that users write into definitions, but only to allowed networks. It
 * looks a name up once, checks its addresses, and connects to those, so a resolver that changes
 * its answer gains nothing. Redirects are not followed, and time and size are bounded.
 */
export class Outgoing {
  readonly #isAny: boolean;
  readonly #ranges: readonly Range[];
  readonly #resolve: Resolve;

  /** `allowed`: everywhere, or public addresses and these. */
  constructor(allowed: "any" | readonly string[], resolve: Resolve = addressesOf) {
    this.#isAny = allowed === "any";
    this.#ranges = allowed === "any" ? [] : allowed.map(rangeOf);
    this.#resolve = resolve;
  }

  /**
   * What is wrong with a URL, as far as that is known without looking up its host; null: nothing.
   */
  refusal(url: string): string | null {
    const host = hostOf(new URL(url));
    const address = /^(.+\.)?localhost\.?$/.test(host) ? "127.0.0.1" : host;
    if (isIP(address) === 0 || this.#allows(address)) return null;
    return `expects a public address, or one that ${VARIABLE} allows, got ${show(url)}`;
  }

  /**
   * Sends a request and returns an answer of any status. Throws {@link OutgoingError} if there is
   * no answer, or if it is too large.
   */
  async send(request: OutgoingRequest): Promise<OutgoingAnswer> {
    const timeout = AbortSignal.timeout(request.timeoutMs);
    const { signal: given } = request;
    const signal = given === undefined ? timeout : AbortSignal.any([timeout, given]);
    const url = new URL(request.url);
    try {
      // The race ends the request even if neither the resolver nor the socket reports the abort.
      return await Promise.race([this.#answerTo(request, url, signal), endOf(signal)]);
    } catch (error) {
      if (given?.aborted === true) throw new OutgoingError("the call was aborted");
      if (timeout.aborted) throw new OutgoingError(`it took more than ${request.timeoutMs} ms`);
      throw error instanceof OutgoingError ? error : new OutgoingError(reasonOf(error));
    }
  }

  async #answerTo(
    request: OutgoingRequest,
    url: URL,
    signal: AbortSignal,
  ): Promise<OutgoingAnswer> {
    return answerFrom(await this.#permitted(hostOf(url)), request, url, signal);
  }

  /**
   * The allowed addresses of a host. A name that does not exist and one that leads to a forbidden
   * network fail alike, or anybody could list the names of that network.
   */
  async #permitted(host: string): Promise<readonly LookupAddress[]> {
    if (this.#isAny) return this.#resolve(host);
    const found = await this.#resolve(host).catch(() => []);
    const permitted = found.filter(({ address }) => this.#allows(address));
    if (permitted.length > 0) return permitted;
    throw new OutgoingError(
      `its host has no public address, nor one that ${VARIABLE} allows (or it does not exist)`,
    );
  }

  #allows(text: string): boolean {
    if (this.#isAny) return true;
    const address = addressIn(text);
    if (address === null) return false;
    return isPublic(address) || this.#ranges.some((range) => isWithin(address, range));
  }
}

/** Parses a setting that says where requests may go: see {@link Outgoing}. Throws `VALIDATION`. */
export function parseNetworks({ path, value = "any" }: Setting): "any" | readonly string[] {
  if (value === "any") return value;
  if (value === "public") return [];
  const parts: unknown = typeof value === "string" ? value.split(/[,\s]+/) : value;
  if (Array.isArray(parts) && parts.every(isRange)) return parts;
  const wanted = 'expects "any", "public", or addresses and ranges such as "10.1.0.0/16"';
  throw invalid(path, `${wanted}, got ${show(value)}`);
}

function isRange(text: unknown): text is string {
  if (typeof text !== "string") return false;
  const [address = "", bits] = text.split("/");
  return isIP(address) !== 0 && (bits === undefined || ipaddr.isValidCIDR(text));
}

function rangeOf(text: string): Range {
  if (text.includes("/")) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

function isWithin(address: Address, range: Range): boolean {
  return address.kind() === range[0].kind() && address.match(range);
}

/**
 * An address without its disguise: IPv4 within IPv6, or behind a translator, becomes the IPv4
 * address.
 */
function addressIn(text: string): Address | null {
  if (isIP(text) === 0) return null;
  const address = ipaddr.process(text);
  if (!isWithin(address, NAT64)) return address;
  return ipaddr.fromByteArray(address.toByteArray().slice(-4));
}

function isPublic(address: Address): boolean {
  if (address.range() !== "unicast" || address.toString() === METADATA) return false;
  return address.kind() === "ipv4" || isWithin(address, GLOBAL_IPV6);
}

/** The host of a URL; an IPv6 address without its brackets. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

function addressesOf(host: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { all: true, verbatim: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });
}

function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(asError(signal.reason)), { once: true });
  });
}

/** Sends to one of `addresses`, whatever the name in `url` resolves to by now. */
function answerFrom(
  addresses: readonly LookupAddress[],
  { method = "GET", headers = {}, body, bytesMax }: OutgoingRequest,
  url: URL,
  signal: AbortSignal,
): Promise<OutgoingAnswer> {
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  // Without an agent, no connection of another request, with other checks, is reused.
  const pinned = { lookup: pinnedTo(addresses), agent: false, signal };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, ...pinned });
    sent.on("error", reject);
    sent.on("response", (response) => {
      answerIn(response, bytesMax).then(resolve, reject);
    });
    sent.end(body);
  });
}

function pinnedTo(addresses: readonly LookupAddress[]): LookupFunction {
  return (_host, { all }, callback) => {
    const [first] = addresses;
    if (first === undefined) callback(new OutgoingError("its host has no address"), "");
    else if (all === true) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };
}

async function answerIn(response: IncomingMessage, bytesMax: number): Promise<OutgoingAnswer> {
  const { statusCode: status = 0 } = response;
  if (status < 200 || status > 299) {
    response.destroy();
    return { status, text: "" };
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > bytesMax) throw new OutgoingError(`it has more than ${bytesMax} bytes`);
    chunks.push(piece);
  }
  return { status, text: Buffer.concat(chunks).toString("utf8") };
}

/** Only the code of an error, because its message may quote what the other end sent. */
function reasonOf(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
  return typeof code === "string" && /^[A-Z]\w+$/.test(code) ? `it failed (${code})` : "it failed";
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
