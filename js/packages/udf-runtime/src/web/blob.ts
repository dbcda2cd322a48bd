/** `Blob` and `File` (File API standard): bytes in memory, and stored files that are read lazily. */
import { concatBytes, decodeText, encodeText, readKnown, viewBytes } from "./bytes.ts";
import type { ByteStream } from "./bytes.ts";
import { finishInterface, requireArguments, toDictionary, toUsvString } from "./web_idl.ts";
import type { ReadableStreamDefaultReader } from "web-streams-polyfill";

/** Bytes that are not in memory: a part of a stored file. */
export interface StoredBytes {
  readonly length: number;
  subarray(start: number, end: number): StoredBytes;
  open(): ByteStream;
  /** Has the backend send them as the outgoing stream; false when its receiver wants no more. */
  sendAs(stream: number): Promise<boolean>;
}

export type Piece = Uint8Array | StoredBytes;

/** Set by the class, which alone sees its private fields. */
export let piecesOfBlob: (blob: Blob) => readonly Piece[];
/** A blob over bytes that nobody changes any more. */
export let blobOver: (pieces: readonly Piece[], type: string) => Blob;

/** All bytes, if they are one piece in memory. */
export function bytesOfBlob(blob: Blob): Uint8Array | null {
  const [piece] = piecesOfBlob(blob);
  return piecesOfBlob(blob).length === 1 && piece instanceof Uint8Array ? piece : null;
}

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

function partPieces(part: Part, endings: string): readonly Piece[] {
  if (part instanceof Blob) return piecesOfBlob(part);
  if (typeof part !== "string") return [part];
  return [encodeText(endings === "native" ? part.replace(/\r\n?|\n/g, "\n") : part)];
}

/** The pieces with copies of what is in memory, neighbours in one. */
function joinPieces(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  let inMemory: Uint8Array[] = [];
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) inMemory.push(piece);
    else {
      if (inMemory.length > 0) joined.push(concatBytes(inMemory));
      joined.push(piece);
      inMemory = [];
    }
  }
  if (inMemory.length > 0 || joined.length === 0) joined.push(concatBytes(inMemory));
  return joined;
}

/** What lies between two positions of all pieces together. */
function cutPieces(pieces: readonly Piece[], from: number, to: number): Piece[] {
  const cut: Piece[] = [];
  let position = 0;
  for (const piece of pieces) {
    const start = Math.max(from - position, 0);
    const end = Math.min(to - position, piece.length);
    if (start < end) cut.push(piece.subarray(start, end));
    position += piece.length;
  }
  return cut.length === 0 ? [new Uint8Array(0)] : cut;
}

/** A position as `slice` takes it: from the end if it is negative. */
function toPosition(value: unknown, size: number): number {
  const number = Math.trunc(Number(value)) || 0;
  return number < 0 ? Math.max(size + number, 0) : Math.min(number, size);
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

/** A stream over bytes in memory. */
function streamBytes(bytes: Uint8Array): ByteStream {
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
  }) as ByteStream;
}

function streamPiece(piece: Piece): ByteStream {
  return piece instanceof Uint8Array ? streamBytes(piece) : piece.open();
}

/** One piece after the other, each opened when it is its turn. */
function streamPieces(pieces: readonly Piece[]): ByteStream {
  const rest = [...pieces];
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const { ReadableStream } = fenchel.loadVendor("streams");
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      for (;;) {
        if (reader === undefined) {
          const next = rest.shift();
          if (next === undefined) break;
          reader = streamPiece(next).getReader();
        }
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value as Uint8Array<ArrayBuffer>);
        reader = undefined;
      }
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel(reason) {
      return reader?.cancel(reason);
    },
  }) as ByteStream;
}

export class Blob {
  #pieces: readonly Piece[];
  #type: string;

  constructor(parts?: unknown, options?: unknown) {
    const converted = toParts(parts);
    const dictionary = toDictionary(options, "Blob options");
    const endings = toEndings(dictionary["endings"]);
    this.#type = toType(dictionary["type"]);
    this.#pieces = joinPieces(converted.flatMap((part) => partPieces(part, endings)));
  }

  get size(): number {
    return this.#pieces.reduce((sum, { length }) => sum + length, 0);
  }

  get type(): string {
    return this.#type;
  }

  slice(start?: number, end?: number, contentType?: unknown): Blob {
    const { size } = this;
    const from = toPosition(start, size);
    const to = end === undefined ? size : toPosition(end, size);
    return blobOver(cutPieces(this.#pieces, from, to), toType(contentType));
  }

  stream(): ByteStream {
    const [piece] = this.#pieces;
    return this.#pieces.length === 1 ? streamPiece(piece as Piece) : streamPieces(this.#pieces);
  }

  async text(): Promise<string> {
    return decodeText(bytesOfBlob(this) ?? (await readKnown(this.stream(), this.size)));
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer as ArrayBuffer;
  }

  async bytes(): Promise<Uint8Array> {
    return bytesOfBlob(this)?.slice() ?? readKnown(this.stream(), this.size);
  }

  static {
    piecesOfBlob = (blob) => blob.#pieces;
    blobOver = (pieces, type) => {
      const blob = new Blob();
      blob.#pieces = pieces;
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
