/**
 * Randomness from a seed: a ChaCha12 key stream (specification 3.3). Made only when somebody asks.
 */
import { chacha12 } from "@noble/ciphers/chacha.js";
import { NativeError } from "./primordials.ts";
import { executing, realm } from "./state.ts";

const BLOCK_BYTES = 64;
const REFILL_BYTES = 4 * BLOCK_BYTES;
const NONCE = new Uint8Array(12);

class KeyStream {
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

let executionSeedHex = "";
let executionStream: KeyStream | null = null;
let importStream: KeyStream | null = null;

/** Begins the execution phase: numbers from here on come from this seed. */
export function seedRandom(seedHex: string): void {
  executionSeedHex = seedHex;
  executionStream = null;
}

export function seedImport(): void {
  importStream = null;
}

export function fillRandom(target: Uint8Array): void {
  const execution = executing();
  if (execution !== null) {
    execution.observedRandomness = true;
    executionStream ??= new KeyStream(executionSeedHex);
    executionStream.fill(target);
    return;
  }
  const { seedHex } = realm.settings;
  if (seedHex === "") throw new NativeError("Math.random unsupported at import time");
  importStream ??= new KeyStream(seedHex);
  importStream.fill(target);
}

const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

/** Uniform in [0, 1) with 53 random bits. */
export function random(): number {
  fillRandom(scratch);
  const high = scratchView.getUint32(0, true) >>> 5;
  const low = scratchView.getUint32(4, true) >>> 6;
  return (high * 0x4000000 + low) / 0x20000000000000;
}
