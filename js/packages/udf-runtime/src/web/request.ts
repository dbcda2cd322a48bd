/** `Request` (Fetch standard 5.4). What only browsers act on is kept and given back. */
import {
  Body,
  cloneContent,
  contentOf,
  extractBody,
  isReadableStream,
  takeContent,
} from "./body.ts";
import type { Content } from "./body.ts";
import { Headers } from "./headers.ts";
import { finishInterface, requireArguments, toByteString, toDictionary } from "./web_idl.ts";

const { URL } = fenchel.loadVendor("url");

const NORMALIZED_METHODS = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const FORBIDDEN_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Settings with their defaults and allowed values; anything goes where there is no list. */
const SETTINGS = {
  referrer: ["about:client"],
  referrerPolicy: [
    "",
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
  ],
  mode: ["cors", "no-cors", "same-origin", "navigate"],
  credentials: ["same-origin", "omit", "include"],
  cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
  redirect: ["follow", "error", "manual"],
  integrity: [""],
} as const;

type Settings = Record<keyof typeof SETTINGS, string>;
export type Redirect = (typeof SETTINGS.redirect)[number];

function toMethod(value: unknown): string {
  const text = toByteString(value);
  const upper = text.toUpperCase();
  if (!METHOD.test(text) || FORBIDDEN_METHODS.has(upper)) {
    throw new TypeError(`"${text}" is not a method that a request can have`);
  }
  return NORMALIZED_METHODS.has(upper) ? upper : text;
}

function toUrl(input: unknown): string {
  let url;
  try {
    url = new URL(String(input));
  } catch (error) {
    throw new TypeError(`Failed to parse URL from ${String(input)}`, { cause: error });
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`The URL of a request must not hold a user name or password: ${url.href}`);
  }
  return url.href;
}

function toSettings(init: Record<string, unknown>, base: Settings | null): Settings {
  const settings: Partial<Settings> = {};
  for (const name of Object.keys(SETTINGS) as (keyof Settings)[]) {
    const allowed: readonly string[] = SETTINGS[name];
    const value = init[name] === undefined ? undefined : String(init[name]);
    if (value !== undefined && allowed.length > 1 && !allowed.includes(value)) {
      throw new TypeError(`"${value}" is not a value that "${name}" of a request can have`);
    }
    settings[name] = value ?? base?.[name] ?? (allowed[0] as string);
  }
  return settings as Settings;
}

type AbortSignal = InstanceType<typeof fenchel.AbortSignal>;

function toSignal(value: unknown, base: AbortSignal | null): AbortSignal {
  const { AbortSignal } = fenchel;
  const followed = value === undefined ? base : value;
  if (followed === null) return AbortSignal.any([]);
  if (!(followed instanceof AbortSignal)) throw new TypeError("signal is not an AbortSignal");
  return AbortSignal.any([followed]);
}

function toContent(
  init: Record<string, unknown>,
  base: Request | null,
  method: string,
): { content: Content | null; contentType: string | null } {
  const given = init["body"];
  const hasBody = given !== undefined && given !== null;
  const inherits = !hasBody && base !== null && given === undefined && contentOf(base) !== null;
  if ((hasBody || inherits) && (method === "GET" || method === "HEAD")) {
    throw new TypeError(`A request with method ${method} cannot have a body`);
  }
  if (!hasBody) {
    return { content: inherits ? takeContent(base) : null, contentType: null };
  }
  if (isReadableStream(given) && init["duplex"] !== "half") {
    throw new TypeError('A request with a stream for a body needs the option duplex: "half"');
  }
  return extractBody(given);
}

/** Set by the class: calls back when somebody first looks at the signal. */
export let onSignalRead: (request: Request, callback: () => void) => void;

export class Request extends Body {
  readonly #url: string;
  readonly #method: string;
  readonly #headers: Headers;
  readonly #signal: AbortSignal;
  #onSignalRead: (() => void) | null = null;
  readonly #settings: Settings;
  readonly #keepalive: boolean;

  constructor(input: unknown, options?: unknown) {
    requireArguments(arguments.length, 1, "Request constructor");
    const init = toDictionary(options, "Request options");
    const base = input instanceof Request ? input : null;
    const url = base?.url ?? toUrl(input);
    const given = init["method"];
    const method = given === undefined ? (base?.method ?? "GET") : toMethod(given);
    const signal = toSignal(init["signal"], base?.signal ?? null);
    const settings = toSettings(init, base === null ? null : base.#settings);
    const headers = new Headers(init["headers"] ?? base?.headers);
    const { content, contentType } = toContent(init, base, method);
    super(content);
    if (contentType !== null && !headers.has("content-type")) {
      headers.set("content-type", contentType);
    }
    this.#url = url;
    this.#method = method;
    this.#headers = headers;
    this.#signal = signal;
    this.#settings = settings;
    this.#keepalive = Boolean(init["keepalive"] ?? base?.keepalive);
  }

  get method(): string {
    return this.#method;
  }

  get url(): string {
    return this.#url;
  }

  get headers(): Headers {
    return this.#headers;
  }

  get signal(): AbortSignal {
    const callback = this.#onSignalRead;
    this.#onSignalRead = null;
    callback?.();
    return this.#signal;
  }

  get destination(): string {
    return "";
  }

  get referrer(): string {
    return this.#settings.referrer;
  }

  get referrerPolicy(): string {
    return this.#settings.referrerPolicy;
  }

  get mode(): string {
    return this.#settings.mode;
  }

  get credentials(): string {
    return this.#settings.credentials;
  }

  get cache(): string {
    return this.#settings.cache;
  }

  get redirect(): Redirect {
    return this.#settings.redirect as Redirect;
  }

  get integrity(): string {
    return this.#settings.integrity;
  }

  get keepalive(): boolean {
    return this.#keepalive;
  }

  get isReloadNavigation(): boolean {
    return false;
  }

  get isHistoryNavigation(): boolean {
    return false;
  }

  get duplex(): string {
    return "half";
  }

  clone(): Request {
    const content = cloneContent(this);
    const init: Record<string, unknown> = { ...this.#settings, keepalive: this.#keepalive };
    init["method"] = this.#method;
    init["headers"] = this.#headers;
    init["signal"] = this.signal;
    init["duplex"] = "half";
    if (content !== null) init["body"] = content.stream ?? content.source;
    return new Request(this.#url, init);
  }

  static {
    onSignalRead = (request, callback) => {
      request.#onSignalRead = callback;
    };
  }
}

finishInterface(Body, "Body");
finishInterface(Request, "Request");
