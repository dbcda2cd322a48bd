/** What is known to abort a process with isolated-vm in it, memory limit or not. */
import { program } from "./hostile";

export const growingMap = program(() => {
  const map = new Map();
  for (let i = 0; ; i++) map.set(i, i);
});
export const growingMapOfArrays = program(() => {
  const map = new Map();
  for (let i = 0; ; i++) map.set(i, new Array(100_000).fill(i));
});
export const hugeArray = program(() => new Array(1e9).fill(1).length);
export const hugeArrayLength = program(() => {
  const all: number[] = [];
  all.length = 2 ** 31;
  for (let i = 0; ; i++) all[i] = i;
});
export const arrayOfArrays = program(() => {
  const all: unknown[] = [];
  for (;;) all.push(new Array(1_000_000).fill(all));
});
export const endlessProperties = program(() => {
  const all: any = {};
  for (let i = 0; i < 50_000_000; i++) all[`p${i}`] = i;
});
export const webAssemblyGrowth = program(() => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536 });
  for (;;) {
    memory.grow(256);
    new Uint8Array(memory.buffer).fill(1);
  }
});
export const webAssemblyMemories = program(() => {
  const all: unknown[] = [];
  for (;;) {
    const memory = new WebAssembly.Memory({ initial: 1000, maximum: 65_536 });
    new Uint8Array(memory.buffer).fill(1);
    all.push(memory);
  }
});
export const resizableBuffers = program(() => {
  const buffer = new (ArrayBuffer as any)(0, { maxByteLength: 2 ** 33 });
  for (let size = 0; ; size += 1 << 24) {
    buffer.resize(size);
    new Uint8Array(buffer).fill(1);
  }
});
export const growableSharedBuffers = program(() => {
  const buffer = new (SharedArrayBuffer as any)(0, { maxByteLength: 2 ** 33 });
  for (let size = 0; ; size += 1 << 24) {
    buffer.grow(size);
    new Uint8Array(buffer).fill(1);
  }
});
