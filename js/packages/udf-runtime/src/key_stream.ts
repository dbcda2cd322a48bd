/** The ChaCha12 key stream behind all randomness of a realm (specification 3.3). */
import { chacha12 } from "@noble/ciphers/chacha.js";

const BLOCK_BYTES = 64;
const REFILL_BYTES = 4 * BLOCK_BYTES;
const NONCE = new Uint8Array(12);

export class KeyStream {
  readonly #key: Uint8Array;
  #buffer = new Uint8Array(0);
  #offset = 0;
  #counter = 0;

  constructor(seedHex: string) {
    this.#key = bytesFromHex(seedHex);
  }

  fill(target: Uint8Array): void {
    for (let index = 0; index < target.length; index++) {
      if (this.#offset === this.#buffer.length) this.#refill();
      target[index] = this.#buffer[this.#offset++] as number;
    }
  }

  #refill(): void {
    this.#buffer = chacha12(
      this.#key,
      NONCE,
      new Uint8Array(REFILL_BYTES),
      undefined,
      this.#counter,
    );
    this.#counter += REFILL_BYTES / BLOCK_BYTES;
    this.#offset = 0;
  }
}

function bytesFromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = parseInt(hex.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}
