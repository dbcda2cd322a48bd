/**
 * `Headers`, `Request`, `Response` with bodies held in memory: enough to define and analyse HTTP
 * actions.
 */
import { TextDecoder, TextEncoder } from "./encoding.ts";
import { URL, URLSearchParams } from "./url.ts";
import type { UrlObject } from "./url.ts";

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[^\0\r\n]*$/;

type HeadersInit = Headers | Iterable<readonly [string, string]> | Record<string, string>;

export class Headers {
  /** Lower-case name to its values, in order of insertion. */
  readonly #values = new Map<string, string[]>();

  constructor(init?: HeadersInit | null) {
    if (init === undefined || init === null) return;
    const isIterable = Symbol.iterator in init;
    const pairs = isIterable ? (init as Iterable<readonly [string, string]>) : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }

  append(name: string, value: string): void {
    const key = headerName(name);
    this.#values.set(key, [...(this.#values.get(key) ?? []), headerValue(name, value)]);
  }

  delete(name: string): void {
    this.#values.delete(headerName(name));
  }

  get(name: string): string | null {
    return this.#values.get(headerName(name))?.join(", ") ?? null;
  }

  getSetCookie(): string[] {
    return [...(this.#values.get("set-cookie") ?? [])];
  }

  has(name: string): boolean {
    return this.#values.has(headerName(name));
  }

  set(name: string, value: string): void {
    this.#values.set(headerName(name), [headerValue(name, value)]);
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void, self?: unknown): void {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries(): IterableIterator<[string, string]> {
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name) ?? [];
      if (name === "set-cookie") for (const value of values) yield [name, value];
      else yield [name, values.join(", ")];
    }
  }

  *keys(): IterableIterator<string> {
    for (const [name] of this.entries()) yield name;
  }

  *values(): IterableIterator<string> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }

  get [Symbol.toStringTag](): string {
    return "Headers";
  }
}

function headerName(name: string): string {
  const text = String(name);
  if (!TOKEN.test(text)) throw new TypeError(`Invalid header name: ${text}`);
  return text.toLowerCase();
}

function headerValue(name: string, value: string): string {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (!VALUE.test(text)) throw new TypeError(`Invalid value for header ${name}`);
  return text;
}

type BodyInit = string | ArrayBuffer | ArrayBufferView | object | null | undefined;

interface ExtractedBody {
  bytes: Uint8Array | null;
  contentType: string | null;
}

function extractBody(body: unknown): ExtractedBody {
  if (body === undefined || body === null) return { bytes: null, contentType: null };
  if (body instanceof ArrayBuffer)
    return { bytes: new Uint8Array(body.slice(0)), contentType: null };
  if (ArrayBuffer.isView(body)) {
    const view = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
    return { bytes: view.slice(), contentType: null };
  }
  const isForm = body instanceof URLSearchParams;
  const contentType = isForm
    ? "application/x-www-form-urlencoded;charset=UTF-8"
    : "text/plain;charset=UTF-8";
  return { bytes: new TextEncoder().encode(String(body)), contentType };
}

class Body {
  readonly headers: Headers;
  readonly #bytes: Uint8Array | null;
  #isUsed = false;

  constructor(body: unknown, headers: HeadersInit | null | undefined) {
    const { bytes, contentType } = extractBody(body);
    this.#bytes = bytes;
    this.headers = new Headers(headers);
    if (contentType !== null && !this.headers.has("content-type")) {
      this.headers.set("content-type", contentType);
    }
  }

  get bodyUsed(): boolean {
    return this.#isUsed;
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(this.#consume());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text()) as unknown;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#consume().slice().buffer;
  }

  async bytes(): Promise<Uint8Array> {
    return this.#consume().slice();
  }

  /** The bytes for a clone; the body stays unused. */
  protected copyBytes(): Uint8Array | null {
    if (this.#isUsed) throw new TypeError("Body has already been used");
    return this.#bytes;
  }

  #consume(): Uint8Array {
    const bytes = this.copyBytes() ?? new Uint8Array(0);
    this.#isUsed = this.#bytes !== null;
    return bytes;
  }
}

interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit;
  signal?: unknown;
}

const NORMALIZED_METHODS = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);

export class Request extends Body {
  readonly url: string;
  readonly method: string;
  readonly signal: unknown;

  constructor(input: string | UrlObject | Request, init: RequestInit = {}) {
    const base = input instanceof Request ? input : null;
    const method = String(init.method ?? base?.method ?? "GET");
    const body = init.body ?? base?.copyBytes();
    if (body !== undefined && body !== null && /^(GET|HEAD)$/i.test(method)) {
      throw new TypeError("Request with GET/HEAD method cannot have body");
    }
    super(body, init.headers ?? base?.headers);
    const upper = method.toUpperCase();
    this.method = NORMALIZED_METHODS.has(upper) ? upper : method;
    this.url = base === null ? new URL(String(input)).href : base.url;
    this.signal = init.signal ?? base?.signal;
  }

  clone(): Request {
    return new Request(this);
  }

  get [Symbol.toStringTag](): string {
    return "Request";
  }
}

interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
}

const NULL_BODY_STATUS = new Set([204, 205, 304]);
const REDIRECT_STATUS = new Set([301, 302, 303, 307, 308]);

export class Response extends Body {
  readonly status: number;
  readonly statusText: string;
  readonly url = "";
  readonly redirected = false;
  readonly type = "default";

  constructor(body?: BodyInit, init: ResponseInit = {}) {
    const status = init.status ?? 200;
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(
        `The status provided (${status}) is not equal to 101 and outside the range [200, 599]`,
      );
    }
    if (body !== undefined && body !== null && NULL_BODY_STATUS.has(status)) {
      throw new TypeError("Response with null body status cannot have body");
    }
    super(body, init.headers);
    this.status = status;
    this.statusText = String(init.statusText ?? "");
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  clone(): Response {
    const { status, statusText, headers } = this;
    return new Response(this.copyBytes(), { status, statusText, headers });
  }

  static json(data: unknown, init: ResponseInit = {}): Response {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(JSON.stringify(data), { ...init, headers });
  }

  static redirect(url: string | UrlObject, status = 302): Response {
    if (!REDIRECT_STATUS.has(status)) throw new RangeError(`Invalid redirect status: ${status}`);
    return new Response(null, { status, headers: { location: new URL(String(url)).href } });
  }

  static error(): Response {
    return new Response(null, { status: 500 });
  }

  get [Symbol.toStringTag](): string {
    return "Response";
  }
}
