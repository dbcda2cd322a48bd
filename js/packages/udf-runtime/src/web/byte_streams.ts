/**
 * Streams of bytes between the realm and the backend. The backend numbers those that it sends, the
 * realm those that it sends. Nothing is sent before the other side asked or acknowledged.
 */
import type { Execution } from "../runtime_face.ts";
import type { ByteStream } from "./body.ts";
import { encodeText } from "./bytes.ts";

const CHUNK_BYTES_MAX = 1024 * 1024;
const NUMBER_BYTES = 4;

/** A stream that asks the backend for the next chunk when somebody reads. */
export function openIncoming(execution: Execution, number: number): ByteStream {
  const args = JSON.stringify({ stream: number });
  const { ReadableStream } = fenchel.loadVendor("streams");
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const chunk = await fenchel.request(execution, "fenchel/readStream", args);
      if (typeof chunk !== "string") controller.enqueue(new Uint8Array(chunk));
      else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
    cancel() {
      fenchel.post(execution, "fenchel/cancelStream", args);
    },
  }) as ByteStream;
}

let nextOutgoing = 1;

/** A stream on its way to the backend. */
export interface Outgoing {
  readonly number: number;
  /** Ends without a word when the backend wants no more. Rejects with the source's own error. */
  readonly finished: Promise<void>;
  /** Stop reading the source, whatever it waits for; returns when it has cleaned up. */
  readonly cancel: () => Promise<void>;
}

/** What bytes are sent from: one piece, or the reader of a stream. */
interface Source {
  read(): Promise<{ done: boolean; value?: unknown }>;
  cancel(reason: unknown): Promise<void>;
}

/** Starts to send bytes or a stream. */
export function sendOutgoing(execution: Execution, body: Uint8Array | ByteStream): Outgoing {
  const number = nextOutgoing++;
  const source = body instanceof Uint8Array ? readerOver(body) : body.getReader();
  const finished = pump(execution, source, number);
  // Who does not ask how it ended has no use for the error.
  finished.catch(() => {});
  return { number, finished, cancel: () => stop(source, undefined) };
}

function readerOver(bytes: Uint8Array): Source {
  let rest = bytes.length === 0 ? [] : [bytes];
  return {
    async read() {
      const value = rest.pop();
      return { done: value === undefined, value };
    },
    async cancel() {
      rest = [];
    },
  };
}

function stop(source: Source, reason: unknown): Promise<void> {
  return source.cancel(reason).catch(() => {});
}

async function pump(execution: Execution, source: Source, number: number): Promise<void> {
  const end = (error?: string): void =>
    fenchel.post(execution, "fenchel/endStream", JSON.stringify({ stream: number, error }));
  for (;;) {
    let chunk: Uint8Array;
    try {
      const { done, value } = await source.read();
      if (done) return end();
      if (!(value instanceof Uint8Array)) throw new TypeError("A chunk is not a Uint8Array");
      chunk = value;
    } catch (error) {
      end(String(error));
      await stop(source, error);
      throw error;
    }
    try {
      await write(execution, number, chunk);
    } catch (error) {
      await stop(source, error);
      return;
    }
  }
}

async function write(execution: Execution, number: number, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.length; offset += CHUNK_BYTES_MAX) {
    const part = chunk.subarray(offset, offset + CHUNK_BYTES_MAX);
    const message = new Uint8Array(NUMBER_BYTES + part.length);
    new DataView(message.buffer).setUint32(0, number, true);
    message.set(part, NUMBER_BYTES);
    await fenchel.requestWithBytes(execution, "fenchel/writeStream", message.buffer);
  }
}

/** A JSON head, a newline, and bytes. */
export function joinHead(head: object, bytes: Uint8Array | null): ArrayBuffer {
  const text = encodeText(`${JSON.stringify(head)}\n`);
  const message = new Uint8Array(text.length + (bytes?.length ?? 0));
  message.set(text);
  if (bytes !== null) message.set(bytes, text.length);
  return message.buffer;
}
