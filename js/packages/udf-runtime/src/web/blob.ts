/** `Blob` and `File` with their bytes in memory (File API standard). */
import { concatBytes, decodeText, encodeText, viewBytes } from "./bytes.ts";
import { finishInterface, requireArguments, toDictionary, toUsvString } from "./web_idl.ts";
import type { ReadableStream } from "web-streams-polyfill";

/** Set by the class, which alone sees its private fields. */
export let bytesOfBlob: (blob: Blob) => Uint8Array;
/** A blob over bytes that nobody changes any more. */
export let blobOver: (bytes: Uint8Array, type: string) => Blob;

const STREAM_CHUNK_BYTES = 65_536;

type Part = Uint8Array | Blob | string;

/** The parts, each converted when the iteration comes to it. */
function toParts(value: unknown): Part[] {
  if (value === undefined) return [];
  const isObject = typeof value === "object" || typeof value === "function";
  const items = value as Iterable<unknown> | null;
  if (!isObject || items === null || typeof items[Symbol.iterator] !== "function") {
    throw new TypeError("Blob parts are not iterable");
  }
  return Array.from(items, (item) => {
    if (item instanceof Blob) return item;
    return viewBytes(item) ?? toUsvString(item);
  });
}

function partBytes(part: Part, endings: string): Uint8Array {
  if (part instanceof Blob) return bytesOfBlob(part);
  if (typeof part !== "string") return part;
  return encodeText(endings === "native" ? part.replace(/\r\n?|\n/g, "\n") : part);
}

function toType(type: unknown): string {
  const text = type === undefined ? "" : String(type);
  return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : "";
}

function toEndings(endings: unknown): string {
  const text = endings === undefined ? "transparent" : String(endings);
  if (text !== "transparent" && text !== "native") {
    throw new TypeError(`endings: "${text}" is neither "transparent" nor "native"`);
  }
  return text;
}

export class Blob {
  #bytes: Uint8Array;
  #type: string;

  constructor(parts?: unknown, options?: unknown) {
    const converted = toParts(parts);
    const dictionary = toDictionary(options, "Blob options");
    const endings = toEndings(dictionary["endings"]);
    this.#type = toType(dictionary["type"]);
    this.#bytes = concatBytes(converted.map((part) => partBytes(part, endings)));
  }

  get size(): number {
    return this.#bytes.length;
  }

  get type(): string {
    return this.#type;
  }

  slice(start?: number, end?: number, contentType?: unknown): Blob {
    return blobOver(this.#bytes.subarray(start ?? 0, end), toType(contentType));
  }

  stream(): ReadableStream<Uint8Array> {
    const bytes = this.#bytes;
    let offset = 0;
    const { ReadableStream } = fenchel.loadVendor("streams");
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        if (offset >= bytes.length) {
          controller.close();
          controller.byobRequest?.respond(0);
          return;
        }
        const end = Math.min(offset + STREAM_CHUNK_BYTES, bytes.length);
        controller.enqueue(bytes.slice(offset, end));
        offset = end;
      },
    }) as ReadableStream<Uint8Array>;
  }

  async text(): Promise<string> {
    return decodeText(this.#bytes);
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#bytes.slice().buffer as ArrayBuffer;
  }

  async bytes(): Promise<Uint8Array> {
    return this.#bytes.slice();
  }

  static {
    bytesOfBlob = (blob) => blob.#bytes;
    blobOver = (bytes, type) => {
      const blob = new Blob();
      blob.#bytes = bytes;
      blob.#type = type;
      return blob;
    };
  }
}

export class File extends Blob {
  readonly #name: string;
  readonly #lastModified: number;

  constructor(parts: unknown, name: unknown, options?: unknown) {
    requireArguments(arguments.length, 2, "File constructor");
    super(parts === undefined ? null : parts, options);
    this.#name = toUsvString(name);
    const { lastModified } = toDictionary(options, "File options");
    this.#lastModified = lastModified === undefined ? Date.now() : Math.trunc(Number(lastModified));
  }

  get name(): string {
    return this.#name;
  }

  get lastModified(): number {
    return this.#lastModified;
  }
}

Object.defineProperty(Blob, "length", { value: 0, configurable: true });
finishInterface(Blob, "Blob");
finishInterface(File, "File");
