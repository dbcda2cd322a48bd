/**
 * `fetch` (Fetch standard 4): redirects are followed here, each hop is a request of its own to the
 * backend, which decides whether the address may be reached (specification 3.5).
 */
import type { Execution } from "../runtime_face.ts";
import { sizeOf, takeContent } from "./body.ts";
import type { Content, Source } from "./body.ts";
import type { ByteStream } from "./bytes.ts";
import { joinHead, openIncoming, sendOutgoing } from "./byte_streams.ts";
import { Headers, freezeHeaders, pairsOfHeaders } from "./headers.ts";
import { Request } from "./request.ts";
import type { Redirect } from "./request.ts";
import { Response, responseOver } from "./response.ts";
import { requireArguments } from "./web_idl.ts";

const { URL } = fenchel.loadVendor("url");

const REDIRECTS_MAX = 20;
/** Larger bodies go in pieces. */
const INLINE_BYTES_MAX = 1024 * 1024;
const REDIRECT_STATUS = new Set([301, 302, 303, 307, 308]);
const BODY_HEADERS = ["content-encoding", "content-language", "content-location", "content-type"];
const CREDENTIAL_HEADERS = ["authorization", "cookie", "host", "proxy-authorization"];

/** What the backend says of a response. `stream`: its body, absent when there cannot be one. */
interface ResponseHead {
  status: number;
  statusText: string;
  headers: [string, string][];
  stream?: number;
}

/** One chain of hops. */
interface Journey {
  readonly execution: Execution;
  readonly signal: Request["signal"];
  readonly redirect: Redirect;
  url: InstanceType<typeof URL>;
  method: string;
  headers: Headers;
  content: Content | null;
}

export async function fetch(input: unknown, init?: unknown): Promise<Response> {
  const execution = fenchel.requireAction("fetch()");
  requireArguments(arguments.length, 1, "fetch");
  const request = new Request(input, init);
  request.signal.throwIfAborted();
  const journey: Journey = {
    execution,
    signal: request.signal,
    redirect: request.redirect,
    url: new URL(request.url),
    method: request.method,
    headers: new Headers(request.headers),
    content: takeContent(request),
  };
  return travel(journey);
}

async function travel(journey: Journey): Promise<Response> {
  for (let hops = 0; ; hops++) {
    checkScheme(journey.url);
    const response = await hop(journey, hops > 0);
    const location = response.headers.get("location");
    const isRedirect = REDIRECT_STATUS.has(response.status);
    if (!isRedirect || journey.redirect === "manual") return response;
    if (journey.redirect === "error") await fail(response, "the server answered with a redirect");
    if (location === null) return response;
    if (hops === REDIRECTS_MAX) await fail(response, `more than ${REDIRECTS_MAX} redirects`);
    const next = resolve(location, journey.url.href);
    if (next === null) await fail(response, `redirect to an invalid address: ${location}`);
    else if (!turn(journey, response.status, next)) {
      await fail(response, "a body that is a stream cannot be sent again after a redirect");
    }
    await response.body?.cancel();
  }
}

function resolve(location: string, base: string): Journey["url"] | null {
  return URL.canParse(location, base) ? new URL(location, base) : null;
}

function networkError(reason: string, options?: ErrorOptions): TypeError {
  return new TypeError(`fetch failed: ${reason}`, options);
}

async function fail(response: Response, reason: string): Promise<never> {
  await response.body?.cancel();
  throw networkError(reason);
}

function checkScheme({ protocol }: { protocol: string }): void {
  if (protocol !== "http:" && protocol !== "https:") {
    throw networkError(`only http and https addresses can be fetched, not ${protocol}`);
  }
}

/** Points the journey to the next hop; false when its body cannot be sent again. */
function turn(journey: Journey, status: number, next: Journey["url"]): boolean {
  const { method, headers, content } = journey;
  const becomesGet =
    status === 303 ? method !== "GET" && method !== "HEAD" : status < 303 && method === "POST";
  if (becomesGet) {
    journey.method = "GET";
    journey.content = null;
    for (const name of BODY_HEADERS) headers.delete(name);
  } else if (content !== null && content.source === null) return false;
  if (next.origin !== journey.url.origin) {
    for (const name of CREDENTIAL_HEADERS) headers.delete(name);
  }
  if (next.hash === "") next.hash = journey.url.hash;
  journey.url = next;
  return true;
}

let nextFetch = 1;

async function hop(journey: Journey, isRedirected: boolean): Promise<Response> {
  const { execution, signal } = journey;
  const number = nextFetch++;
  const answer = await untilAborted(
    journey,
    fenchel.requestWithBytes(execution, "fenchel/fetch", message(journey, number)),
    number,
  );
  const head = JSON.parse(answer as string) as ResponseHead;
  const content = head.stream === undefined ? null : receive(journey, head.stream);
  signal.throwIfAborted();
  const headers = freezeHeaders(new Headers(head.headers));
  const { status, statusText } = head;
  const url = journey.url.href;
  return responseOver({ status, statusText, headers, url, isRedirected, type: "basic" }, content);
}

function message(journey: Journey, number: number): ArrayBuffer {
  const { execution, url, method, headers, content } = journey;
  const { source = null } = content ?? {};
  const isInline = source instanceof Uint8Array && source.length <= INLINE_BYTES_MAX;
  const head = {
    fetch: number,
    url: url.href.replace(/#.*$/s, ""),
    method,
    headers: pairsOfHeaders(headers),
    bodyBytes: content === null ? emptyLength(method) : source && sizeOf(source),
    bodyStream: content === null || isInline ? null : sendOutgoing(execution, sent(content)).number,
  };
  return joinHead(head, isInline ? source : null);
}

/** A body that is kept for further hops is sent from its source. */
function sent({ source, stream }: Content): Source | ByteStream {
  return source ?? (stream as ByteStream);
}

/** Methods that usually have a body say when there is none. */
function emptyLength(method: string): number | null {
  return method === "POST" || method === "PUT" ? 0 : null;
}

/** Waits for the backend or for the abort, which the backend is told. */
function untilAborted<T>(journey: Journey, answer: Promise<T>, number: number): Promise<T> {
  const { execution, signal } = journey;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      fenchel.post(execution, "fenchel/abortFetch", JSON.stringify({ fetch: number }));
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const done = (): void => signal.removeEventListener("abort", onAbort);
    answer.then(
      (value) => {
        done();
        resolve(value);
      },
      (error: unknown) => {
        done();
        reject(networkError((error as Error).message, { cause: error }));
      },
    );
  });
}

/** The body, which breaks when the signal aborts. */
function receive(journey: Journey, number: number): Content {
  const { execution, signal } = journey;
  const source = openIncoming(execution, () => number).getReader();
  const { ReadableStream } = fenchel.loadVendor("streams");
  let onAbort = (): void => {};
  const stream = new ReadableStream<Uint8Array>({
    type: "bytes",
    start(controller) {
      onAbort = () => {
        controller.error(signal.reason);
        void source.cancel(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
    },
    async pull(controller) {
      const { done, value } = await source.read();
      if (!done) controller.enqueue(value as Uint8Array<ArrayBuffer>);
      else if (!signal.aborted) {
        signal.removeEventListener("abort", onAbort);
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
    cancel(reason) {
      signal.removeEventListener("abort", onAbort);
      return source.cancel(reason);
    },
  });
  return { source: null, stream: stream as Content["stream"], isUsed: false };
}
