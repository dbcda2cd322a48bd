/**
 * Streams of bytes between the realm and the backend. The backend numbers those that it sends, the
 * realm those that it sends. Nothing is sent before the other side asked or acknowledged.
 */
import type { Execution } from "../runtime_face.ts";
import { Blob, piecesOfBlob } from "./blob.ts";
import type { Piece } from "./blob.ts";
import { encodeText } from "./bytes.ts";
import type { ByteStream } from "./bytes.ts";

export const CHUNK_BYTES_MAX = 1024 * 1024;
const NUMBER_BYTES = 4;

/**
 * A stream that asks the backend for the next chunk when somebody reads. `open` gives its number
 * when it is first read.
 */
export function openIncoming(
  execution: Execution,
  open: () => number | Promise<number>,
): ByteStream {
  let args: string | undefined;
  let isCancelled = false;
  const { ReadableStream } = fenchel.loadVendor("streams");
  const close = (): void => {
    if (args !== undefined) fenchel.post(execution, "fenchel/cancelStream", args);
  };
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      args ??= JSON.stringify({ stream: await open() });
      if (isCancelled) return close();
      const chunk = await fenchel.request(execution, "fenchel/readStream", args);
      if (typeof chunk !== "string") controller.enqueue(new Uint8Array(chunk));
      else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
    cancel() {
      isCancelled = true;
      close();
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

/** Starts to send bytes, a blob or a stream. */
export function sendOutgoing(execution: Execution, body: Uint8Array | Blob | ByteStream): Outgoing {
  const number = nextOutgoing++;
  if (body instanceof Uint8Array) return sendPieces(execution, number, [body]);
  if (body instanceof Blob) return sendPieces(execution, number, piecesOfBlob(body));
  return sendStream(execution, number, body);
}

type Send = (chunk: Uint8Array) => Promise<boolean>;

function sendPieces(execution: Execution, number: number, pieces: readonly Piece[]): Outgoing {
  const pump = async (send: Send): Promise<boolean> => {
    for (const piece of pieces) {
      const isWanted = await (piece instanceof Uint8Array ? send(piece) : piece.sendAs(number));
      if (!isWanted) return false;
    }
    return true;
  };
  // Nothing is waited for but the receiver, who tells when it wants no more.
  return start(execution, number, pump, async () => {});
}

function sendStream(execution: Execution, number: number, stream: ByteStream): Outgoing {
  const reader = stream.getReader();
  const pump = async (send: Send): Promise<boolean> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return true;
      if (!(value instanceof Uint8Array)) throw new TypeError("A chunk is not a Uint8Array");
      if (!(await send(value))) return false;
    }
  };
  return start(execution, number, pump, (reason) => reader.cancel(reason).catch(() => {}));
}

/** `pump` says whether all went out. Its error ends the stream; `cancel` frees the source. */
function start(
  execution: Execution,
  number: number,
  pump: (send: Send) => Promise<boolean>,
  cancel: (reason?: unknown) => Promise<void>,
): Outgoing {
  const end = (error?: string): void =>
    fenchel.post(execution, "fenchel/endStream", JSON.stringify({ stream: number, error }));
  const run = async (): Promise<void> => {
    try {
      if (await pump((chunk) => write(execution, number, chunk))) return end();
    } catch (error) {
      end(String(error));
      await cancel(error);
      throw error;
    }
    await cancel();
  };
  const finished = run();
  // Who does not ask how it ended has no use for the error.
  finished.catch(() => {});
  return { number, finished, cancel };
}

/** False when the backend wants no more. */
async function write(execution: Execution, number: number, chunk: Uint8Array): Promise<boolean> {
  for (let offset = 0; offset < chunk.length; offset += CHUNK_BYTES_MAX) {
    const part = chunk.subarray(offset, offset + CHUNK_BYTES_MAX);
    const message = new Uint8Array(NUMBER_BYTES + part.length);
    new DataView(message.buffer).setUint32(0, number, true);
    message.set(part, NUMBER_BYTES);
    try {
      await fenchel.requestWithBytes(execution, "fenchel/writeStream", message.buffer);
    } catch {
      return false;
    }
  }
  return true;
}

/** A JSON head, a newline, and bytes. */
export function joinHead(head: object, bytes: Uint8Array | null): ArrayBuffer {
  const text = encodeText(`${JSON.stringify(head)}\n`);
  const message = new Uint8Array(text.length + (bytes?.length ?? 0));
  message.set(text);
  if (bytes !== null) message.set(bytes, text.length);
  return message.buffer;
}
