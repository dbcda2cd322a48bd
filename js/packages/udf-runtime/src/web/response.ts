/** `Response` (Fetch standard 5.5). */
import { Body, cloneContent, extractBody } from "./body.ts";
import type { Content } from "./body.ts";
import { Headers, freezeHeaders } from "./headers.ts";
import { finishInterface, requireArguments, toByteString, toDictionary } from "./web_idl.ts";

const { URL } = fenchel.loadVendor("url");

const NULL_BODY_STATUS = new Set([101, 103, 204, 205, 304]);
const REDIRECT_STATUS = new Set([301, 302, 303, 307, 308]);
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;

interface Head {
  status: number;
  statusText: string;
  headers: Headers;
  url: string;
  isRedirected: boolean;
  type: string;
}

/** Set by the class: a response with this head, as it came from the network. */
export let responseOver: (head: Head, content: Content | null) => Response;

function toStatus(value: unknown): number {
  const status = value === undefined ? 200 : Number(value) & 0xffff;
  if (status < 200 || status > 599) {
    throw new RangeError(
      `The status provided (${status}) is not equal to 101 and outside the range [200, 599]`,
    );
  }
  return status;
}

function toReason(value: unknown): string {
  const text = value === undefined ? "" : toByteString(value);
  if (!REASON.test(text)) throw new TypeError("Invalid statusText");
  return text;
}

export class Response extends Body {
  #head: Head;

  constructor(body?: unknown, options?: unknown) {
    const init = toDictionary(options, "Response options");
    const status = toStatus(init["status"]);
    const statusText = toReason(init["statusText"]);
    const headers = new Headers(init["headers"]);
    let content: Content | null = null;
    if (body !== undefined && body !== null) {
      if (NULL_BODY_STATUS.has(status)) {
        throw new TypeError(`A response with status ${status} cannot have a body`);
      }
      const extracted = extractBody(body);
      content = extracted.content;
      if (extracted.contentType !== null && !headers.has("content-type")) {
        headers.set("content-type", extracted.contentType);
      }
    }
    super(content);
    this.#head = { status, statusText, headers, url: "", isRedirected: false, type: "default" };
  }

  get type(): string {
    return this.#head.type;
  }

  get url(): string {
    return this.#head.url.replace(/#.*$/s, "");
  }

  get redirected(): boolean {
    return this.#head.isRedirected;
  }

  get status(): number {
    return this.#head.status;
  }

  get ok(): boolean {
    return this.#head.status >= 200 && this.#head.status <= 299;
  }

  get statusText(): string {
    return this.#head.statusText;
  }

  get headers(): Headers {
    return this.#head.headers;
  }

  clone(): Response {
    const content = cloneContent(this);
    return responseOver({ ...this.#head, headers: new Headers(this.headers) }, content);
  }

  static json(data: unknown, options?: unknown): Response {
    requireArguments(arguments.length, 1, "Response.json");
    const text = JSON.stringify(data) as string | undefined;
    if (text === undefined) throw new TypeError("The data cannot be written as JSON");
    const init = toDictionary(options, "Response options");
    const headers = new Headers(init["headers"]);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(text, { status: init["status"], statusText: init["statusText"], headers });
  }

  static redirect(url: unknown, status: unknown = 302): Response {
    requireArguments(arguments.length, 1, "Response.redirect");
    const location = new URL(String(url)).href;
    const code = Number(status) & 0xffff;
    if (!REDIRECT_STATUS.has(code)) throw new RangeError(`Invalid redirect status: ${code}`);
    const response = new Response(null, { status: code, headers: { location } });
    freezeHeaders(response.headers);
    return response;
  }

  static error(): Response {
    const response = new Response(null, { status: 500 });
    response.#head.type = "error";
    freezeHeaders(response.headers);
    return response;
  }

  static {
    responseOver = (head, content) => {
      const response = new Response(content === null ? null : (content.stream ?? content.source));
      response.#head = head;
      return response;
    };
  }
}

finishInterface(Response, "Response");
