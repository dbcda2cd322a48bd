/** Bytes and text as bodies and blobs use them. Part of the "fetch" vendor script. */
import type { ReadableStream } from "web-streams-polyfill";

export type ByteStream = ReadableStream<Uint8Array>;

/** What one body or blob may bring into the realm at once: little more would end the function. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;

const { TextDecoder, TextEncoder } = fenchel.loadVendor("encoding");
const encoder = new TextEncoder();

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text) as Uint8Array;
}

/** UTF-8 without its byte order mark; malformed parts become U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Bytes that a buffer source holds now, not copied; undefined for anything else. */
export function viewBytes(value: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  const tag = Object.prototype.toString.call(value);
  const isBuffer = tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]";
  return isBuffer ? new Uint8Array(value as ArrayBuffer) : undefined;
}

export function concatBytes(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

/** Raises RangeError for what does not fit into a function's memory. */
export function checkHeld(size: number): void {
  if (size <= HELD_BYTES_MAX) return;
  throw new RangeError(
    `More than ${HELD_BYTES_MAX} bytes cannot be held in memory at once. Read the stream piece by ` +
      "piece, or cut a Blob with slice(); a file that storage.get() gave may be any size as the " +
      "body of a Response or of fetch(), and as what storage.store() gets.",
  );
}

/** Bodies up to here are one piece; larger ones need not fit twice. */
const ONE_PIECE_BYTES = 1024 * 1024;
/** Chunks that are smaller on average cost more than joining them. */
const PIECE_BYTES_MIN = 4_096;

/** All that the stream has to give, in pieces that nobody else has. Raises RangeError. */
export async function readPieces(stream: ByteStream): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  await forEachChunk(stream, (chunk) => {
    checkHeld((size += chunk.length));
    pieces.push(chunk.slice());
  });
  const isJoined = size <= ONE_PIECE_BYTES || size < pieces.length * PIECE_BYTES_MIN;
  return isJoined ? [concatBytes(pieces)] : pieces;
}

/** The same in one piece. */
export async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  await forEachChunk(stream, (chunk) => {
    checkHeld((size += chunk.length));
    chunks.push(chunk);
  });
  return concatBytes(chunks);
}

/** The same for a stream that gives `size` bytes, which are held once. */
export async function readKnown(stream: ByteStream, size: number): Promise<Uint8Array> {
  checkHeld(size);
  const whole = new Uint8Array(size);
  let offset = 0;
  await forEachChunk(stream, (chunk) => {
    whole.set(chunk, offset);
    offset += chunk.length;
  });
  return whole;
}

/** Cancels the stream when `take` throws. */
async function forEachChunk(stream: ByteStream, take: (chunk: Uint8Array) => void): Promise<void> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    try {
      if (!(value instanceof Uint8Array)) {
        throw new TypeError("A body stream must consist of Uint8Array chunks");
      }
      take(value);
    } catch (error) {
      await reader.cancel(error);
      throw error;
    }
  }
}
