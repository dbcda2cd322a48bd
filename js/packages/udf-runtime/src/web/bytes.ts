/** Bytes and text as bodies and blobs use them. Part of the "fetch" vendor script. */

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
