/** Randomness from a seed (specification 3.3). The key stream is loaded only when somebody asks. */
import type { KeyStream } from "./key_stream.ts";
import { NativeError } from "./primordials.ts";
import { executing, realm } from "./state.ts";

declare function require(path: "./key_stream.ts"): typeof import("./key_stream.ts");

function createStream(seedHex: string): KeyStream {
  const loaded = require("./key_stream.ts");
  return new loaded.KeyStream(seedHex);
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
    executionStream ??= createStream(executionSeedHex);
    executionStream.fill(target);
    return;
  }
  const { seedHex } = realm.settings;
  if (seedHex === "") throw new NativeError("Math.random unsupported at import time");
  importStream ??= createStream(seedHex);
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
