/** V8 flags that every isolate of the worker needs; set before the first isolate is made. */
import v8 from "node:v8";

const FLAGS = [
  // With it, TurboFan drops the interrupt check of loops that only call built-ins: `for (;;)
  // a.push(new Array(1000).fill(0))` could neither be stopped at the time limit nor at the memory
  // limit.
  "--no-turboshaft-loop-unrolling",
  // Contexts come and go, their shared bytecode should stay.
  "--no-flush-bytecode",
  // The snapshot comes from our own builder; checking it anew for every isolate costs a
  // millisecond.
  "--no-verify-snapshot-checksum",
];

export function setEngineFlags(): void {
  for (const flag of FLAGS) v8.setFlagsFromString(flag);
}

/**
 * Limits the stack of isolates that are made from here on. This thread's own has its limit already; it
 * must be deeper, or a call to the host that comes from the end of the app's stack fails anywhere in
 * the host's code, even between a question to the backend and its answer.
 */
export function limitAppStack(kibibytes: number): void {
  v8.setFlagsFromString(`--stack-size=${kibibytes}`);
}
