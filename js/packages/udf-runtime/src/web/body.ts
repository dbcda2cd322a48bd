/** Bodies of requests and responses (Fetch standard 5.2 and 5.3). */
import { Blob, blobOver, bytesOfBlob, piecesOfBlob } from "./blob.ts";
import { decodeText, encodeText, readAll, readPieces, viewBytes } from "./bytes.ts";
import type { ByteStream } from "./bytes.ts";
import { FormData } from "./form_data.ts";
import type { Headers } from "./headers.ts";
import { encodeMultipart, parseMultipart } from "./multipart.ts";
import { toUsvString } from "./web_idl.ts";

const { URLSearchParams } = fenchel.loadVendor("url");

/** What a body can be made from any number of times; a blob if it is not one piece in memory. */
export type Source = Uint8Array | Blob;

/**
 * What a body consists of. `stream` is made from `source` when somebody asks for it; from then on
 * it alone says what is left. A body without a source cannot be sent twice.
 */
export interface Content {
  source: Source | null;
  stream: ByteStream | null;
  isUsed: boolean;
}

const FORM_BYTES_MAX = 20 * 1024 * 1024;

export function isReadableStream(value: unknown): value is ByteStream {
  // An instance cannot exist before its class was loaded, and loading is not free.
  if (Object.prototype.toString.call(value) !== "[object ReadableStream]") return false;
  return value instanceof fenchel.loadVendor("streams").ReadableStream;
}

/** Whether anything was read of it or it was cancelled. */
function isDisturbed(stream: ByteStream): boolean {
  return (stream as unknown as { _disturbed: boolean })._disturbed;
}

/** The content of a `BodyInit` and the content type that it implies. */
export function extractBody(init: unknown): { content: Content; contentType: string | null } {
  const of = (source: Source, contentType: string | null = null) => ({
    content: { source, stream: null, isUsed: false },
    contentType,
  });
  if (isReadableStream(init)) {
    if (init.locked || isDisturbed(init)) throw new TypeError("The body stream was used already");
    return { content: { source: null, stream: init, isUsed: false }, contentType: null };
  }
  if (init instanceof Blob) return of(sourceOf(init), init.type === "" ? null : init.type);
  const view = viewBytes(init);
  if (view !== undefined) return of(view.slice());
  if (init instanceof FormData) {
    const { blob, contentType } = encodeMultipart(init);
    return of(sourceOf(blob), contentType);
  }
  if (init instanceof URLSearchParams) {
    return of(encodeText(String(init)), "application/x-www-form-urlencoded;charset=UTF-8");
  }
  return of(encodeText(toUsvString(init)), "text/plain;charset=UTF-8");
}

/** Without the type, which is a header from here on. */
function sourceOf(blob: Blob): Source {
  return bytesOfBlob(blob) ?? blobOver(piecesOfBlob(blob), "");
}

export function sizeOf(source: Source): number {
  return source instanceof Blob ? source.size : source.length;
}

function toBlob(source: Source, type: string): Blob {
  return blobOver(source instanceof Blob ? piecesOfBlob(source) : [source], type);
}

function isUnusable(content: Content): boolean {
  const { stream, isUsed } = content;
  return isUsed || (stream !== null && (stream.locked || isDisturbed(stream)));
}

/** Set by the class. The content of a message, or null when it has none. */
export let contentOf: (message: Body) => Content | null;
/** The content for a copy of the message, which keeps its own. Raises TypeError when it is used. */
export let cloneContent: (message: Body) => Content | null;
/** Moves the content out: the message counts as used. Raises TypeError when it is used. */
export let takeContent: (message: Body) => Content | null;

export abstract class Body {
  abstract readonly headers: Headers;
  readonly #content: Content | null;

  constructor(content: Content | null) {
    this.#content = content;
  }

  get body(): ByteStream | null {
    const content = this.#content;
    if (content === null) return null;
    if (content.stream === null) {
      content.stream = toBlob(content.source as Source, "").stream();
      if (content.isUsed) void content.stream.cancel();
    }
    return content.stream;
  }

  get bodyUsed(): boolean {
    const content = this.#content;
    if (content === null) return false;
    return content.isUsed || (content.stream !== null && isDisturbed(content.stream));
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer as ArrayBuffer;
  }

  async blob(): Promise<Blob> {
    const content = this.#use();
    const type = (this.headers.get("content-type") ?? "").toLowerCase();
    if (content === null) return blobOver([new Uint8Array(0)], type);
    if (content.stream !== null) return blobOver(await readPieces(content.stream), type);
    return toBlob(content.source as Source, type);
  }

  async bytes(): Promise<Uint8Array> {
    const content = this.#use();
    if (content === null) return new Uint8Array(0);
    if (content.stream !== null) return readAll(content.stream);
    return toBlob(content.source as Source, "").bytes();
  }

  async formData(): Promise<FormData> {
    const contentType = this.headers.get("content-type") ?? "";
    if (/^\s*multipart\/form-data\s*;/i.test(contentType)) {
      fenchel.requireAction("formData()");
      const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
      const bytes = await this.#read();
      if (boundary === null) throw new TypeError("The content type lacks a boundary");
      if (bytes.length > FORM_BYTES_MAX) {
        throw new TypeError(`A form of ${bytes.length} bytes is larger than ${FORM_BYTES_MAX}`);
      }
      return parseMultipart(bytes, boundary[1] ?? (boundary[2] as string));
    }
    if (!/^\s*application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType)) {
      throw new TypeError(`Cannot read the content type "${contentType}" as a form`);
    }
    const form = new FormData();
    for (const [name, value] of new URLSearchParams(decodeText(await this.#read()))) {
      form.append(name, value);
    }
    return form;
  }

  async json(): Promise<unknown> {
    return JSON.parse(decodeText(await this.#read())) as unknown;
  }

  async text(): Promise<string> {
    return decodeText(await this.#read());
  }

  /** The bytes, to be looked at only. */
  async #read(): Promise<Uint8Array> {
    const content = this.#use();
    if (content === null) return new Uint8Array(0);
    if (content.stream !== null) return readAll(content.stream);
    const source = content.source as Source;
    return source instanceof Blob ? source.bytes() : source;
  }

  /** The content, which counts as used from now on. Raises TypeError when it was before. */
  #use(): Content | null {
    const content = this.#content;
    if (content === null) return null;
    if (isUnusable(content)) throw new TypeError("The body was read already");
    // Of a stream it is the reading that counts.
    if (content.stream === null) content.isUsed = true;
    return content;
  }

  static {
    contentOf = (message) => message.#content;
    takeContent = (message) => {
      const content = message.#content;
      if (content === null) return null;
      if (isUnusable(content)) throw new TypeError("The body was read already");
      if (content.stream === null) {
        content.isUsed = true;
        return { ...content, isUsed: false };
      }
      // Reading through another stream leaves the message's own locked and disturbed.
      const { TransformStream } = fenchel.loadVendor("streams");
      const moved = content.stream.pipeThrough(new TransformStream<Uint8Array, Uint8Array>());
      content.isUsed = true;
      return { source: content.source, stream: moved, isUsed: false };
    };
    cloneContent = (message) => {
      const content = message.#content;
      if (content === null) return null;
      if (isUnusable(content)) throw new TypeError("The body was read already");
      if (content.stream === null) return { ...content };
      const [mine, other] = content.stream.tee();
      content.stream = mine as ByteStream;
      return { source: content.source, stream: other as ByteStream, isUsed: false };
    };
  }
}
