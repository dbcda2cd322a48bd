/**
 * `storage.store` and `storage.get` of actions (2.13). What `get` gives is read from the backend
 * when somebody asks for it, and goes from one place to another without coming here.
 */
import type { Execution } from "../runtime_face.ts";
import { Blob, blobOver } from "./blob.ts";
import type { StoredBytes } from "./blob.ts";
import { openIncoming, sendOutgoing } from "./byte_streams.ts";
import type { ByteStream } from "./bytes.ts";

/** What the backend says of a file. */
interface StoredFile {
  size: number;
  contentType: string | null;
}

export async function storeBlob(args: { blob?: unknown; options?: unknown }): Promise<string> {
  const execution = fenchel.requireAction("storage.store()");
  const { blob } = args;
  if (!(blob instanceof Blob)) {
    throw new TypeError(
      "storage.store() takes a Blob. Of a Request or Response, `await request.blob()` is one.",
    );
  }
  const sha256 = (args.options as { sha256?: unknown } | undefined)?.sha256;
  const body = sendOutgoing(execution, blob);
  const head = { stream: body.number, contentType: blob.type, sha256: sha256 ?? null };
  const stored = fenchel.request(execution, "fenchel/storeFile", JSON.stringify(head));
  const [answer] = await Promise.all([stored, body.finished]);
  return JSON.parse(answer as string) as string;
}

export async function getBlob(args: { storageId?: unknown }): Promise<Blob | null> {
  const execution = fenchel.requireAction("storage.get()");
  const { storageId } = args;
  if (typeof storageId !== "string") {
    throw new TypeError(
      `storage.get requires a string storageId but received ${JSON.stringify(storageId)}`,
    );
  }
  const text = await fenchel.request(execution, "fenchel/findFile", JSON.stringify({ storageId }));
  const file = JSON.parse(text as string) as StoredFile | null;
  if (file === null) return null;
  const whole = new StoredRange(execution, storageId, 0, file.size);
  return blobOver([file.size === 0 ? new Uint8Array(0) : whole], file.contentType ?? "");
}

/** A part of a file, which may have been deleted when somebody reads it. */
class StoredRange implements StoredBytes {
  readonly #execution: Execution;
  readonly #storageId: string;
  readonly #start: number;
  readonly length: number;

  constructor(execution: Execution, storageId: string, start: number, length: number) {
    this.#execution = execution;
    this.#storageId = storageId;
    this.#start = start;
    this.length = length;
  }

  subarray(start: number, end: number): StoredRange {
    return new StoredRange(this.#execution, this.#storageId, this.#start + start, end - start);
  }

  open(): ByteStream {
    return openIncoming(this.#execution, async () =>
      Number(await this.#ask("fenchel/openFile", {})),
    );
  }

  async sendAs(stream: number): Promise<boolean> {
    return (await this.#ask("fenchel/sendFile", { stream })) === "";
  }

  #ask(op: string, more: object): Promise<string | ArrayBuffer> {
    const args = { storageId: this.#storageId, start: this.#start, length: this.length, ...more };
    return fenchel.request(this.#execution, op, JSON.stringify(args));
  }
}
