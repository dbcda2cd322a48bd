/** `storage.store` and `storage.get` of actions: the bytes go through streams (2.13). */
import { Blob, blobOver, bytesOfBlob } from "./blob.ts";
import { readAll } from "./body.ts";
import { openIncoming, sendOutgoing } from "./byte_streams.ts";

interface StoredFile {
  stream: number;
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
  const body = sendOutgoing(execution, bytesOfBlob(blob));
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
  const text = await fenchel.request(execution, "fenchel/loadFile", JSON.stringify({ storageId }));
  const file = JSON.parse(text as string) as StoredFile | null;
  if (file === null) return null;
  const bytes = await readAll(openIncoming(execution, file.stream));
  return blobOver(bytes, file.contentType ?? "");
}
