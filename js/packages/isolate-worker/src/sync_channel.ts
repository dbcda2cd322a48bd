/** Synchronous calls from the realm to the backend over a blocking socket (fd 4). One at a time. */
import fs from "node:fs";
import { checkFrameLength, decodeFrameBody, encodeFrame } from "./frames.ts";
import { MessageType } from "./protocol.ts";

const STDERR_FD = 2;

export class SyncChannel {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * The backend's answer: "1" + payload or "0" + error JSON. Raises FrameError for a call that is too
   * large. Ends the process when the backend is gone, or when an answer may be left in the channel,
   * which the next call would take for its own.
   */
  call(executionId: number, op: string, argsJson: string): string {
    const request = encodeFrame(MessageType.SyncCall, executionId, [op, argsJson]);
    try {
      this.#write(request);
      return this.#readAnswer(executionId);
    } catch (error) {
      fs.writeSync(STDERR_FD, `The synchronous channel broke: ${String(error)}\n`);
      process.exit(1);
    }
  }

  #readAnswer(executionId: number): string {
    const length = this.#read(4).readUInt32LE(0);
    checkFrameLength(length);
    const frame = decodeFrameBody(this.#read(length));
    const [ok, payload] = frame.fields;
    if (frame.type !== MessageType.SyncResult || frame.id !== executionId || ok === undefined) {
      throw new Error("Unexpected answer");
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
