/**
 * Frames between backend and worker (protocol version 1). Pure: bytes in, frames out.
 *
 *   frame := u32le length of what follows | u8 type | u32le id | field*
 *   field := u32le byte length | bytes
 */

export const FRAME_BYTES_MAX = 128 * 1024 * 1024;
const LENGTH_BYTES = 4;
const HEAD_BYTES = 5;

export interface Frame {
  type: number;
  id: number;
  fields: Buffer[];
}

export class FrameError extends Error {}

/** Encodes one frame; text fields become UTF-8. */
export function encodeFrame(
  type: number,
  id: number,
  fields: readonly (string | Buffer)[],
): Buffer {
  const lengths = fields.map((field) => Buffer.byteLength(field));
  const length = lengths.reduce((sum, fieldLength) => sum + LENGTH_BYTES + fieldLength, HEAD_BYTES);
  if (length > FRAME_BYTES_MAX) throw new FrameError(`Frame of ${length} bytes is too large`);
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + length);
  frame.writeUInt32LE(length, 0);
  frame[4] = type;
  frame.writeUInt32LE(id, 5);
  let offset = LENGTH_BYTES + HEAD_BYTES;
  fields.forEach((field, index) => {
    const fieldLength = lengths[index] as number;
    frame.writeUInt32LE(fieldLength, offset);
    offset += LENGTH_BYTES;
    if (typeof field === "string") frame.write(field, offset, "utf8");
    else field.copy(frame, offset);
    offset += fieldLength;
  });
  return frame;
}

/** Decodes what follows the length of one frame. */
export function decodeFrameBody(body: Buffer): Frame {
  if (body.length < HEAD_BYTES) throw new FrameError("Frame is shorter than its head");
  const fields: Buffer[] = [];
  let offset = HEAD_BYTES;
  while (offset < body.length) {
    if (offset + LENGTH_BYTES > body.length)
      throw new FrameError("Frame ends inside a field length");
    const end = offset + LENGTH_BYTES + body.readUInt32LE(offset);
    if (end > body.length) throw new FrameError("Frame ends inside a field");
    fields.push(body.subarray(offset + LENGTH_BYTES, end));
    offset = end;
  }
  return { type: body.readUInt8(0), id: body.readUInt32LE(1), fields };
}

export function checkFrameLength(length: number): void {
  if (length < HEAD_BYTES || length > FRAME_BYTES_MAX) {
    throw new FrameError(`Frame length ${length} is out of range`);
  }
}

/**
 * Cuts a byte stream into frames. Invariant: `#chunks` together hold `#bytes` bytes, less than one
 * frame.
 */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** Frames completed by `chunk`. Fields may share its memory. Raises FrameError. */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#neededBytes()) return [];
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#bytes);
    const frames: Frame[] = [];
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt32LE(0);
      checkFrameLength(length);
      if (rest.length < LENGTH_BYTES + length) break;
      frames.push(decodeFrameBody(rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length)));
      rest = rest.subarray(LENGTH_BYTES + length);
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    return frames;
  }

  /** Bytes that the first frame needs, or its length field while that is cut. */
  #neededBytes(): number {
    if (this.#bytes < LENGTH_BYTES) return LENGTH_BYTES;
    const [first] = this.#chunks;
    const head =
      first !== undefined && first.length >= LENGTH_BYTES
        ? first
        : Buffer.concat(this.#chunks, this.#bytes);
    const length = head.readUInt32LE(0);
    checkFrameLength(length);
    return LENGTH_BYTES + length;
  }
}
