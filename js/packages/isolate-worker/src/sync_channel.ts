/** Synchronous calls from the realm to the backend over a blocking socket (fd 4). One at a time. */
import fs from "node:fs";
import { checkFrameLength, decodeFrameBody, encodeFrame } from "./frames.ts";
import { MessageType } from "./protocol.ts";

export class SyncChannel {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The backend's answer: "1" + payload or "0" + error JSON. Raises when the backend is gone. */
  call(executionId: number, op: string, argsJson: string): string {
    this.#write(encodeFrame(MessageType.SyncCall, executionId, [op, argsJson]));
    const length = this.#read(4).readUInt32LE(0);
    checkFrameLength(length);
    const frame = decodeFrameBody(this.#read(length));
    const [ok, payload] = frame.fields;
    if (frame.type !== MessageType.SyncResult || frame.id !== executionId || ok === undefined) {
      throw new Error("Unexpected answer on the synchronous channel");
    }
    return ok.toString("latin1") + (payload?.toString("utf8") ?? "");
  }

  #write(bytes: Buffer): void {
    let offset = 0;
    while (offset < bytes.length) offset += fs.writeSync(this.#fd, bytes, offset);
  }

  #read(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let offset = 0;
    while (offset < length) {
      const count = fs.readSync(this.#fd, bytes, offset, length - offset, null);
      if (count === 0) throw new Error("The synchronous channel was closed");
      offset += count;
    }
    return bytes;
  }
}
